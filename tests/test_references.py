"""The references of the format."""

import pytest

from wf.references import JobOutput, Secret, WorkflowInput, parse_input, parse_secret


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("workflow.inputs.epochs", WorkflowInput("epochs")),
        ("Clean-2.outputs.my_ratings", JobOutput("Clean-2", "my_ratings")),
        ("workflow.inputs.a.b", None),
        (" Clean.outputs.x", None),
        ("Clean.inputs.x", None),
        ("https://example.com", None),
    ],
)
def test_an_input_reference_is_a_whole_value(text: str, reference: WorkflowInput | JobOutput | None) -> None:
    """Anything around the reference makes it plain text."""
    assert parse_input(text) == reference


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("secret:API_KEY", Secret("API_KEY", optional=False)),
        ("SECRET:api-key", Secret("api-key", optional=False)),
        ("secret:API_KEY?", Secret("API_KEY", optional=True)),
        ("a secret:API_KEY", None),
        ("secret:", None),
    ],
)
def test_a_secret_reference_is_a_whole_value(text: str, secret: Secret | None) -> None:
    """The prefix counts in either case; a question mark makes the secret optional."""
    assert parse_secret(text) == secret
