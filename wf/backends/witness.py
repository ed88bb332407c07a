"""Sees a container's processes end where they are this machine's own, before the engine says how they ended.

Between the two an engine takes its container apart, which is a good part of a short task. While it does, it also tells
nothing of the container, not even which its first process was: so the kernel is asked for that too.
"""

import errno
import os
import select
from pathlib import Path
from typing import Final

from msgspec import Struct

PATIENCE = 0.2
"""Seconds for which the end of one that has closed its output is watched for: an init holds the output to its end."""
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


class Witness:
    """Watches the first process of a container: the kernel lets it end last, when it has ended all others."""

    def __init__(self, container: str, pid: int) -> None:
        self._descriptor = _open(container, pid)
        self._has_ended = pid == 0

    def await_end(self) -> bool:
        """Wait a moment for it; whether no process is left, as far as that can be seen."""
        if self._descriptor is None:
            return self._has_ended
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(PATIENCE * 1000))

    def close(self) -> None:
        """Watch no more."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
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
