"""`create-model@v1` in the compiler. The texts of its refusals are tested with docs/errors.md, too."""

from pathlib import Path

import pytest

from tests.projects import compile_text, make_project, problems_of
from wf.compile import compile_file
from wf.plan import DatasetRef, ModelSpec, TaskInput

WORKFLOW = """
jobs:
  Upload:
    uses: create-model@v1
    with: {{name: rankings, type: {type}}}
    inputs: {{{inputs}}}
    outputs: {{{outputs}}}
"""
MODEL = "model: {type: dataset, with: {ref: rankings}}"


def _text(kind: str = "Custom", inputs: str = MODEL, outputs: str = "") -> str:
    return WORKFLOW.format(type=kind, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(
    ("written", "meant"), [("Tensorflow", "Tensorflow"), ("TensorFlow", "Tensorflow"), ("onnx", "ONNX")]
)
def test_the_case_of_a_type_does_not_matter(tmp_path: Path, written: str, meant: str) -> None:
    """The task has no image, and the model its type as the format writes it."""
    plan = compile_text(tmp_path, _text(written, outputs="model-id: {type: string}"))

    task = plan.task("Upload")
    assert (task.image, task.model) == (None, ModelSpec("rankings", meant))  # type: ignore[arg-type]
    assert task.inputs == (TaskInput("model", "dataset", DatasetRef("rankings")),)
    assert plan.for_backend().tasks == ()
    assert not task.reuse


def test_the_output_may_be_left_out(tmp_path: Path) -> None:
    """The id is then in the log, and `wf models list` shows it."""
    assert compile_text(tmp_path, _text()).task("Upload").outputs == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (_text("Customer"), "`with.type` must be one of `Tensorflow`, `ONNX`, `Custom`, not `Customer`"),
        (_text("5"), "`with.type` must be text: put it in quotes"),
        (_text().replace("rankings, type", "'', type"), "`with.name` must not be empty"),
        (_text().replace("name: rankings, ", ""), "`create-model@v1` needs `with: {name: ...}`"),
        (_text(inputs=""), "`create-model@v1` needs an input `model`"),
        (
            _text(inputs="model: {type: string, with: {value: x}}"),
            "`model` must be a folder, not a string",
        ),
        (_text(outputs="x: {type: volume}"), "`x` is the model's id, not a volume"),
        (
            _text(outputs="x: {type: string}, y: {type: string}"),
            "`create-model@v1` does not write a second output `y`",
        ),
    ],
)
def test_refusals(tmp_path: Path, text: str, problem: str) -> None:
    """Each names the job, and there is one of it."""
    printed = problems_of(tmp_path, text)

    assert printed.startswith(f"error: job `Upload`: {problem}\n")
    assert printed.count("error:") == 1


def test_what_it_ignores_is_warned_about(tmp_path: Path) -> None:
    """An input beside the model, and a parameter that it does not know."""
    text = _text(inputs=MODEL + ", x: {type: string, with: {value: y}}").replace("rankings, type", "a, tags: b, type")

    _, warnings = compile_file(make_project(tmp_path, text), tmp_path)

    assert [each.message for each in warnings] == [
        "job `Upload`: `create-model@v1` ignores `tags`",
        "job `Upload`: `create-model@v1` ignores the input `x`",
    ]
