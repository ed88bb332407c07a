"""List earlier runs, newest first; keep one whatever `wf gc` is asked for."""

import argparse
import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from wf.commands.shared import open_history, parse_age, since
from wf.errors import InvalidWorkflow, Problem
from wf.events import RunState, now
from wf.report.text import columns, duration, size
from wf.store import Store
from wf.store.records import RunRecord
from wf.store.search import COMPARISONS, MetricCondition, RunFilter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which runs, in which order and form; or what to do with some."""
    parser.add_argument("-n", "--limit", type=int, default=20, help="how many runs (20; 0 for all)")
    parser.add_argument("--workflow", default="", metavar="NAME", help="only runs of this file: its path or name")
    parser.add_argument(
        "--state",
        action="append",
        default=[],
        choices=get_args(RunState),
        help="only runs that ended so; may be repeated",
    )
    parser.add_argument("--since", type=_moment, metavar="WHEN", help="only runs from then on: 2d, 12h, 2026-11-21")
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        type=_condition,
        metavar="CONDITION",
        help="only runs with such a metric, which is shown: 'test_rmse<1.05', or only its name; may be repeated",
    )
    parser.add_argument("--sort", default="run", metavar="KEY", help="by run, workflow, state, took or a metric's name")
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, about in (("pin", "keep runs, whatever `wf gc` is asked for"), ("unpin", "keep them no more")):
        command = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        command.add_argument("runs", nargs="+", metavar="RUN", help="the number of a run, or `latest`")
    delete = commands.add_parser(
        "delete", help="delete runs with their logs and outputs", description=_delete.__doc__, allow_abbrev=False
    )
    delete.add_argument("runs", nargs="+", metavar="RUN", help="the number of a run, or `latest`")
    delete.add_argument("--yes", action="store_true", help="do it; without this it is only shown")


def execute(arguments: argparse.Namespace) -> int:
    """Print the list, or do what the subcommand says."""
    store = open_history(Path.cwd())
    history = store.history
    if arguments.command == "delete":
        print("\n".join(_delete(store, arguments.runs, do=arguments.yes)))
        return 0
    if arguments.command:
        for run in [history.run(ref) for ref in arguments.runs]:
            history.pin(run.id, pinned=arguments.command == "pin")
            print(f"run {run.id} is {'pinned' if arguments.command == 'pin' else 'not pinned'}")
        return 0
    wanted = RunFilter(arguments.workflow, frozenset(arguments.state), arguments.since, arguments.metric)
    names = dict.fromkeys([condition.name for condition in arguments.metric])
    if arguments.sort not in _KEYS:
        names[arguments.sort] = None
    metrics = {name: history.metric(name) for name in names}
    runs = _sorted(history.runs(wanted), arguments.sort, metrics)
    runs = (runs[::-1] if arguments.reverse else runs)[: arguments.limit or None]
    if arguments.json:
        print(json.dumps([{**run.to_json(), "metrics": _metrics_of(run, metrics)} for run in runs], indent=2))
    elif runs:
        print(_table(runs, metrics))
    elif wanted != RunFilter(metrics=[]):
        print("no run is like that")
    else:
        print("this project has no runs yet: start one with `wf run FILE`")
    return 0


def _delete(store: Store, refs: list[str], *, do: bool) -> list[str]:
    """Delete runs with their logs and outputs. What a dataset, a model, a deployment or another run needs stays."""
    runs = {store.history.run(ref).id for ref in refs}
    outputs = {
        output.digest: f"{run}/{job.name}/{output.name}"
        for run in sorted(runs)
        for job in store.history.jobs(run)
        for output in job.outputs
    }
    needed = store.history.needed_without(runs)
    word = "kept" if do else "would keep"
    kept = [f"{word} {name}: {_users(store, digest, runs)}" for digest, name in outputs.items() if digest in needed]
    what = f"run{'s' if len(runs) > 1 else ''} {', '.join(map(str, sorted(runs)))}"
    if not do:
        return [f"would delete {what}", *kept, "nothing was deleted: add --yes to do it"]
    freed = sum(each.bytes for each in store.history.remove(runs))
    return [f"deleted {what}: outputs of {size(freed)} are gone", *kept]


def _users(store: Store, digest: str, without: Collection[int]) -> str:
    """Who needs content when these runs are gone."""
    its = store.lineage(digest)
    runs = dict.fromkeys(f"run {use.run}" for use in its.made_by if use.run not in without)
    return "needed by " + (", ".join([*its.datasets, *its.models, *runs]) or "a deployment")


_KEYS: Mapping[str, Callable[[RunRecord], Any]] = {
    "run": lambda run: -run.id,
    "workflow": lambda run: run.workflow,
    "state": lambda run: run.state,
    "took": since,
}
"""What a list can be sorted by, beside metrics."""


def _sorted(runs: tuple[RunRecord, ...], key: str, metrics: dict[str, dict[int, float]]) -> list[RunRecord]:
    if key in _KEYS:
        return sorted(runs, key=_KEYS[key])
    values = metrics[key]
    if not values:
        hint = f"beside metrics there are {', '.join(_KEYS)}"
        raise InvalidWorkflow([Problem(f"no run has a metric `{key}` to sort by", hint=hint)])
    return sorted((run for run in runs if run.id in values), key=lambda run: values[run.id])


def _table(runs: list[RunRecord], metrics: dict[str, dict[int, float]]) -> str:
    rows = [("run", "workflow", "state", "started", "took", *metrics, "")]
    rows += [
        (
            str(run.id),
            run.workflow,
            run.state,
            run.started[:19].replace("T", " "),
            duration(since(run)),
            *(f"{values[run.id]:.6g}" if run.id in values else "" for values in metrics.values()),
            "pinned" if run.pinned else "",
        )
        for run in runs
    ]
    return "\n".join(columns(rows))


def _metrics_of(run: RunRecord, metrics: dict[str, dict[int, float]]) -> dict[str, float]:
    return {name: values[run.id] for name, values in metrics.items() if run.id in values}


def _moment(text: str) -> datetime:
    if age := parse_age(text):
        return now() - age
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is no moment: write 2d, 12h or 2026-11-21") from None


def _condition(text: str) -> MetricCondition:
    for comparison in COMPARISONS:
        name, found, value = text.partition(comparison)
        if found and name.strip():
            try:
                return MetricCondition(name.strip(), comparison, float(value))
            except ValueError:
                raise argparse.ArgumentTypeError(f"`{value.strip()}` is no number: write 'rmse<1.05'") from None
    return MetricCondition(text.strip())
