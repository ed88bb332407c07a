"""Seeing the processes of containers end, with a real engine on this machine."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.backends.tasks import Lab
from wf.backends.base import Exit
from wf.backends.containers import inspect
from wf.backends.engine import find_engine
from wf.backends.witness import ControlGroups, await_end
from wf.plan import Task


@pytest.mark.docker
def test_the_end_of_a_container_is_seen(lab: Lab, shell: Callable[..., Task]) -> None:
    """Also of what its first process has started and left behind."""
    task, gone = shell("(exec > /dev/null 2>&1; sleep 60; touch /outputs/late) & sleep 0.3"), threading.Event()
    handle, launch = lab.start(task, replace(task, id="next"))

    lab.backend.watch(handle, gone.set)

    assert gone.wait(60)
    assert not any(b"touch /outputs/late" in command for command in _commands())
    assert lab.finish(handle) == (b"", Exit(0))
    assert not (launch.outputs / "late").exists()


@pytest.mark.docker
def test_one_that_goes_on_is_not_gone(lab: Lab, shell: Callable[..., Task]) -> None:
    """Whatever it does with its output."""
    gone = threading.Event()
    handle, _ = lab.start(shell("exec > /dev/null 2>&1; sleep 60"), shell("true", id="next"))
    lab.backend.watch(handle, gone.set)
    assert not gone.wait(0.5)
    lab.backend.stop(handle, kill=True)
    assert gone.wait(60)
    lab.finish(handle)


@pytest.mark.docker
def test_the_last_is_not_watched(lab: Lab, shell: Callable[..., Task]) -> None:
    """Nobody could start sooner, and no network could go."""
    gone = threading.Event()
    handle, _ = lab.start(shell("true"))
    lab.backend.watch(handle, gone.set)
    lab.finish(handle)
    assert not gone.wait(0.5)


@pytest.mark.docker
def test_where_processes_are_listed_is_learned_from_one_container(lab: Lab, shell: Callable[..., Task]) -> None:
    """For others the engine, which takes its time, is not asked: the kernel names their first process, and its end."""
    task, groups = shell("sleep 60 & sleep 60"), ControlGroups()
    (first, _), (second, _) = (lab.start(replace(task, id=name)) for name in ("a", "b"))
    assert groups.find_first(second.id) is None  # type: ignore[attr-defined]
    engine = find_engine()
    groups.learn(first.id, inspect(engine, first.id)["State"]["Pid"])  # type: ignore[attr-defined]

    assert groups.find_first(second.id) == inspect(engine, second.id)["State"]["Pid"]  # type: ignore[attr-defined]

    for handle in (first, second):
        lab.backend.stop(handle, kill=True)
        lab.finish(handle)
    assert groups.find_first(second.id) == 0  # type: ignore[attr-defined]


def test_nothing_is_learned_from_processes_that_are_elsewhere() -> None:
    """On another machine the number is that of another process, or of none."""
    groups = ControlGroups()
    groups.learn("0123456789ab", os.getpid())
    groups.learn("0123456789ab", 0)
    assert groups.find_first("0123456789ab") is None


def test_a_group_within_a_group_may_hide_processes(tmp_path: Path) -> None:
    """They are not in the list of the outer one, so an empty list says nothing; without one inside, all have ended."""
    groups = ControlGroups(f"{tmp_path}/{{}}/cgroup.procs")
    for name in ("plain", "nested/inner"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("plain", "nested"):
        (tmp_path / name / "cgroup.procs").touch()
    assert [groups.find_first(name) for name in ("plain", "nested", "gone")] == [0, None, 0]


def test_a_list_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    """Only one that is not there is that of a container that has ended."""
    groups = ControlGroups(f"{tmp_path}/{{}}")
    (tmp_path / "odd").mkdir()
    assert groups.find_first("odd") is None


def test_a_number_says_nothing() -> None:
    """It may be that of any process of this machine, or of one that has ended."""
    others, gone = os.getpid(), 1 << 22
    assert [await_end("0123456789ab", pid, lambda: False) for pid in (others, gone)] == [False, False]


def test_no_process_is_the_end() -> None:
    """Nothing needs to be waited for."""
    assert await_end("0123456789ab", 0, lambda: False)


@pytest.mark.docker
def test_what_nobody_wants_to_know_is_not_watched(lab: Lab, shell: Callable[..., Task]) -> None:
    """So no thread is left of a container that outlives the job."""
    handle, _ = lab.start(shell("sleep 60"))
    pid = inspect(find_engine(), handle.id)["State"]["Pid"]  # type: ignore[attr-defined]
    assert not await_end(handle.id, pid, lambda: True)  # type: ignore[attr-defined]
    lab.backend.stop(handle, kill=True)
    lab.finish(handle)


def _commands() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:  # it has ended meanwhile
            continue
    return found
