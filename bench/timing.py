"""Times of commands, taken in rounds, so that what the machine does meanwhile meets all of them alike."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""What users have: without this variable, so that modules are compiled once."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work of a group."""

    name: str
    command: Sequence[str]
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None
    """What makes each round like the first one; it is not timed."""
    until: str = ""
    """If not empty, it is timed until it prints this, and not to its end."""


@dataclass(slots=True)
class Result:
    """What was measured of a contender."""

    name: str
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    """Of its own processes; an engine's are not among them."""
    failure: str = ""
    peak: int = 0
    """Bytes of memory of its biggest process."""

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.walls)


def compare(contenders: Sequence[Contender], rounds: int) -> list[Result]:
    """Time each contender once in each round; one that fails takes part no more."""
    results = [Result(each.name) for each in contenders]
    for _ in range(rounds):
        for contender, result in zip(contenders, results, strict=True):
            if not result.failure:
                _time(contender, result)
    return results


def _time(contender: Contender, result: Result) -> None:
    contender.before()
    environ = {**ENVIRONMENT, **contender.environ}
    started = time.perf_counter()
    process = subprocess.Popen(
        contender.command,
        cwd=contender.folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wall, last = 0.0, ""
    for line in process.stdout or ():
        last = line.strip() or last
        if contender.until and contender.until in line and not wall:
            wall = time.perf_counter() - started
    _, status, usage = os.wait4(process.pid, 0)
    wall = wall or time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        result.failure = last or f"exited with {process.returncode}"
        return
    result.walls.append(wall)
    result.cpus.append(usage.ru_utime + usage.ru_stime)
    result.peak = max(result.peak, usage.ru_maxrss << 10)
