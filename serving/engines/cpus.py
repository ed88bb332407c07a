"""How many processors there are for this process."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")


def available_cpus(control_groups: Path = CONTROL_GROUPS) -> int:
    """As many as it may run on, or fewer if its control group lets it use no more, as `docker run --cpus` does."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota, period in (_version_2(control_groups), _version_1(control_groups)):
        if quota > 0:
            cpus = min(cpus, max(1, quota // period))
    return cpus


def _version_2(control_groups: Path) -> tuple[int, int]:
    """Microseconds of processor time in a period, and the period; 0 where there is no limit."""
    with suppress(OSError, ValueError):
        quota, period = (control_groups / "cpu.max").read_text().split()
        return int(quota), int(period)  # `max` is no number
    return 0, 0


def _version_1(control_groups: Path) -> tuple[int, int]:
    with suppress(OSError, ValueError):
        quota, period = ((control_groups / f"cpu/cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota), int(period)  # -1 for no limit
    return 0, 0
