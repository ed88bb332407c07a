"""List earlier runs, newest first; keep one whatever `wf gc` is asked for."""

import argparse
import json
from pathlib import Path

from wf.commands.shared import open_history, since
from wf.report.text import columns, duration
from wf.store.records import RunRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many, and in which form."""
    parser.add_argument("-n", "--limit", type=int, default=20, help="how many runs (20; 0 for all)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, about in (("pin", "keep runs, whatever `wf gc` is asked for"), ("unpin", "keep them no more")):
        command = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        command.add_argument("runs", nargs="+", metavar="RUN", help="the number of a run, or `latest`")


def execute(arguments: argparse.Namespace) -> int:
    """Print the list, or do what the subcommand says."""
    store = open_history(Path.cwd())
    if arguments.command:
        for run in [store.history.run(ref) for ref in arguments.runs]:
            store.history.pin(run.id, pinned=arguments.command == "pin")
            print(f"run {run.id} is {'pinned' if arguments.command == 'pin' else 'not pinned'}")
        return 0
    runs = store.history.runs(arguments.limit or -1)
    if arguments.json:
        print(json.dumps([run.to_json() for run in runs], indent=2))
    elif runs:
        print(_table(runs))
    else:
        print("this project has no runs yet: start one with `wf run FILE`")
    return 0


def _table(runs: tuple[RunRecord, ...]) -> str:
    rows = [("run", "workflow", "state", "started", "took", "")]
    rows += [
        (
            str(run.id),
            run.workflow,
            run.state,
            run.started[:19].replace("T", " "),
            duration(since(run)),
            "pinned" if run.pinned else "",
        )
        for run in runs
    ]
    return "\n".join(columns(rows))
