"""Show one run: its jobs, what they read and left, and their metrics."""

import argparse
import json
from pathlib import Path

from wf.commands.shared import open_history, since
from wf.report.text import duration, size
from wf.store import Store
from wf.store.layout import below
from wf.store.records import InputRecord, JobRecord, RunRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, and the form of the answer."""
    parser.add_argument("run", nargs="?", default="latest", help="the number of a run (the last one)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--format",
        choices=("wf", "gradient"),
        default="wf",
        help="the shape of the JSON: ours, or that of Gradient's API",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the run."""
    store = open_history(Path.cwd())
    history = store.history
    run = history.run(arguments.run)
    jobs = history.jobs(run.id)
    if arguments.format == "gradient":
        from wf.gradient.runs import run_object

        print(json.dumps(run_object(store, run), indent=4))
    elif arguments.json:
        print(json.dumps({**run.to_json(), "jobs": [job.to_json() for job in jobs]}, indent=2))
    else:
        print("\n".join([*_run(store, run), *(line for job in jobs for line in _job(store, run.id, job))]))
    return 0


def _run(store: Store, run: RunRecord) -> list[str]:
    changes = store.layout.changes(run.id)
    code = f"{run.git_commit[:12]}{' with changes' if run.git_dirty else ''}" if run.git_commit else ""
    code += f"  {below(changes, Path.cwd())}" if changes.exists() else ""
    rows = [
        ("run", f"{run.id}  {run.workflow}"),
        ("resumes", f"run {run.resumes}" if run.resumes else ""),
        ("state", f"{run.state} after {duration(since(run))}"),
        ("error", run.error),
        ("started", run.started),
        ("backend", run.backend),
        ("code", code),
        ("inputs", ", ".join(f"{name}={value}" for name, value in run.inputs.items())),
    ]
    return [f"{label:<9}{text}" for label, text in rows if text]


def _job(store: Store, run: int, job: JobRecord) -> list[str]:
    took = f" after {duration(job.seconds)}" if job.seconds else ""
    took = f", cached from run {job.cached_from}" if job.cached_from is not None else took
    lines = ["", f"{job.name}: {job.state}{took}"]
    lines += [f"  error    {job.error}"] if job.error else []
    lines += [f"  attempt  {each.attempt} failed after {duration(each.seconds)}: {each.error}" for each in job.attempts]
    lines += [f"  image    {job.image}, for {job.image_stands_for}"] if job.image_stands_for else []
    lines += [f"  read     {_read(store, run, given)}" for given in job.inputs if given.source]
    for left in job.outputs:
        named = f" = {left.dataset}" if left.dataset else ""
        files = "1 file" if left.files == 1 else f"{left.files} files"
        lines.append(f"  left     {left.name}{named}  {size(left.bytes)} in {files}  {below(left.link, Path.cwd())}")
        elsewhere = dict.fromkeys((use.run, use.job) for use in store.lineage(left.digest).read_by if use.run != run)
        if elsewhere:
            lines.append(f"  read by  {'; '.join(f'run {other}, {reader}' for other, reader in elsewhere)}")
    lines += [f"  model    {job.model}"] if job.model else []
    lines += [f"  metric   {name} = {value:g}" for name, value in job.metrics.items()]
    return lines


def _read(store: Store, run: int, given: InputRecord) -> str:
    """An input, and of a dataset what made it."""
    made_by = [use for use in store.lineage(given.digest).made_by if use.cached_from is None and use.run != run]
    maker = f"  made by run {made_by[0].run}, {made_by[0].job}" if made_by and ".outputs." not in given.source else ""
    return f"{given.name} <- {given.source}{maker}"
