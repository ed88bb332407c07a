"""Print what the jobs of a run printed, secrets masked. With --follow, go on while the run lasts."""

import argparse
import json
import sys
import time
from pathlib import Path

from wf.commands.shared import find_jobs, open_history
from wf.errors import InvalidWorkflow, Problem
from wf.store import Store
from wf.store.records import JobRecord

_FOLLOWS_ONE = Problem("`--follow` needs a job", hint="write `wf logs RUN JOB --follow`")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, and perhaps a job."""
    parser.add_argument("run", nargs="?", default="latest", help="the number of a run (the last one)")
    parser.add_argument(
        "job", nargs="?", help="one job, or all of a matrix; without it all jobs, each line with its job's name"
    )
    parser.add_argument("-n", "--tail", type=int, metavar="N", help="only the last N lines of each job")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("-f", "--follow", action="store_true", help="print new lines while the job runs")
    form.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print the logs in the order of the plan."""
    if arguments.follow and not arguments.job:
        raise InvalidWorkflow([_FOLLOWS_ONE])
    store = open_history(Path.cwd())
    run = store.history.run(arguments.run).id
    jobs = store.history.jobs(run)
    if arguments.job:
        jobs = find_jobs(run, jobs, arguments.job)
    if arguments.follow and len(jobs) > 1:
        raise InvalidWorkflow([_FOLLOWS_ONE])
    if arguments.json:
        logs = [{"name": job.name, "state": job.state, "lines": _lines(job, arguments.tail)} for job in jobs]
        print(json.dumps({"run": run, "jobs": logs}, indent=2))
        return 0
    if len(jobs) == 1 and arguments.job:
        _print_one(store, run, jobs[0], arguments)
        return 0
    width = max(len(job.name) for job in jobs)
    for job in jobs:
        for line in _lines(job, arguments.tail):
            print(f"{job.name:<{width}} | {line}")
    return 0


def _print_one(store: Store, run: int, job: JobRecord, arguments: argparse.Namespace) -> None:
    for line in _lines(job, arguments.tail):
        print(line)
    if arguments.follow:
        _follow(store, run, job)
    elif not job.log.exists():
        print(f"job `{job.name}` has not printed anything: it is {job.state}", file=sys.stderr)


def _lines(job: JobRecord, tail: int | None) -> list[str]:
    if not job.log.exists():
        return []
    lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines if tail is None else lines[max(0, len(lines) - tail) :]


def _follow(store: Store, run: int, job: JobRecord) -> None:
    def state() -> str:
        return next(each.state for each in store.history.jobs(run) if each.name == job.name)

    position = job.log.stat().st_size if job.log.exists() else 0
    while True:
        is_over = state() not in ("waiting", "running")
        if job.log.exists():
            with job.log.open("rb") as log:
                log.seek(position)
                chunk = log.read()
            position += len(chunk)
            sys.stdout.write(chunk.decode(errors="replace"))
            sys.stdout.flush()
        if is_over:
            return
        time.sleep(0.3)
