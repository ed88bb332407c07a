"""Sees a container's processes end where they are this machine's own, before the engine says how they ended.

Between the two an engine takes its container apart, which is a good part of a short task. While it does, it also tells
nothing of the container, not even which its first process was: so the kernel is asked for that too.
"""

import errno
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

PATIENCE: Final = 10.0
"""Seconds after which it is asked whether somebody still wants to know."""
CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
"""Where Linux shows them."""


class ControlGroups(Struct):
    """Where the kernel lists the processes of an engine's containers: learned from one of them, and alike for all."""

    pattern: str = ""
    """The file that holds the numbers, with `{}` for a container's id; empty while that is not known."""

    def learn(self, container: str, pid: int) -> None:
        """Find it by a container's process, if that runs, and on this machine."""
        for controllers, group in _groups_of(pid):
            listing = CONTROL_GROUPS / controllers / group.lstrip("/") / "cgroup.procs"
            if container in group and pid in (_read(listing) or ()):
                self.pattern = str(listing).replace(container, "{}")
                return

    def find_first(self, container: str) -> int | None:
        """The first process of a container that was started; 0 if none is left, nothing if that cannot be seen."""
        if not self.pattern:
            return None
        listing = Path(self.pattern.format(container))
        processes = _read(listing)
        # A group within this one would have processes that are not listed here.
        if processes is None or (not processes and any(listing.parent.glob("*/"))):
            return None
        return next(filter(_is_first, processes), None) if processes else 0


def await_end(container: str, pid: int, is_over: Callable[[], bool]) -> bool:
    """Wait for the first process of a container: the kernel lets it end last, when it has ended all others.

    Args:
        container: the container's id.
        pid: as `find_first` gives it.
        is_over: whether nobody wants to know any more.

    Returns:
        Whether no process is left, as far as that can be seen.
    """
    if pid == 0:
        return True
    descriptor = _open(container, pid)
    if descriptor is None:
        return False
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not is_over():
            if poll.poll(PATIENCE * 1000):
                return True
        return False
    finally:
        os.close(descriptor)


def _open(container: str, pid: int) -> int | None:
    if pid <= 0 or not hasattr(os, "pidfd_open"):
        return None
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    # Its number may be that of a process on another machine, or one that was given anew: its control group names it.
    if any(container in group for _, group in _groups_of(pid)):
        return descriptor
    os.close(descriptor)
    return None


def _groups_of(pid: int) -> list[tuple[str, str]]:
    """The control groups of a process, each with its controllers; none where it has ended, or is on another machine."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return []
    return [(controllers, group) for _, controllers, group in (line.split(":", 2) for line in lines)]


def _read(listing: Path) -> list[int] | None:
    """The processes of a control group: none where it is gone, nothing where the kernel does not tell."""
    try:
        return [int(line) for line in listing.read_text().split()]
    except OSError as problem:
        return [] if problem.errno in {errno.ENOENT, errno.ENODEV} else None


def _is_first(pid: int) -> bool:
    """Whether it is the first process of a container, by its number in there."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in status.splitlines())
