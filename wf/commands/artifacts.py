"""List, show and export what jobs left: contents of the store, whatever names them.

REF is RUN/JOB/OUTPUT, where RUN may be `latest`, or the beginning of a digest.
"""

import argparse
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from wf.commands.data import Answer, add_command, answer
from wf.commands.shared import open_history
from wf.errors import EnvironmentProblem, InvalidWorkflow, Problem
from wf.report.text import columns, size
from wf.store import Store
from wf.store.layout import below, in_use
from wf.store.lineage import Lineage, ListedArtifact, Use
from wf.store.transfer import copy_out

_SHOWN_USES = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A subcommand with its own arguments."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listed = add_command(commands, "list", "list artifacts, the biggest first")
    listed.add_argument("run", nargs="?", metavar="RUN", help="only what a run left")
    add_command(commands, "show", "show an artifact, what made it and what read it").add_argument("ref", metavar="REF")
    add_command(commands, "path", "print where an artifact lies").add_argument("ref", metavar="REF")
    export = add_command(commands, "export", "copy an artifact to a new place")
    export.add_argument("ref", metavar="REF")
    export.add_argument("place", type=Path, metavar="PLACE", help="a new or empty folder; a new file for a string")


def execute(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says, and print what came of it."""
    store = open_history(Path.cwd())
    return answer(_COMMANDS[arguments.command](store, arguments), as_json=arguments.json)


def _list(store: Store, arguments: argparse.Namespace) -> Answer:
    run = store.history.run(arguments.run).id if arguments.run else None
    artifacts = store.artifacts_of(run)
    rows = [("artifact", "size", "files", "made by", "is")]
    rows += [
        (
            each.digest[:12],
            size(each.bytes),
            str(each.files),
            f"run {each.made_by.run}, {each.made_by.job}.{each.made_by.name}" if each.made_by else "",
            ", ".join(filter(None, [each.dataset, each.model])),
        )
        for each in artifacts
    ]
    empty = "there are no artifacts yet: jobs with outputs make them"
    return [each.to_json() for each in artifacts], "\n".join(columns(rows)) if artifacts else empty


def _show(store: Store, arguments: argparse.Namespace) -> Answer:
    artifact, its = _found(store, arguments.ref)
    rows = [
        ("artifact", artifact.digest),
        ("content", f"{size(artifact.bytes)} in {artifact.files} file{'' if artifact.files == 1 else 's'}"),
        ("path", below(store.artifacts.path(artifact.digest), Path.cwd())),
        ("dataset", ", ".join(its.datasets)),
        ("model", ", ".join(its.models)),
        *lineage_rows(its),
    ]
    return _record(store, artifact, its), "\n".join(f"{label:<11}{text}" for label, text in rows if text)


def _path(store: Store, arguments: argparse.Namespace) -> Answer:
    path = store.artifacts.path(store.find_digest(arguments.ref))
    return str(path), str(path)


def _export(store: Store, arguments: argparse.Namespace) -> Answer:
    artifact, its = _found(store, arguments.ref)
    source, place = store.artifacts.path(artifact.digest), arguments.place
    with in_use(store.layout.artifacts):
        if not source.exists():
            raise EnvironmentProblem(f"the files of {artifact.digest[:12]} are gone", hint="`wf fsck` knows more.")
        if artifact.kind == "folder":
            copy_out(source, place)
        elif place.exists():
            raise InvalidWorkflow([Problem(f"`{place}` is there already", hint="name a new file")])
        else:
            shutil.copyfile(source, place)
    return _record(store, artifact, its), f"{size(artifact.bytes)} in {place}"


_COMMANDS: Mapping[str, Callable[[Store, argparse.Namespace], Answer]] = {
    "list": _list,
    "show": _show,
    "path": _path,
    "export": _export,
}


def lineage_rows(its: Lineage) -> list[tuple[str, str]]:
    """The lines about where content comes from and went, as a label and a text."""
    return [
        ("made by", _uses([use for use in its.made_by if use.cached_from is None] or its.made_by)),
        ("made from", ", ".join(its.made_from)),
        ("reused in", _runs([use.run for use in its.made_by if use.cached_from is not None])),
        ("read by", _uses(its.read_by)),
        ("led to", ", ".join(its.led_to)),
    ]


def _found(store: Store, ref: str) -> tuple[ListedArtifact, Lineage]:
    digest = store.find_digest(ref)
    return next(each for each in store.artifacts_of() if each.digest == digest), store.lineage(digest)


def _uses(uses: "tuple[Use, ...] | list[Use]") -> str:
    shown = [f"run {use.run}, {use.job}.{use.name}" for use in uses[:_SHOWN_USES]]
    more = [f"{len(uses) - _SHOWN_USES} more"] if len(uses) > _SHOWN_USES else []
    return "; ".join([*shown, *more])


def _runs(runs: list[int]) -> str:
    if not runs:
        return ""
    shown = ", ".join(map(str, runs[:_SHOWN_USES]))
    return f"run{'s' if len(runs) > 1 else ''} {shown}" + (
        f" and {len(runs) - _SHOWN_USES} more" if len(runs) > _SHOWN_USES else ""
    )


def _record(store: Store, artifact: ListedArtifact, its: Lineage) -> dict[str, object]:
    return {**artifact.to_json(), "path": str(store.artifacts.path(artifact.digest)), "lineage": its.to_json()}
