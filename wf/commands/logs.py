"""Print what the jobs of a run printed, secrets masked. With --follow, go on while the run lasts."""

import argparse
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from wf.commands.shared import find_jobs, open_history
from wf.errors import InvalidWorkflow, Problem
from wf.store import Store
from wf.store.joblog import log_files, read_lines
from wf.store.records import JobRecord

_FOLLOWS_ONE = Problem("`--follow` needs a job", hint="write `wf logs RUN JOB --follow`")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, and perhaps a job."""
    parser.add_argument("run", nargs="?", default="latest", help="the number of a run (the last one)")
    parser.add_argument(
        "job", nargs="?", help="one job, or all of a matrix; without it all jobs, each line with its job's name"
    )
    parser.add_argument("-n", "--tail", type=int, metavar="N", help="only the last N lines of each job")
    parser.add_argument("--attempt", type=int, metavar="N", help="of a job that was tried again: an earlier attempt")
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
    if arguments.attempt is not None and (len(jobs) > 1 or arguments.json):
        raise InvalidWorkflow([Problem("`--attempt` needs a job", hint="write `wf logs RUN JOB --attempt N`")])
    if arguments.json:
        logs = [{"name": job.name, "state": job.state, "lines": list(_lines(job.log, arguments.tail))} for job in jobs]
        print(json.dumps({"run": run, "jobs": logs}, indent=2))
        return 0
    if len(jobs) == 1 and arguments.job:
        _print_one(store, run, jobs[0], arguments)
        return 0
    width = max(len(job.name) for job in jobs)
    for job in jobs:
        for line in _lines(job.log, arguments.tail):
            print(f"{job.name:<{width}} | {line}")
    return 0


def _print_one(store: Store, run: int, job: JobRecord, arguments: argparse.Namespace) -> None:
    log = job.log if arguments.attempt is None else _attempt_log(job, arguments.attempt)
    for line in _lines(log, arguments.tail):
        print(line)
    if arguments.attempt is None and job.attempts:
        number = len(job.attempts)
        print(f"this was attempt {number + 1}; `--attempt {number}` prints the one before", file=sys.stderr)
    if arguments.follow:
        _follow(store, run, job)
    elif not log.exists():
        print(f"job `{job.name}` has not printed anything: it is {job.state}", file=sys.stderr)


def _attempt_log(job: JobRecord, attempt: int) -> Path:
    found = {each.attempt: each.log for each in job.attempts} | {len(job.attempts) + 1: job.log}
    if attempt not in found:
        tried = "once" if len(found) == 1 else f"{len(found)} times"
        raise InvalidWorkflow([Problem(f"job `{job.name}` has no attempt {attempt}", hint=f"it was tried {tried}")])
    return found[attempt]


def _lines(log: Path, tail: int | None) -> Iterable[str]:
    return read_lines(log) if tail is None else deque(read_lines(log), maxlen=max(0, tail))


def _print_rest(part: Path, inode: int, position: int) -> None:
    """Print what was added to a part of the log, if it is that one, after it was last looked at."""
    if part.exists() and part.stat().st_ino == inode:
        with part.open("rb") as log:
            log.seek(position)
            sys.stdout.write(log.read().decode(errors="replace"))


def _follow(store: Store, run: int, job: JobRecord) -> None:
    def state() -> str:
        return next(each.state for each in store.history.jobs(run) if each.name == job.name)

    seen = job.log.stat() if job.log.exists() else None
    inode, position = (seen.st_ino, seen.st_size) if seen else (0, 0)
    while True:
        is_over = state() not in ("waiting", "running")
        if job.log.exists():
            with job.log.open("rb") as log:
                if os.fstat(log.fileno()).st_ino != inode:  # a part is full, or the next attempt has begun
                    _print_rest(log_files(job.log)[1], inode, position)
                    inode, position = os.fstat(log.fileno()).st_ino, 0
                log.seek(position)
                chunk = log.read()
            position += len(chunk)
            sys.stdout.write(chunk.decode(errors="replace"))
            sys.stdout.flush()
        if is_over:
            return
        time.sleep(0.3)
