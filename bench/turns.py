"""How long a slot does nothing: from the end of one container's processes to when the next one is told to start.

python -m bench.turns                 20 independent jobs, two at once, in Docker
python -m bench.turns --rounds 5

What a busy machine does to the time of a whole run, it does less to this.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bench.projects import make_project
from bench.runner import IMAGE
from wf.backends import containers, witness
from wf.backends.engine import Engine
from wf.cli import main as wf


def gaps_of_a_run() -> list[float]:
    """Seconds between the end of processes and the next start, for each start after one, first come, first served."""
    ends: deque[float] = deque()
    gaps: list[float] = []
    await_end, start = witness.await_end, containers.start

    def see_end(container: str, pid: int, is_over: Callable[[], bool]) -> bool:
        is_seen = await_end(container, pid, is_over)
        if is_seen:
            ends.append(time.perf_counter())
        return is_seen

    def see_start(engine: Engine, container: str) -> None:
        if ends:
            gaps.append(time.perf_counter() - ends.popleft())
        start(engine, container)

    witness.await_end, containers.start = see_end, see_start
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = wf(["run", "docker-flat.yaml", "--no-cache", "-j2", "--backend", "docker"])
    finally:
        witness.await_end, containers.start = await_end, start
    assert code == 0, "the run failed"
    return gaps


def main() -> None:
    """Run, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wf-bench-") as folder:
        make_project(Path(folder) / "project", IMAGE)
        os.chdir(Path(folder) / "project")
        for _ in range(arguments.rounds):
            gaps = gaps_of_a_run()
            print(f"{len(gaps)} gaps: median {statistics.median(gaps) * 1e3:.0f} ms, longest {max(gaps) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
