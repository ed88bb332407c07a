"""List, import, export, tag and delete datasets: names whose versions never change."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from wf.commands.artifacts import lineage_rows
from wf.commands.data import Answer, add_command, amount, answer, deletion, moment
from wf.commands.shared import open_history, open_store
from wf.errors import InvalidWorkflow, Problem
from wf.project import find_root
from wf.report.text import columns, size
from wf.store import Store
from wf.store.layout import below
from wf.store.records import Dataset, DatasetVersion
from wf.store.transfer import copy_out

_REF = "NAME or NAMESPACE/NAME (or its id, or an alias), with `:VERSION`, `:TAG` or `:latest`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A subcommand with its own arguments."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_command(commands, "list", "list the datasets of this project")
    show = add_command(commands, "show", "show a dataset and its versions; with `:VERSION`, that one and its lineage")
    show.add_argument("name", metavar="NAME")
    create = add_command(commands, "create", "make a dataset without versions; importing and running do so as well")
    create.add_argument("name", metavar="NAME")
    bring = add_command(commands, "import", "copy a file or folder into the store as a new version")
    bring.add_argument("name", metavar="NAME")
    bring.add_argument("path", type=Path, metavar="PATH")
    bring.add_argument("--unpack", action="store_true", help="PATH is a zip or tar file: import what it holds")
    bring.add_argument("-m", "--message", default="", help="a word about the version")
    export = add_command(commands, "export", "copy a version to a new or empty folder")
    export.add_argument("ref", metavar="REF", help=_REF)
    export.add_argument("folder", type=Path, metavar="DIR")
    tag = add_command(commands, "tag", "give a version a name; given again, the tag moves")
    tag.add_argument("ref", metavar="REF", help=_REF)
    tag.add_argument("tag", metavar="TAG")
    tag.add_argument("--remove", action="store_true", help="forget the tag")
    alias = add_command(commands, "alias", "let another name, such as an id of a closed service, mean a dataset")
    alias.add_argument("alias", metavar="ALIAS")
    alias.add_argument("name", nargs="?", metavar="NAME")
    alias.add_argument("--remove", action="store_true", help="forget the alias")
    delete = add_command(commands, "delete", "delete a dataset, or one version of it")
    delete.add_argument("ref", metavar="REF", help="NAME for all versions; with `:VERSION`, only that one")
    delete.add_argument("--yes", action="store_true", help="do it; without this it is only shown")


def execute(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says, and print what came of it."""
    is_first = arguments.command in {"create", "import"}  # in a project without a store, they make one
    store = open_store(find_root(Path.cwd())) if is_first else open_history(Path.cwd())
    return answer(_COMMANDS[arguments.command](store, arguments), as_json=arguments.json)


def _list(store: Store, _: argparse.Namespace) -> Answer:
    datasets = store.datasets.all()
    rows = [("dataset", "latest", "versions", "size", "created")]
    for each in datasets:
        latest = each.versions[0] if each.versions else None
        rows.append((
            each.name,
            latest.version if latest else "-",
            str(len(each.versions)),
            size(latest.bytes) if latest else "-",
            moment(latest.created if latest else each.created),
        ))  # fmt: skip
    empty = "this project has no datasets yet: `wf datasets import NAME PATH` makes one"
    return [each.to_json() for each in datasets], "\n".join(columns(rows)) if datasets else empty


def _show(store: Store, arguments: argparse.Namespace) -> Answer:
    if ":" in arguments.name:
        return _show_version(store, store.datasets.find(arguments.name))
    dataset = store.datasets.get(arguments.name)
    return dataset.to_json(), "\n".join([*_headline(dataset), "", *_versions(dataset, store.layout.root)])


