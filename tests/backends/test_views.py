"""Inputs that tasks may change, against a real engine."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.tasks import Lab, as_lines, its_turn, make_launch, make_plan, make_task
from tests.harness import tree
from wf.backends.base import Exit
from wf.backends.docker import DockerBackend
from wf.errors import EnvironmentProblem
from wf.plan import Resources, Task, TaskInput, UpstreamOutput
from wf.settings import Settings
from wf.store.artifacts import Artifacts
from wf.store.layout import Layout

pytestmark = pytest.mark.docker
REPO = (TaskInput("repo", "volume", UpstreamOutput("Clone", "repo")),)


@pytest.fixture
def make_lab(tmp_path: Path, client: Any) -> Iterator[Callable[..., Lab]]:
    """Makes projects that must leave neither containers nor volumes behind."""
    labs = []

    def make() -> Lab:
        labs.append(Lab(DockerBackend(tmp_path, Settings()), tmp_path))
        return labs[-1]

    yield make
    for lab in labs:
        lab.backend.teardown()
        assert lab.backend.sweep([7]) == 0


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A stored folder with a file, a program, a folder and a link, at a path with every difficult character."""
    layout = Layout(tmp_path / "it's a:b,c\\d")
    layout.create()
    made = layout.temporary / "repo"
    (made / "src").mkdir(parents=True)
    (made / "README").write_text("read me\n")
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    (made / "src" / "main.py").write_text("print()\n")
    (made / "link").symlink_to("README")
    artifacts = Artifacts(layout)
    return artifacts.path(artifacts.commit(made).digest)


@pytest.fixture
def shell(base_image: str) -> Callable[..., Task]:
    """Makes a script that reads `repo`."""

    def make(script: str, **changes: Any) -> Task:
        return make_task("bash", "-c", script, **{"image": base_image, "step": False, "inputs": REPO, **changes})

    return make


@pytest.fixture
def image_with(client: Any, base_image: str) -> Iterator[Callable[..., str]]:
    """Makes images out of the base image: a command that is run in it, and changes to what it says."""
    made = []

    def make(command: str, *changes: str) -> str:
        container = client.create_container(base_image, ["sh", "-c", command], labels={"wf": "1"})["Id"]
        client.start(container)
        assert client.wait(container)["StatusCode"] == 0
        made.append(client.commit(container, changes=list(changes))["Id"])
        client.remove_container(container)
        return str(made[-1])

    yield make
    for image in made:
        client.remove_image(image)


CHANGE = "cd /inputs/repo && echo more >> README && rm src/main.py && mv src new && mkdir src && touch src/x && rm link"


def test_a_job_changes_its_inputs_and_nobody_sees_it(
    make_lab: Callable[..., Lab], artifact: Path, shell: Callable[..., Task]
) -> None:
    """Writing, deleting, renaming work; the next job finds what was stored, and so does everybody else."""
    lab, before = make_lab(), tree(artifact)

    assert lab.run(shell(CHANGE + " && cat README && ls"), inputs={"repo": artifact}) == (
        b"read me\nmore\nREADME\nnew\nrun.sh\nsrc\n",
        Exit(0),
    )
    assert lab.run(shell("cat /inputs/repo/README; ls /inputs/repo"), inputs={"repo": artifact})[0] == (
        b"read me\nREADME\nlink\nrun.sh\nsrc\n"
    )
    assert tree(artifact) == before


LOOK = "cd /inputs/repo; for f in . src README run.sh link; do echo $f=$(stat -c '%a %U' $f); done; ls -A .. "
LOOKS = {".": "755", "src": "755", "README": "644", "run.sh": "755", "link": "777"}


def test_inputs_look_as_if_the_job_had_made_them(
    make_lab: Callable[..., Lab], artifact: Path, shell: Callable[..., Task]
) -> None:
    """What is stored read-only has the image's user and the modes of new files, exact about what is executable."""
    log, _ = make_lab().run(shell(LOOK), inputs={"repo": artifact})

    assert as_lines(log) == {name: f"{mode} root" for name, mode in LOOKS.items()}


def test_a_user_of_the_image_may_change_its_inputs(
    make_lab: Callable[..., Lab], artifact: Path, shell: Callable[..., Task], image_with: Callable[..., str]
) -> None:
    """An image whose user is not root owns what it reads, and writes to it."""
    image = image_with("useradd -u 4321 someone", "USER someone")

    log, exit_ = make_lab().run(shell(f"{LOOK}; {CHANGE}", image=image), inputs={"repo": artifact})

    assert exit_ == Exit(0)
    assert as_lines(log) == {name: f"{mode} someone" for name, mode in LOOKS.items()}


