"""Seeing the processes of containers end, with a real engine on this machine."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.backends.tasks import Lab
from wf.backends.base import Exit
from wf.backends.witness import Witness
from wf.plan import Task


@pytest.mark.docker
def test_the_end_of_a_container_is_seen(lab: Lab, shell: Callable[..., Task]) -> None:
    """Also of what its first process has started and left behind."""
    task = shell("(exec > /dev/null 2>&1; sleep 60; touch /outputs/late) & sleep 0.3")
    handle, launch = lab.start(task, replace(task, id="next"))
    assert b"".join(lab.backend.logs(handle)) == b""

    assert lab.backend.await_exit(handle)

    assert not any(b"touch /outputs/late" in command for command in _commands())
    assert lab.backend.wait(handle) == Exit(0, most_processes=16384)
    lab.backend.destroy(handle)
    assert not (launch.outputs / "late").exists()


@pytest.mark.docker
def test_one_that_goes_on_is_not_waited_for(lab: Lab, shell: Callable[..., Task]) -> None:
    """The engine will tell of its end."""
    handle, _ = lab.start(shell("sleep 60"), shell("true", id="next"))
    began = time.monotonic()
    assert not lab.backend.await_exit(handle)
    assert time.monotonic() - began < 30
    lab.backend.stop(handle, kill=True)
    lab.finish(handle)


@pytest.mark.docker
def test_the_end_of_the_last_is_told_by_the_engine(lab: Lab, shell: Callable[..., Task]) -> None:
    """Nobody could start sooner, and to ask for its process holds its log up."""
    handle, _ = lab.start(shell("true"))
    assert lab.backend.await_exit(handle) is False
    lab.finish(handle)


def test_a_number_says_nothing() -> None:
    """It may be that of any process of this machine, or of none."""
    mine, nobody = Witness("0123456789ab", os.getpid()), Witness("0123456789ab", 0)
    assert (mine.await_end(), nobody.await_end()) == (False, False)
    mine.close()
    nobody.close()


def _commands() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:  # it has ended meanwhile
            continue
    return found