def _show_version(store: Store, version: DatasetVersion) -> Answer:
    its = store.lineage(version.digest)
    rows = [
        ("version", version.ref),
        ("tags", ", ".join(version.tags)),
        ("content", amount(version)),
        ("created", moment(version.created) + (f" by run {version.run}, {version.job}" if version.run else "")),
        ("message", version.message),
        ("path", below(store.artifacts.path(version.digest), store.layout.root)),
        *lineage_rows(its),
    ]
    return {**version.to_json(), "lineage": its.to_json()}, "\n".join(
        f"{label:<11}{text}" for label, text in rows if text
    )


def _create(store: Store, arguments: argparse.Namespace) -> Answer:
    dataset = store.datasets.create(arguments.name)
    return dataset.to_json(), f"{dataset.name}  {dataset.id}"


def _import(store: Store, arguments: argparse.Namespace) -> Answer:
    imported = store.datasets.import_path(arguments.name, arguments.path, arguments.message, unpack=arguments.unpack)
    version = imported.version
    text = f"{version.ref}  {amount(version)}"
    text += f", unchanged from {imported.same_as}: it takes no space of its own" if imported.same_as else ""
    links = [f"  {link} is a link that leads out of {arguments.path}: it stays a link" for link in imported.outward]
    return {**version.to_json(), "same_as": imported.same_as}, "\n".join([text, *links])


def _export(store: Store, arguments: argparse.Namespace) -> Answer:
    version = store.datasets.find(arguments.ref)
    copy_out(store.artifacts.path(version.digest), arguments.folder)
    return version.to_json(), f"{version.ref}  {amount(version)} in {arguments.folder}"


def _tag(store: Store, arguments: argparse.Namespace) -> Answer:
    if arguments.remove:
        store.datasets.untag(arguments.ref, arguments.tag)
        dataset = store.datasets.get(arguments.ref)
        return dataset.to_json(), f"{dataset.name} has no tag {arguments.tag} any more"
    version = store.datasets.tag(arguments.ref, arguments.tag)
    return version.to_json(), f"{version.dataset}:{arguments.tag} is {version.ref}"


def _alias(store: Store, arguments: argparse.Namespace) -> Answer:
    if arguments.remove:
        store.datasets.unalias(arguments.alias)
        return {"removed": arguments.alias}, f"{arguments.alias} is free again"
    if arguments.name is None:
        raise InvalidWorkflow([Problem("an alias needs a dataset", hint="`wf datasets alias ALIAS NAME`")])
    dataset = store.datasets.alias(arguments.alias, arguments.name)
    return dataset.to_json(), f"{arguments.alias} means {dataset.name}"


def _delete(store: Store, arguments: argparse.Namespace) -> Answer:
    versions = store.datasets.selected(arguments.ref)
    what = ", ".join(each.ref for each in versions) or arguments.ref
    if not arguments.yes:
        return [each.to_json() for each in versions], f"would delete {what}\nnothing was deleted: add --yes to do it"
    return deletion(what, store.datasets.delete(arguments.ref))


_COMMANDS: Mapping[str, Callable[[Store, argparse.Namespace], Answer]] = {
    "list": _list,
    "show": _show,
    "create": _create,
    "import": _import,
    "export": _export,
    "tag": _tag,
    "alias": _alias,
    "delete": _delete,
}


def _headline(dataset: Dataset) -> list[str]:
    rows = [
        ("dataset", dataset.name),
        ("id", dataset.id),
        ("aliases", ", ".join(dataset.aliases)),
        ("created", moment(dataset.created)),
    ]
    return [f"{label:<9}{text}" for label, text in rows if text]


def _versions(dataset: Dataset, root: Path) -> list[str]:
    rows = [("version", "tags", "size", "files", "created", "from", "message")]
    rows += [
        (
            each.version,
            ", ".join(each.tags),
            size(each.bytes),
            str(each.files),
            moment(each.created),
            below(Path(each.origin), root) if each.origin else f"run {each.run}, {each.job}",
            each.message,
        )
        for each in dataset.versions
    ]
    return columns(rows) if dataset.versions else ["it has no versions yet"]
