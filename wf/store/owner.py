"""Which process a run belongs to, and whether that process still lives."""

import os
import subprocess
from pathlib import Path

from msgspec import Struct


class Owner(Struct, frozen=True):
    """A process, told apart from a later one with the same number."""

    host: str
    boot: str
    """Identifies the time since the machine was started."""
    pid: int
    start: str
    """When the process started."""


def this_process() -> Owner:
    """The owner of what this process does."""
    return Owner(os.uname().nodename, _boot(), os.getpid(), _start_of(os.getpid()))


def is_dead(owner: Owner) -> bool:
    """Whether the process has certainly ended. Of another machine's processes nothing is known."""
    if owner.host != os.uname().nodename:
        return False
    return owner.boot != _boot() or owner.start != _start_of(owner.pid)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """Empty if there is no such process."""
    if Path("/proc/self/stat").exists():
        try:
            # The command's name, in parentheses, may hold anything; the state and the numbers follow it.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()
