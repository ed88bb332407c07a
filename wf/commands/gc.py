"""Free disk space: show what need not be kept, ask, and remove it.

Without a rule no run goes, only what killed programs have left. What a version of a dataset, a model, a pinned run or a
run that goes on needs always stays. So do the last run of each workflow that succeeded, and its last run of all if
`wf resume` could go on with it, but for --keep-last 0.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from wf.commands.shared import open_history, parse_age
from wf.errors import EnvironmentProblem
from wf.plan import parse_size
from wf.report.text import columns, size
from wf.store import Store
from wf.store.garbage import Garbage, Retention

if TYPE_CHECKING:
    from wf.backends.engine import Engine
    from wf.backends.leftovers import Leftovers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which runs go, and whether to ask."""
    parser.add_argument("--keep-last", type=_whole, metavar="N", help="let all but the last N runs of a workflow go")
    parser.add_argument(
        "--older-than", type=_age, metavar="AGE", help="let only runs go that began longer ago: 30d, 12h, 2w"
    )
    parser.add_argument(
        "--max-size",
        type=_bytes,
        metavar="SIZE",
        help="let the oldest runs go until artifacts and logs take no more, for example 20GB",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only show it")
    parser.add_argument("--json", action="store_true", help="print JSON; removes nothing without --yes")


def execute(arguments: argparse.Namespace) -> int:
    """Show it, ask, do it."""
    store = open_history(Path.cwd())
    retention = Retention(arguments.keep_last, arguments.older_than, arguments.max_size)
    garbage = store.garbage.survey(retention)
    engine, left = _in_docker(store)
    if arguments.json:
        remove = arguments.yes and not arguments.dry_run
    else:
        print("\n".join(_shown(garbage, left, retention)))
        remove = bool(garbage or left) and not arguments.dry_run and (arguments.yes or _agreed())
    freed = 0
    if remove:
        freed = store.garbage.collect(garbage)
        if engine is not None and left is not None:
            from wf.backends.leftovers import remove_leftovers

            remove_leftovers(engine, left)
    if arguments.json:
        print(json.dumps({**_as_json(garbage, left), "freed": freed}, indent=2))
    elif remove:
        print(f"freed {size(freed)}" + (", and what Docker had left of it" if left else ""))
    return 0


def _in_docker(store: Store) -> "tuple[Engine | None, Leftovers | None]":
    """What is left in the Docker engine, if one answers."""
    from wf.backends.engine import find_engine
    from wf.backends.leftovers import find_leftovers
    from wf.settings import load_settings

    try:
        engine = find_engine()
    except EnvironmentProblem:
        return None, None
    root = store.layout.root
    deployed = {revision.image for each in store.deployments.all() for revision in each.revisions}
    settings = load_settings(root).docker
    return engine, find_leftovers(engine, root, settings, running=store.history.running, deployed=deployed)


def _shown(garbage: Garbage, left: "Leftovers | None", retention: Retention) -> list[str]:
    rows = [
        ("runs", _listed(garbage.runs), size(garbage.logs)),
        ("artifacts", _count(garbage.artifacts), size(sum(each.bytes for each in garbage.artifacts))),
        ("strays", _count(garbage.strays.paths), size(garbage.strays.bytes)),
        ("checkpoints", _count(garbage.checkpoints.paths), size(garbage.checkpoints.bytes)),
        ("copies of steps/", _count(garbage.code.paths), size(garbage.code.bytes)),
    ]
    if left is not None:
        rows += [
            ("containers", _count(left.containers), ""),
            ("volumes", _count(left.volumes), ""),
            ("images", _count(tuple(left.images)), size(sum(left.images.values()))),
        ]
    rows = [row for row in rows if row[1]]
    kept = f"{garbage.kept_runs} run{'' if garbage.kept_runs == 1 else 's'}, {size(garbage.kept_bytes)}"
    lines = ["would remove", *columns(rows, "  ")] if rows else ["there is nothing to remove"]
    lines.append(f"would keep {kept}" if rows else f"kept: {kept}")
    if retention.max_bytes is not None and garbage.kept_bytes > retention.max_bytes:
        lines.append(f"datasets, models, pinned and last runs need more than {size(retention.max_bytes)}")
    return lines


def _agreed() -> bool:
    if not sys.stdin.isatty():
        print("nothing was removed: add --yes to do it")
        return False
    agreed = input("remove it? [y/N] ").strip().lower() in {"y", "yes"}
    if not agreed:
        print("nothing was removed")
    return agreed


def _as_json(garbage: Garbage, left: "Leftovers | None") -> dict[str, object]:
    return {
        "runs": list(garbage.runs),
        "artifacts": [each.to_json() for each in garbage.artifacts],
        "strays": [str(path) for path in garbage.strays.paths],
        "checkpoints": [str(path) for path in garbage.checkpoints.paths],
        "code": [str(path) for path in garbage.code.paths],
        "containers": list(left.containers) if left else [],
        "volumes": list(left.volumes) if left else [],
        "images": list(left.images) if left else [],
        "bytes": garbage.bytes,
        "kept_runs": garbage.kept_runs,
        "kept_bytes": garbage.kept_bytes,
    }


def _listed(runs: Sequence[int]) -> str:
    shown = ", ".join(map(str, runs[:8]))
    return f"{shown} and {len(runs) - 8} more" if len(runs) > 8 else shown


def _count(things: Sequence[object]) -> str:
    return str(len(things)) if things else ""


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of runs")
    return int(text)


def _age(text: str) -> timedelta:
    age = parse_age(text)
    if age is None:
        raise argparse.ArgumentTypeError(f"`{text}` is no age: write 30d, 12h or 2w")
    return age


def _bytes(text: str) -> int:
    count = parse_size(text)
    if count is None:
        raise argparse.ArgumentTypeError(f"`{text}` is no size: write 20GB or 500MiB")
    return count
