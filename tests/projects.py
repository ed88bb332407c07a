"""Small projects on disk, for tests of what reads files."""

from pathlib import Path
from textwrap import dedent

from wf.compile import compile_file
from wf.errors import InvalidWorkflow
from wf.plan import Plan
from wf.source import excerpt

REPOSITORY = Path(__file__).parent.parent


def make_project(folder: Path, workflow: str) -> Path:
    """A project with this repository's steps and one workflow; returns the workflow's path."""
    (folder / "wf.toml").touch()
    if not (folder / "steps").exists():
        (folder / "steps").symlink_to(REPOSITORY / "steps")
        (folder / "containers").symlink_to(REPOSITORY / "containers")
    path = folder / "workflow.yaml"
    path.write_text(dedent(workflow).lstrip("\n"))
    return path


def compile_text(folder: Path, workflow: str, **settings: str) -> Plan:
    """The plan of a workflow that has nothing to be warned about."""
    plan, warnings = compile_file(make_project(folder, workflow), folder, settings)
    assert warnings == []
    return plan


def problems_of(folder: Path, workflow: str, **settings: str) -> str:
    """What is printed about a wrong workflow, with the file named without its folder."""
    try:
        compile_file(make_project(folder, workflow), folder, settings)
    except InvalidWorkflow as error:
        return "\n\n".join(excerpt(problem) for problem in error.problems).replace(f"{folder}/", "")
    raise AssertionError("the workflow was accepted")
