"""What `wf datasets` and `wf models` have in common."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wf.report.text import size
from wf.store.artifacts import Artifact
from wf.store.records import DatasetVersion, Model

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

Answer = tuple[object, str]
"""What a subcommand prints: as plain data, and for people."""


def add_command(commands: "Commands", name: str, about: str) -> argparse.ArgumentParser:
    """A subcommand, which can print JSON as all of them."""
    parser = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def answer(given: Answer, *, as_json: bool) -> int:
    """Print it."""
    record, text = given
    print(json.dumps(record, indent=2) if as_json else text)
    return 0


def deletion(what: str, removed: Sequence[Artifact]) -> Answer:
    """What was deleted, and how much room that made."""
    freed = sum(each.bytes for each in removed)
    room = f"{size(freed)} freed" if removed else "no space freed: something else in the store has the same content"
    return {"deleted": what, "freed": freed}, f"deleted {what}: {room}"


def amount(content: DatasetVersion | Model) -> str:
    """`5 B in 1 file`"""
    return f"{size(content.bytes)} in {content.files} file{'' if content.files == 1 else 's'}"


def moment(written: str) -> str:
    """A moment of the history without its fractions: `2026-11-21 21:30:00`."""
    return written[:19].replace("T", " ")
