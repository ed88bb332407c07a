"""`wf.aliases`: images that stand in for others."""

from pathlib import Path

import pytest

from tests.backends.tasks import make_plan, make_task
from wf.aliases import apply_aliases, parse_aliases
from wf.errors import InvalidWorkflow
from wf.plan import ProjectImage, RegistryImage

ALIASES = {"tensorflow/tensorflow:1.*": "tf:new", "tensorflow/*": "tf:other", "tf:new": "tf:newer", "python": "py"}


@pytest.mark.parametrize(
    ("ref", "new"),
    [
        ("tensorflow/tensorflow:1.14.0-gpu-py3", "tf:new"),
        ("tensorflow/tensorflow:2.0", "tf:other"),
        ("tensorflow/a/b", "tf:other"),
        ("python", "py"),
        ("python:3", "python:3"),
        ("tf:new", "tf:newer"),
    ],
)
def test_the_first_pattern_that_matches_wins(tmp_path: Path, ref: str, new: str) -> None:
    """A name is compared as it is written, and what stands in is not replaced in its turn."""
    plan = apply_aliases(make_plan(tmp_path, make_task("x", image=ref)), ALIASES)

    assert plan.tasks[0].image == RegistryImage(new, stands_for=ref if new != ref else "")


def test_images_of_the_project_have_no_aliases(tmp_path: Path) -> None:
    """They are built here, so they can always be had."""
    task = make_task("x", image="x")
    own = ProjectImage("train", tmp_path)
    plan = apply_aliases(make_plan(tmp_path, type(task)(task.id, "a", own, None, (), task.span)), {"*": "y"})

    assert plan.tasks[0].image == own


def test_aliases_of_the_command_line() -> None:
    """`OLD=NEW`, in their order; anything else is refused."""
    assert list(parse_aliases(["b=1", "a=2", "b=3"]).items()) == [("b", "1"), ("a", "2")]

    with pytest.raises(InvalidWorkflow, match="`--image python` names no two images"):
        parse_aliases(["python"])
