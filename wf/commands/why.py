"""Say why the jobs of a run ran, or did not have to."""

import argparse
import json
from pathlib import Path

from wf.cache import differences
from wf.commands.shared import find_jobs, open_history
from wf.report.text import columns
from wf.store import Store
from wf.store.records import JobRecord, RunRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, and perhaps a job."""
    parser.add_argument("run", nargs="?", default="latest", help="the number of a run (the last one)")
    parser.add_argument("job", nargs="?", help="one job, or all of a matrix; without it all jobs")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print a sentence for each job, in the order of the plan."""
    store = open_history(Path.cwd())
    run = store.history.run(arguments.run)
    jobs = store.history.jobs(run.id)
    if arguments.job:
        jobs = find_jobs(run.id, jobs, arguments.job)
    told = [(job.name, *_why(store, run, job)) for job in jobs]
    if arguments.json:
        print(json.dumps([{"name": name, "decision": what, "reason": why} for name, what, why in told], indent=2))
    else:
        print("\n".join(columns([(name, f"{what}: {why}" if why else what) for name, what, why in told])))
    return 0


def _why(store: Store, run: RunRecord, job: JobRecord) -> tuple[str, str]:
    """What became of the job, and why."""
    if job.cached_from is not None:
        return f"cached from run {job.cached_from}", "all that its outputs depend on is the same"
    if job.started is None:
        return job.state, job.error
    last = store.last_execution(run.workflow, job.name, run.id)
    is_comparison = last is not None and job.key is not None and job.reason == "; ".join(differences(job.key, last.key))
    return "ran", f"{job.reason}, compared with run {last.run}" if is_comparison and last else job.reason
