"""Keep the values of secrets for this project: in the system's keyring, else in .wf/secrets.env for your eyes only."""

import argparse
import os
import sys
from pathlib import Path

from wf.commands.shared import ask_secret, store_folder
from wf.errors import InvalidWorkflow, Problem
from wf.logs import SHORTEST_SECRET
from wf.project import STORE, find_root
from wf.report.text import columns
from wf.secrets import kept_secrets, secrets_of_variables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, with which one."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    keep = actions.add_parser("set", help="keep a value, which is asked for and not shown")
    keep.add_argument("name", metavar="NAME")
    keep.add_argument("--stdin", action="store_true", help="read the value from standard input")
    actions.add_parser("list", help="names and where they come from, never values")
    actions.add_parser("rm", help="forget a value").add_argument("name", metavar="NAME")


def execute(arguments: argparse.Namespace) -> int:
    """Do it."""
    if arguments.action == "list":
        print("\n".join(_listed()))
        return 0
    if arguments.action == "rm":
        if not kept_secrets(find_root(Path.cwd()) / STORE).forget(arguments.name):
            hint = "`wf secrets list` shows which there are"
            raise InvalidWorkflow([Problem(f"this project keeps no secret `{arguments.name}`", hint=hint)])
        print(f"`{arguments.name}` is forgotten")
        return 0
    value = ask_secret(f"value of {arguments.name}: ", from_stdin=arguments.stdin)
    where = kept_secrets(store_folder(Path.cwd())).keep(arguments.name, value)
    if len(value) < SHORTEST_SECRET:
        warning = f"has less than {SHORTEST_SECRET} characters: logs of jobs that print it show it"
        print(f"warning: `{arguments.name}` {warning}", file=sys.stderr)
    print(f"`{arguments.name}` is kept in {where}")
    return 0


def _listed() -> list[str]:
    found = {name: f"variable {variable}" for name, variable in secrets_of_variables(os.environ).items()}
    found |= {
        name: where for name, where in kept_secrets(find_root(Path.cwd()) / STORE).names().items() if name not in found
    }
    return columns([("name", "from"), *sorted(found.items())]) if found else ["no secrets are set"]