def test_where_no_overlay_can_be_had_inputs_are_copied(
    make_lab: Callable[..., Lab], artifact: Path, shell: Callable[..., Task], image_with: Callable[..., str]
) -> None:
    """An image without `chown`: its jobs get a copy that they may change, with exact bits of what is executable."""
    lab, before = make_lab(), tree(artifact)
    image = image_with("rm /bin/chown", "USER 4321")
    look = "cd /inputs/repo; stat -c '%n %a %u' README run.sh src; readlink link; "

    for _ in range(2):
        assert lab.run(shell(look + CHANGE, image=image), inputs={"repo": artifact}) == (
            b"README 666 4321\nrun.sh 777 4321\nsrc 777 4321\nREADME\n",
            Exit(0),
        )
    assert tree(artifact) == before


def test_read_only_inputs(make_lab: Callable[..., Lab], artifact: Path, shell: Callable[..., Task]) -> None:
    """With `ro` writing fails as on a read-only file system."""
    log, exit_ = make_lab().run(shell("touch /inputs/repo/x", inputs_mode="ro"), inputs={"repo": artifact})

    assert exit_ == Exit(1)
    assert log == b"touch: cannot touch '/inputs/repo/x': Read-only file system\n"


def test_shared_inputs(make_lab: Callable[..., Lab], artifact: Path, shell: Callable[..., Task]) -> None:
    """With `shared` the jobs of a run see what others did to the same output, at once; the artifact stays."""
    lab, before = make_lab(), tree(artifact)
    waits = "until test -e /inputs/again/flag; do sleep 0.05; done; cat /inputs/other/README"
    other = TaskInput("other", "volume", UpstreamOutput("Clone", "other"))
    again = TaskInput("again", "volume", UpstreamOutput("Clone", "repo"))
    tasks = [
        shell(waits, id="waits", inputs=(*REPO, other, again), inputs_mode="shared"),
        shell("echo more >> /inputs/repo/README; touch /inputs/repo/flag", id="writes", inputs_mode="shared"),
        shell("cat /inputs/repo/README", id="reads", inputs_mode="shared"),
    ]
    lab.backend.prepare(make_plan(lab.root, *tasks), lab.told.append)
    inputs = {"repo": artifact, "other": artifact, "again": artifact}

    waiting = lab.backend.start(make_launch(lab.root / "waits", tasks[0], inputs=inputs), its_turn())
    assert lab.run(tasks[1], inputs={"repo": artifact}) == (b"", Exit(0))
    assert lab.finish(waiting) == (b"read me\n", Exit(0))
    assert lab.run(tasks[2], inputs={"repo": artifact}) == (b"read me\nmore\n", Exit(0))
    assert tree(artifact) == before


def test_a_step_reads_the_artifact_itself(make_lab: Callable[..., Lab], artifact: Path, base_image: str) -> None:
    """Our own steps cannot change their inputs."""
    step = make_task("sh", "-c", "touch /inputs/repo/x", image=base_image, inputs=REPO)

    log, exit_ = make_lab().run(step, inputs={"repo": artifact})

    assert exit_ == Exit(1)
    assert log == b"touch: cannot touch '/inputs/repo/x': Read-only file system\n"


def test_a_job_that_cannot_start_leaves_no_volume(
    make_lab: Callable[..., Lab], artifact: Path, shell: Callable[..., Task]
) -> None:
    """The views of a task that the engine refuses go at once (the fixture looks for what is left)."""
    task = shell("true", resources=Resources(memory=1))

    with pytest.raises(EnvironmentProblem, match="could not start"):
        make_lab().start(task, inputs={"repo": artifact})


def test_sweep_removes_volumes_of_dead_runs(
    make_lab: Callable[..., Lab], artifact: Path, shell: Callable[..., Task]
) -> None:
    """What a killed `wf` leaves of a running job is its container and the three volumes of a view."""
    lab = make_lab()
    handle, _ = lab.start(shell("sleep 300"), inputs={"repo": artifact})

    assert lab.backend.sweep([6]) == 0
    assert lab.backend.sweep([7]) == 4
    lab.finish(handle)


def test_the_storage_outlives_jobs_and_becomes_the_callers(
    make_lab: Callable[..., Lab],
    tmp_path: Path,
    shell: Callable[..., Task],
    image_with: Callable[..., str],
    base_image: str,
) -> None:
    """What one job keeps at /storage another finds; in the end it is the caller's, and open to any later job."""
    storage = tmp_path / "storage"
    storage.mkdir()
    other = image_with("true", "USER 4321")
    lab = make_lab()

    def run(script: str, image: str) -> tuple[bytes, Exit]:
        return lab.run(shell(script, inputs=(), image=image), storage=storage)

    assert run("mkdir /storage/a; echo 1 > /storage/a/x", base_image) == (b"", Exit(0))
    assert run("cat /storage/a/x; mkdir /storage/b; echo 2 > /storage/b/y", other) == (b"1\n", Exit(0))
    lab.backend.teardown()
    assert {path.lstat().st_uid for path in storage.rglob("*")} == {os.getuid()}
    assert run("echo 3 >> /storage/b/y; cat /storage/b/y", other) == (b"2\n3\n", Exit(0))
