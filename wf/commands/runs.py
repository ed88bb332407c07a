"""List earlier runs, newest first."""

import argparse
import json
from pathlib import Path

from wf.commands.shared import open_history, since
from wf.report.text import duration
from wf.store.records import RunRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many, and in which form."""
    parser.add_argument("-n", "--limit", type=int, default=20, help="how many runs (20; 0 for all)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print the list."""
    runs = open_history(Path.cwd()).history.runs(arguments.limit or -1)
    if arguments.json:
        print(json.dumps([run.to_json() for run in runs], indent=2))
    elif runs:
        print(_table(runs))
    else:
        print("this project has no runs yet: start one with `wf run FILE`")
    return 0


def _table(runs: tuple[RunRecord, ...]) -> str:
    rows = [("run", "workflow", "state", "started", "took")]
    rows += [
        (str(run.id), run.workflow, run.state, run.started[:19].replace("T", " "), duration(since(run))) for run in runs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
