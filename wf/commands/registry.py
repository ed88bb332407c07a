"""Keep accounts at private image registries, under the names that workflows use for them."""

import argparse
from pathlib import Path

from wf.commands.shared import ask_secret, store_folder
from wf.errors import InvalidWorkflow, Problem
from wf.project import STORE, find_root
from wf.registries import DOCKER_HUB, Login, Registries
from wf.report.text import columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, with which one."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    login = actions.add_parser("login", help="keep an account, whose password is asked for and not shown")
    login.add_argument("name", metavar="NAME", help="what `container-registries` and `containerRegistry` call it")
    login.add_argument("--server", default=DOCKER_HUB, metavar="HOST", help=f"the registry ({DOCKER_HUB})")
    login.add_argument("--username", required=True, metavar="USER")
    login.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    actions.add_parser("list", help="names, registries and users, never passwords")
    actions.add_parser("logout", help="forget an account").add_argument("name", metavar="NAME")


def execute(arguments: argparse.Namespace) -> int:
    """Do it."""
    registries = Registries(find_root(Path.cwd()) / STORE)
    if arguments.action == "list":
        rows = [(login.name, login.server, login.username) for login in registries.logins()]
        print("\n".join(columns([("name", "registry", "user"), *rows])) if rows else "no accounts are kept")
    elif arguments.action == "logout":
        if not registries.forget(arguments.name):
            hint = "`wf registry list` shows which there are"
            raise InvalidWorkflow([Problem(f"this project keeps no account `{arguments.name}`", hint=hint)])
        print(f"`{arguments.name}` is forgotten")
    else:
        password = ask_secret(f"password of {arguments.username}: ", from_stdin=arguments.password_stdin)
        login = Login(arguments.name, arguments.server, arguments.username, password)
        where = Registries(store_folder(Path.cwd())).keep(login)
        print(f"`{arguments.name}` is kept in {where}; it is tried when an image is pulled")
    return 0
