"""`wf.plan_text`: a plan comes back as it was."""

import json
from pathlib import Path

import pytest

from tests.projects import REPOSITORY
from wf.compile import compile_file
from wf.plan_text import decode, encode

WORKFLOWS = sorted((REPOSITORY / "workflows").rglob("*.yaml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_plans_come_back(path: Path) -> None:
    """Every workflow of this repository, with images, secrets, inputs, outputs and limits."""
    plan, _ = compile_file(path, REPOSITORY, {})

    again = decode(encode(plan))

    assert again == plan
    assert [type(task.image) for task in again.tasks] == [type(task.image) for task in plan.tasks]


def test_a_text_is_one_line() -> None:
    """Of JSON, in which each part says its type."""
    text = encode(compile_file(WORKFLOWS[0], REPOSITORY, {})[0])
    assert "\n" not in text
    assert json.loads(text)["tasks"][0]["record"] == "Task"


@pytest.mark.parametrize("text", ["{}", "[]", '{"record": "Plan"}', "nonsense", '{"record": "Other", "x": 1}'])
def test_what_is_no_plan_is_refused(text: str) -> None:
    """As a value that cannot be used, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"JSON|[Oo]bject|Invalid"):
        decode(text)
