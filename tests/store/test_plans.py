"""`wf.store.plans`: a plan comes back from the history as it was."""

from pathlib import Path

import pytest

from tests.projects import REPOSITORY
from wf.compile import compile_file
from wf.store.plans import as_json, read_plan

WORKFLOWS = sorted((REPOSITORY / "workflows").rglob("*.yaml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_plans_come_back(path: Path) -> None:
    """Every workflow of this repository, with images, secrets, inputs, outputs and limits."""
    plan, _ = compile_file(path, REPOSITORY, {})

    again = read_plan(as_json(plan))

    assert as_json(again) == as_json(plan)
    assert [type(task.image) for task in again.tasks] == [type(task.image) for task in plan.tasks]
    assert all(now.outputs == then.outputs for now, then in zip(again.tasks, plan.tasks, strict=True))
    assert all(now.inputs == then.inputs for now, then in zip(again.tasks, plan.tasks, strict=True))
    assert all(now.resources == then.resources for now, then in zip(again.tasks, plan.tasks, strict=True))
    assert all(now.defaulted == then.defaulted for now, then in zip(again.tasks, plan.tasks, strict=True))
    assert (again.workflow, again.root, again.inputs) == (plan.workflow, plan.root, plan.inputs)


@pytest.mark.parametrize("text", ["{}", "[]", '{"record": "Plan"}', "nonsense", '{"record": "Other", "x": 1}'])
def test_what_is_no_plan_is_refused(text: str) -> None:
    """As a value that cannot be used, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"plan|Expecting"):
        read_plan(text)
