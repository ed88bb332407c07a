"""The JSON schema for editors agrees with what `wf validate` accepts."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.projects import REPOSITORY
from wf.schema import workflow_schema
from wf.source import load, parse


@pytest.fixture(name="validator", scope="module")
def _validator() -> Draft202012Validator:
    schema = json.loads(json.dumps(workflow_schema(REPOSITORY)))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "workflows").rglob("*.yaml")), ids=lambda path: path.name)
def test_our_workflows_fit_the_schema(validator: Draft202012Validator, path: Path) -> None:
    """An editor finds nothing to complain about."""
    assert [error.message for error in validator.iter_errors(load(path).data)] == []


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("{uses: script@v1, wiht: {}}", "'wiht' was unexpected"),
        ("{uses: ./steps/trian}", "'./steps/trian' is not one of"),
        ("{uses: ./steps/train, with: {epochs: 0}}", "is not valid under any of the given schemas"),
        ("{uses: ./steps/train, with: {epocs: 1}}", "'epocs' was unexpected"),
        ("{uses: script@v1, with: {image: x}}", "'script' is a required property"),
    ],
)
def test_mistakes_do_not_fit(validator: Draft202012Validator, job: str, message: str) -> None:
    """Keys, actions and parameters are all known to it."""
    data = parse(f"jobs: {{A: {job}}}", Path("w.yaml")).data

    found = " ".join(error.message for error in validator.iter_errors(data))

    assert re.search(re.escape(message), found)


def test_references_fit_wherever_a_parameter_does(validator: Draft202012Validator) -> None:
    """`workflow.inputs.x` stands for a value of any type."""
    job = "{uses: ./steps/train, with: {epochs: workflow.inputs.epochs, layers: workflow.inputs.layers}}"

    assert list(validator.iter_errors(parse(f"jobs: {{A: {job}}}", Path("w.yaml")).data)) == []


@pytest.mark.parametrize(
    ("cache", "fits"),
    [("false", True), ("{key: workflow.inputs.week, ignore-env: [A]}", True), ("{keys: x}", False), ("often", False)],
)
def test_a_job_says_when_it_is_reused(validator: Draft202012Validator, cache: str, *, fits: bool) -> None:
    """Not at all, or what counts for it."""
    job = f"{{uses: container@v1, with: {{image: x}}, cache: {cache}}}"

    assert validator.is_valid(parse(f"jobs: {{A: {job}}}", Path("w.yaml")).data) is fits
