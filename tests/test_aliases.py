"""`wf.aliases`: images that stand in for others."""

from pathlib import Path

import pytest

from tests.backends.tasks import make_plan, make_task
from wf.aliases import apply_aliases, parse_aliases
from wf.errors import InvalidWorkflow, Problem
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


def test_an_image_of_the_project_stands_in(tmp_path: Path) -> None:
    """By the name of its folder."""
    folder = tmp_path / "containers" / "serve"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").touch()

    plan = apply_aliases(
        make_plan(tmp_path, make_task("x", image="tensorflow/serving:latest-gpu")),
        {"tensorflow/serving*": "./containers/serve"},
    )

    assert plan.tasks[0].image == ProjectImage("serve", folder, "tensorflow/serving:latest-gpu")


@pytest.mark.parametrize("name", ["", "other", "a/b", ".."])
def test_a_folder_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, name: str) -> None:
    """Once, however many jobs want it, and before anything runs."""
    (tmp_path / "containers" / "serve").mkdir(parents=True)
    (tmp_path / "containers" / "serve" / "Dockerfile").touch()
    plan = make_plan(tmp_path, make_task("x", image="old"), make_task("y", image="old"))

    with pytest.raises(InvalidWorkflow) as caught:
        apply_aliases(plan, {"old": f"./containers/{name}"})

    message = f"`./containers/{name}`, which stands in for `old`, is no folder of {tmp_path} with a Dockerfile"
    assert caught.value.problems == [Problem(message, hint="there is `./containers/serve`")]


def test_aliases_of_the_command_line() -> None:
    """`OLD=NEW`, in their order; anything else is refused."""
    assert list(parse_aliases(["b=1", "a=2", "b=3"]).items()) == [("b", "1"), ("a", "2")]

    with pytest.raises(InvalidWorkflow, match="`--image python` names no two images"):
        parse_aliases(["python"])
