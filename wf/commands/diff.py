"""Compare two runs: what went into their jobs (parameters, inputs, code, image, environment), and what came out."""

import argparse
import json
from pathlib import Path

from wf.commands.shared import open_history
from wf.errors import InvalidWorkflow, Problem
from wf.report.comparison import compare, render
from wf.store.history import History
from wf.store.records import RunRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two runs."""
    parser.add_argument("before", nargs="?", metavar="RUN", help="a run (the one before of the same workflow)")
    parser.add_argument("after", nargs="?", default="latest", metavar="RUN", help="another run (the last one)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print what differs."""
    history = open_history(Path.cwd()).history
    after = history.run(arguments.after)
    before = history.run(arguments.before) if arguments.before else _run_before(history, after)
    comparison = compare(before, history.jobs(before.id), after, history.jobs(after.id))
    print(json.dumps(comparison.to_json(), indent=2) if arguments.json else render(comparison))
    return 0


def _run_before(history: History, run: RunRecord) -> RunRecord:
    earlier = (each for each in history.runs() if each.workflow == run.workflow and each.id < run.id)
    found = next(earlier, None)
    if found is None:
        hint = "name two: `wf diff RUN RUN`; `wf runs` lists them"
        raise InvalidWorkflow([Problem(f"no run of {run.workflow} was before run {run.id}", hint=hint)])
    return found
