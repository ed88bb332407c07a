"""Show one run: its jobs, what they read and left, and their metrics."""

import argparse
import json
from pathlib import Path

from wf.commands.shared import open_history, since
from wf.report.text import duration, size
from wf.store.layout import below
from wf.store.records import JobRecord, RunRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, and the form of the answer."""
    parser.add_argument("run", nargs="?", default="latest", help="the number of a run (the last one)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print the run."""
    history = open_history(Path.cwd()).history
    run = history.run(arguments.run)
    jobs = history.jobs(run.id)
    if arguments.json:
        print(json.dumps({**run.to_json(), "jobs": [job.to_json() for job in jobs]}, indent=2))
    else:
        print("\n".join([*_run(run), *(line for job in jobs for line in _job(job))]))
    return 0


def _run(run: RunRecord) -> list[str]:
    code = f"{run.git_commit[:12]}{' with changes' if run.git_dirty else ''}" if run.git_commit else ""
    rows = [
        ("run", f"{run.id}  {run.workflow}"),
        ("state", f"{run.state} after {duration(since(run))}"),
        ("error", run.error),
        ("started", run.started),
        ("backend", run.backend),
        ("code", code),
        ("inputs", ", ".join(f"{name}={value}" for name, value in run.inputs.items())),
    ]
    return [f"{label:<9}{text}" for label, text in rows if text]


def _job(job: JobRecord) -> list[str]:
    took = f" after {duration(job.seconds)}" if job.seconds else ""
    took = f", cached from run {job.cached_from}" if job.cached_from is not None else took
    lines = ["", f"{job.name}: {job.state}{took}"]
    lines += [f"  error    {job.error}"] if job.error else []
    lines += [f"  attempt  {each.attempt} failed after {duration(each.seconds)}: {each.error}" for each in job.attempts]
    lines += [f"  image    {job.image}, for {job.image_stands_for}"] if job.image_stands_for else []
    lines += [f"  read     {given.name} <- {given.source}" for given in job.inputs if given.source]
    for left in job.outputs:
        named = f" = {left.dataset}" if left.dataset else ""
        files = "1 file" if left.files == 1 else f"{left.files} files"
        lines.append(f"  left     {left.name}{named}  {size(left.bytes)} in {files}  {below(left.link, Path.cwd())}")
    lines += [f"  model    {job.model}"] if job.model else []
    lines += [f"  metric   {name} = {value:g}" for name, value in job.metrics.items()]
    return lines
