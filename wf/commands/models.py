"""List, show, export and delete models: content of the store that a workflow registered with `create-model@v1`."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from wf.commands.data import Answer, add_command, amount, answer, deletion, moment
from wf.commands.shared import open_history
from wf.report.text import columns, size
from wf.store import Store
from wf.store.layout import below
from wf.store.transfer import copy_out

_MODEL = "the id of a model, or a name for its newest"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A subcommand with its own arguments."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_command(commands, "list", "list the models of this project, newest first")
    add_command(commands, "show", "show a model").add_argument("model", metavar="MODEL", help=_MODEL)
    export = add_command(commands, "export", "copy a model to a new or empty folder")
    export.add_argument("model", metavar="MODEL", help=_MODEL)
    export.add_argument("folder", type=Path, metavar="DIR")
    delete = add_command(commands, "delete", "delete a model; the dataset that it was made of stays")
    delete.add_argument("model", metavar="MODEL", help=_MODEL)
    delete.add_argument("--yes", action="store_true", help="do it; without this it is only shown")


def execute(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says, and print what came of it."""
    given = _COMMANDS[arguments.command](open_history(Path.cwd()), arguments)
    return answer(given, as_json=arguments.json)


def _list(store: Store, _: argparse.Namespace) -> Answer:
    models = store.models.all()
    rows = [("model", "name", "type", "dataset", "size", "created")]
    rows += [
        (each.id, each.name, each.type, each.dataset or "", size(each.bytes), moment(each.created)) for each in models
    ]
    empty = "this project has no models yet: a job with `uses: create-model@v1` makes one"
    return [each.to_json() for each in models], "\n".join(columns(rows)) if models else empty


def _show(store: Store, arguments: argparse.Namespace) -> Answer:
    model = store.models.find(arguments.model)
    rows = [
        ("model", model.id),
        ("name", model.name),
        ("type", model.type),
        ("dataset", model.dataset or ""),
        ("content", amount(model)),
        ("created", moment(model.created) + (f" by run {model.run}, {model.job}" if model.run else "")),
        ("metadata", json.dumps(model.metadata) if model.metadata else ""),
        ("path", below(store.artifacts.path(model.digest), Path.cwd())),
    ]
    return model.to_json(), "\n".join(f"{label:<10}{text}" for label, text in rows if text)


def _export(store: Store, arguments: argparse.Namespace) -> Answer:
    model = store.models.find(arguments.model)
    copy_out(store.artifacts.path(model.digest), arguments.folder)
    return model.to_json(), f"{model.id}  {amount(model)} in {arguments.folder}"


def _delete(store: Store, arguments: argparse.Namespace) -> Answer:
    model = store.models.find(arguments.model)
    if not arguments.yes:
        text = f"would delete {model.id} ({model.name})\nnothing was deleted: add --yes to do it"
        return model.to_json(), text
    return deletion(model.id, store.models.delete(model.id))


_COMMANDS: Mapping[str, Callable[[Store, argparse.Namespace], Answer]] = {
    "list": _list,
    "show": _show,
    "export": _export,
    "delete": _delete,
}
