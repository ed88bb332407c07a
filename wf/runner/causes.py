"""What the end of a process says of it: whether it failed, and which limit it met."""

import re
from pathlib import Path
from typing import Final

from wf.backends.base import Exit
from wf.plan import Task
from wf.store.joblog import read_tail

_NO_MORE_PROCESSES: Final = re.compile(
    r"resource temporarily unavailable|can(?:'|no)t (?:start new thread|fork)|pthread_create\W.*\bfailed"
    r"|failed to create new OS thread|unable to create (?:new )?native thread",
    re.IGNORECASE,
)
"""How shells, Python, C++, Go and Java tell that the system let them start no other process or thread (EAGAIN)."""


def why_failed(exit_: Exit, task: Task, log: Path) -> str:
    """Why a process failed, as a sentence; empty if it succeeded. The end of its log may tell what the code does not.

    A kernel counts the processes that it refuses, but forgets the number with the container: what remains is the log.
    """
    if exit_.out_of_memory:
        limit = task.resources.memory
        return f"ran out of memory at {limit >> 20} MiB: raise `resources.memory`" if limit else "ran out of memory"
    if exit_.error:
        return exit_.error
    if not exit_.code:
        return ""
    how = f"exited with code {exit_.code}{_signal(exit_.code)}"
    if exit_.most_processes and any(_NO_MORE_PROCESSES.search(line) for line in read_tail(log)):
        number = f"{exit_.most_processes} processes and threads"
        return f"{how}; its log says that it could start no more than its {number}: raise `resources.pids`"
    return how


def _signal(code: int) -> str:
    if code <= 128:
        return ""
    import signal

    ended_by = next((each.name for each in signal.Signals if each == code - 128), "")
    return f" ({ended_by})" if ended_by else ""
