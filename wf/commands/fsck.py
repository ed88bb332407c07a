"""Check that everything the history names is in the store and whole: every artifact is read and compared to its digest.

Ends with 1 if something is wrong and was not repaired.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Self

from wf.commands.shared import open_history, sweep
from wf.errors import TaskFailed
from wf.report.text import size
from wf.store.fsck import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether to repair, and the form of the answer."""
    parser.add_argument(
        "--repair",
        action="store_true",
        help="put damaged artifacts aside in .wf/quarantine, fetch back what can be, and clear away leftovers",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print what was found."""
    store = open_history(Path.cwd())
    if arguments.repair:
        sweep(store, store.layout.root, keep=store.claims.held_runs())
    with _Progress() as progress:
        report = store.check(repair=arguments.repair, tell=progress.tell)
    if arguments.json:
        findings = [finding.to_json() for finding in report.findings]
        print(json.dumps({"artifacts": report.artifacts, "bytes": report.bytes, "findings": findings}, indent=2))
    else:
        print("\n".join(_lines(report)))
    if not report.is_sound:
        raise TaskFailed("something is wrong with the store")
    return 0


def _lines(report: Report) -> list[str]:
    artifacts = "1 artifact" if report.artifacts == 1 else f"{report.artifacts} artifacts"
    lines = [f"{artifacts}, {size(report.bytes)}: " + ("all is well" if not report.findings else "read")]
    for finding in report.findings:
        lines += ["", finding.what, f"  {finding.remedy}"]
    if report.running:
        runs = ", ".join(map(str, report.running))
        lines += ["", f"what nothing refers to was not looked for while run {runs} goes on"]
    return lines


class _Progress:
    """One line on a terminal that says what is being read, and is gone at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def tell(self, what: str) -> None:
        """Say it."""
        if sys.stderr.isatty():
            print(f"\r\x1b[Kreading {what}", end="", file=sys.stderr, flush=True)
