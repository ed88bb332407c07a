"""`make faults`: as many rounds as asked for, of all kinds, and a table of what went wrong."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.engine import PrivateEngine
from tests.faults.rounds import Expected, Kill, Round, kill_container, kill_wf, play

KINDS = ("process", "docker", "process", "container", "docker", "process", "dockerd", "docker", "process", "dockerd")


def main() -> int:
    """Run the rounds; 1 if something went wrong in any."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--image", default="wf/base:bookworm")
    parser.add_argument("--kinds", default=",".join(KINDS))
    arguments = parser.parse_args()
    kinds = arguments.kinds.split(",")
    print(f"{arguments.runs} rounds, SEED={arguments.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="wf-faults-"))
    engine = PrivateEngine(folder / "engine", arguments.image) if "dockerd" in kinds else None
    kills: dict[str, Kill] = {"process": kill_wf, "docker": kill_wf, "container": kill_container}
    if engine is not None:
        kills["dockerd"] = lambda _project, _process: engine.kill()
    expected: dict[str, Expected] = {}
    wrong: list[Round] = []
    count: Counter[str] = Counter()
    try:
        for kind in dict.fromkeys(kinds):
            expected[kind] = Expected.of(folder / f"reference-{kind}", kind, arguments.image)
        for number in range(arguments.runs):
            kind = kinds[number % len(kinds)]
            address = engine.address if engine and kind == "dockerd" else ""
            done = play(number, kind, arguments.seed, folder, arguments.image, expected[kind], kills[kind], address)
            print(done, flush=True)
            count[kind] += 1
            wrong += [done] if done.wrong else []
    finally:
        if engine is not None:
            engine.close()
    print(f"{sum(count.values())} rounds ({', '.join(f'{n} {kind}' for kind, n in count.items())}), {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
