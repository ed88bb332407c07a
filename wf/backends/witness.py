"""Sees a container's processes end where they are this machine's own, before the engine says how they ended.

Between the two an engine takes its container apart, which is a good part of a short task.
"""

import os
import select
from pathlib import Path

PATIENCE = 0.2
"""Seconds for which the end of one that has closed its output is watched for: an init holds the output to its end."""


class Witness:
    """Watches the first process of a container: the kernel lets it end last, when it has ended all others."""

    def __init__(self, container: str, pid: int) -> None:
        self._descriptor = _open(container, pid)

    def await_end(self) -> bool:
        """Wait a moment for it; whether no process is left, as far as that can be seen."""
        if self._descriptor is None:
            return False
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
    try:
        if container in Path(f"/proc/{pid}/cgroup").read_text():
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
