"""Check this machine: what works, what does not, and what to do about it. Ends with 3 if something must be mended."""

import argparse
import json
from pathlib import Path

from msgspec import to_builtins

from wf.project import find_root
from wf.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The form of the answer."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--backend", action="store_true", help="print only which backend `wf run` would choose")


def execute(arguments: argparse.Namespace) -> int:
    """Look and tell."""
    root = find_root(Path.cwd())
    settings = load_settings(root)
    if arguments.backend:
        from wf.backends.choose import choose

        print(choose("auto", root, settings)[0].name)
        return 0
    from wf.doctor import examine, render

    checks = examine(root, settings)
    print(json.dumps(to_builtins(checks), indent=2) if arguments.json else render(checks))
    return 3 if any(check.state == "problem" for check in checks) else 0
