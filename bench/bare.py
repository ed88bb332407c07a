"""The floor of a run in Docker: the same containers by the engine's interface, and nothing else.

    python -m bench.bare IMAGE --lanes 2

A holder for each lane, whose network the containers of the lane join one after the other, made when that is cheapest:
the next one is created while one runs. Nothing is planned, read, stored or recorded.
"""

import argparse
import threading
from collections.abc import Mapping
from typing import Any, Final

from wf.backends.containers import create, remove_container, start, wait
from wf.backends.engine import Engine, find_engine

LABEL: Final = "wf.bench.bare"
"""By which its containers are found."""


def run_lane(engine: Engine, image: str, jobs: int) -> None:
    """Run so many containers one after the other."""
    holder = create(engine, _config(image, ["sleep", "600"], "none"))
    try:
        start(engine, holder)
        job = _config(image, ["python3", "-c", "pass"], f"container:{holder}")
        removals = []
        following = create(engine, job)
        for number in range(jobs):
            current = following
            start(engine, current)
            if number + 1 < jobs:
                following = create(engine, job)
            wait(engine, current)
            removals.append(threading.Thread(target=remove_container, args=(engine, current)))
            removals[-1].start()
        for removal in removals:
            removal.join()
    finally:
        remove_container(engine, holder)


def run(engine: Engine, image: str, jobs: int, lanes: int) -> None:
    """Run so many containers, shared among the lanes."""
    counts = [len(range(lane, jobs, lanes)) for lane in range(lanes)]
    threads = [threading.Thread(target=run_lane, args=(engine, image, count)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _config(image: str, command: list[str], network: str) -> Mapping[str, Any]:
    return {
        "Image": image,
        "Entrypoint": command,
        "Labels": {LABEL: ""},
        "HostConfig": {"NetworkMode": network, "LogConfig": {"Type": "none"}},
    }


def main() -> None:
    """Run all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--lanes", type=int, default=1)
    arguments = parser.parse_args()
    run(find_engine(), arguments.image, arguments.jobs, arguments.lanes)


if __name__ == "__main__":
    main()
