"""The fake backend, which insists on the contract."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backends.tasks import Lab, its_turn, make_launch, make_plan, make_task
from wf.backends.base import Backend, Exit
from wf.backends.fake import FakeBackend
from wf.errors import EnvironmentProblem


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A fresh fake."""
    return Lab(FakeBackend(), tmp_path)


def test_it_does_what_the_environment_says(lab: Lab, tmp_path: Path) -> None:
    """Log, outputs and exit code come from the task's variables."""
    task = make_task("x", env={"FAKE_LOG": "hello\n", "FAKE_OUTPUT_model": "weights", "FAKE_EXIT": "3"})
    assert lab.run(task) == (b"hello\n", Exit(3))
    assert (tmp_path / "launch-1/outputs/model").read_text() == "weights"


def test_it_runs_out_of_memory(tmp_path: Path) -> None:
    """FAKE_OOM ends a task as the kernel would."""
    assert Lab(FakeBackend(), tmp_path).run(make_task("x", env={"FAKE_OOM": "1"})) == (
        b"",
        Exit(137, out_of_memory=True),
    )


@pytest.mark.parametrize(("kill", "code"), [(False, 143), (True, 137)])
def test_it_can_be_stopped(lab: Lab, kill: bool, code: int) -> None:
    """A stop cuts a sleep short and writes no outputs."""
    handle, launch = lab.start(make_task("x", env={"FAKE_SLEEP": "60", "FAKE_OUTPUT_a": "b"}))
    lab.stop_after(0.05, handle, kill=kill)
    assert lab.finish(handle) == (b"", Exit(code))
    assert list(launch.outputs.iterdir()) == []


def test_it_can_fail_to_start(lab: Lab) -> None:
    """FAKE_START_FAIL is what the engine says instead of starting."""
    with pytest.raises(EnvironmentProblem) as caught:
        lab.start(make_task("x", env={"FAKE_START_FAIL": "no space left"}))
    assert str(caught.value) == "no space left"


def _start_without_prepare(backend: Backend, folder: Path) -> None:
    backend.start(make_launch(folder, make_task("x")), its_turn())


def _read_logs_twice(backend: Backend, folder: Path) -> None:
    lab = Lab(backend, folder)
    handle, _ = lab.start(make_task("x"))
    list(backend.logs(handle))
    backend.logs(handle)


def _destroy_without_wait(backend: Backend, folder: Path) -> None:
    handle, _ = Lab(backend, folder).start(make_task("x"))
    backend.destroy(handle)


def _tear_down_too_early(backend: Backend, folder: Path) -> None:
    Lab(backend, folder).start(make_task("x"))
    backend.teardown()


def _start_after_teardown(backend: Backend, folder: Path) -> None:
    task = make_task("x")
    backend.prepare(make_plan(folder, task), print)
    backend.teardown()
    backend.start(make_launch(folder, task), its_turn())


@pytest.mark.parametrize(
    ("misuse", "complaint"),
    [
        (_start_without_prepare, "start(job): called before prepare"),
        (_read_logs_twice, "logs(job): called twice"),
        (_destroy_without_wait, "destroy(job): called before wait"),
        (_tear_down_too_early, "teardown: called before destroy of job"),
        (_start_after_teardown, "start(job): called after teardown"),
    ],
)
def test_it_insists_on_the_order(tmp_path: Path, misuse: Callable[[Backend, Path], None], complaint: str) -> None:
    """Whoever breaks the order is told which task and which rule."""
    with pytest.raises(AssertionError) as caught:
        misuse(FakeBackend(), tmp_path)
    assert str(caught.value).splitlines()[0] == complaint
