"""What must be true of a machine before a plan starts. Each check returns sentences; none raises."""

import os
from collections.abc import Iterable
from pathlib import Path

from wf.plan import Task

ROOM_TO_START = 1 << 30
"""Bytes that must be free on every disk that a run fills."""


def disk_problems(folders: Iterable[Path]) -> list[str]:
    """Folders whose disk is as good as full."""
    problems = []
    for folder in dict.fromkeys(folders):
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        if free < ROOM_TO_START:
            needed = size_text(ROOM_TO_START)
            problems.append(f"the disk of {folder} is nearly full: {size_text(free)} free, at least {needed} needed")
    return problems


def cpu_problems(tasks: Iterable[Task], cpus: int) -> list[str]:
    """Tasks that want more CPUs than there are."""
    return [
        f"job `{task.id}` wants {task.resources.cpus:g} CPUs, but there are {cpus}: lower `resources.cpus`"
        for task in tasks
        if task.resources.cpus is not None and task.resources.cpus > cpus
    ]


def gpu_problems(tasks: Iterable[Task], where: str) -> list[str]:
    """Tasks that insist on a GPU, for a machine without."""
    return [
        f"job `{task.id}` needs `gpus: {task.resources.gpus}`, but {where}; `gpus: auto` runs without one too"
        for task in tasks
        if task.resources.gpus not in {0, "auto"}
    ]


def size_text(size: int) -> str:
    """A size for people: `23.5 GiB`, `64 MiB`."""
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
