"""Plans that need not be compiled again, and those that must."""

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.test_fast_paths import STEP
from wf.compile import compile_file
from wf.plan import Plan
from wf.remembered import recall, remember

WORKFLOW = """\
inputs:
  number: {type: string, with: {value: "1"}}
jobs:
  a:
    uses: ./steps/write
    with: {number: workflow.inputs.number}
    outputs: {out: {type: volume}}
  b:
    uses: script@v1
    needs: [a]
    with: {image: alpine, script: echo}
    inputs: {data: a.outputs.out}
    env: {KEY: secret:NAME, MODE: fast}
    resources: {cpus: 1.5, memory: 1GiB}
    timeout: 60
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a store, a step and a workflow."""
    (tmp_path / ".wf").mkdir()
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps/__init__.py").write_text('STEPS = {"write": "steps.write"}\n')
    (tmp_path / "steps/write.py").write_text(STEP)
    (tmp_path / "w.yaml").write_text(WORKFLOW)
    return tmp_path


def compiled(project: Path) -> Plan:
    """The plan, compiled now and remembered."""
    plan, _ = compile_file(project / "w.yaml", project)
    remember(plan, project, {})
    return plan


def test_a_plan_is_recalled_as_it_was(project: Path) -> None:
    """Everything in it is equal, types included."""
    plan = compiled(project)
    assert recall(project / "w.yaml", project, {}) == plan


def _edit_workflow(project: Path) -> None:
    (project / "w.yaml").write_text(WORKFLOW.replace("60", "61"))


def _edit_unseen(project: Path) -> None:
    """As long and as old as before."""
    status = (project / "w.yaml").stat()
    (project / "w.yaml").write_text(WORKFLOW.replace("60", "61"))
    os.utime(project / "w.yaml", ns=(status.st_atime_ns, status.st_mtime_ns))


def _edit_step(project: Path) -> None:
    (project / "steps/write.py").write_text(STEP + "\n")


def _add_module(project: Path) -> None:
    (project / "steps/more.py").touch()


def _shadow(project: Path) -> None:
    (project / "pydantic.py").touch()


def _break(project: Path) -> None:
    for kept in (project / ".wf/plans").iterdir():
        kept.write_text(kept.read_text()[:-10])


def _forge(project: Path) -> None:
    for kept in (project / ".wf/plans").iterdir():
        kept.write_text(kept.read_text().partition("\n")[0] + '\n{"!":["Span",1]}')


@pytest.mark.parametrize("change", [_edit_workflow, _edit_unseen, _edit_step, _add_module, _shadow, _break, _forge])
def test_what_changes_a_plan_makes_it_forgotten(project: Path, change: Callable[[Path], None]) -> None:
    """By content, never by time; and a file that is damaged is as good as none."""
    compiled(project)
    change(project)
    assert recall(project / "w.yaml", project, {}) is None


def test_other_values_are_another_plan(project: Path) -> None:
    """What was remembered with one value does not stand for another."""
    compiled(project)
    assert recall(project / "w.yaml", project, {"number": "2"}) is None


def test_modules_beside_the_steps_count(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step may import more of the project than lies in `steps/`."""
    (project / "helper.py").write_text("")
    (project / "steps/write.py").write_text("import helper\n" + STEP)
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    plan = compiled(project)
    assert recall(project / "w.yaml", project, {}) == plan
    (project / "helper.py").write_text("# changed")
    assert recall(project / "w.yaml", project, {}) is None
    monkeypatch.delitem(sys.modules, "helper", raising=False)


@pytest.mark.parametrize(
    "job",
    [
        "{uses: git-checkout@v1, with: {url: 'https://host/repo'}, outputs: {repo: {type: volume}}}",
        "{uses: script@v1, with: {image: alpine, script: echo}, env: {A: context.event.github.ref}}",
    ],
)
def test_plans_that_depend_on_more_are_not_kept(project: Path, job: str) -> None:
    """What a program of wf looks for, or a work tree around the file, may change unseen."""
    (project / "w.yaml").write_text(f"jobs: {{a: {job}}}")
    compiled(project)
    assert not (project / ".wf/plans").exists()


def test_a_plan_that_its_text_does_not_tell_whole_is_not_kept(project: Path) -> None:
    """JSON has no infinite numbers: such a plan would come back as another."""
    plan, _ = compile_file(project / "w.yaml", project)
    remember(replace(plan, timeout=math.inf), project, {})
    assert recall(project / "w.yaml", project, {}) is None
