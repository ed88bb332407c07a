"""`make together`: 8 runs of overlapping workflows at once, as often as asked for."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.concurrency.together import play


def main() -> int:
    """Run them; 1 if something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.concurrency", description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"{arguments.times} times 8 runs, SEED={arguments.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="wf-together-"))
    wrong = 0
    for number in range(arguments.times):
        began = time.monotonic()
        told = play(number, arguments.seed, folder)
        wrong += bool(told)
        print(f"{number:3} {time.monotonic() - began:.1f} s: {told or 'ok'}", flush=True)
    print(f"{arguments.times} times, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
