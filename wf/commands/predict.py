"""Ask a deployment how users would rate movies."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wf.commands.data import answer
from wf.commands.deployments import open_deployments
from wf.errors import EnvironmentProblem, InvalidWorkflow, Problem
from wf.project import find_root
from wf.report.text import columns

if TYPE_CHECKING:
    from wf.deployments.rows import Described, Rated

NEW_USER: Final = "new user"
"""What stands for a user who has no id."""
OLDEST: Final = 150
"""Years; who is said to be older is a mistake."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A deployment, and one row or a file of them."""
    parser.add_argument("deployment", metavar="DEPLOYMENT", help="the name or id of a deployment")
    add_user(parser)
    parser.add_argument("--movie", action="append", default=[], metavar="TITLE", help="a movie; may be repeated")
    parser.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="rows as CSV with a header, as JSON, or as lines `timestamp,user,movie`; - is standard input",
    )
    parser.add_argument("--model", default="", metavar="NAME", help="the name that the model is served by")
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_user(parser: argparse.ArgumentParser) -> None:
    """Who is meant: somebody whom the model knows, or somebody new by ratings; and who that is."""
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--user", metavar="ID", help="a user")
    who.add_argument(
        "--rated",
        type=_rated,
        action="append",
        default=[],
        metavar="TITLE=RATING",
        help="a movie that a new user has rated, in place of --user; may be repeated",
    )
    parser.add_argument("--age", type=_age, default=0, metavar="YEARS", help="how old the user is")
    for what in ("gender", "occupation"):
        parser.add_argument(
            f"--{what}", default="", metavar="TEXT", help=f"the user's {what}, as the training data has it"
        )


def described(arguments: argparse.Namespace) -> "Described":
    """What the flags of `add_user` say of who the user is."""
    from wf.deployments.rows import Described

    return Described(arguments.age, arguments.gender, arguments.occupation)


def execute(arguments: argparse.Namespace) -> int:
    """Ask, and print a rating for each row."""
    from wf.deployments.prediction import Client, check_rated, titles_of
    from wf.deployments.rows import Row, read_rows

    rated, who = arguments.rated, described(arguments)
    if rated and who:
        hint = "leave out `--rated`, or `--age`, `--gender` and `--occupation`"
        raise InvalidWorkflow(
            [Problem("a rating is predicted by what a user has rated or by who the user is", hint=hint)]
        )
    if arguments.file is not None and not (rated or who or arguments.user or arguments.movie):
        rows = read_rows(find_root(Path.cwd()), _read(arguments.file))
    elif arguments.file is None and arguments.movie and (arguments.user is not None or rated or who):
        rows = [Row(arguments.user or NEW_USER, movie) for movie in arguments.movie]
    else:
        hint = (
            "write `--user ID --movie TITLE`, `--rated TITLE=RATING --movie TITLE`, `--age YEARS --movie TITLE`, "
            "or `--file FILE`"
        )
        raise InvalidWorkflow([Problem("it is not clear what to predict", hint=hint)])
    deployments = open_deployments()
    if rated:
        check_rated(rated, titles_of(deployments.model_folders(arguments.deployment)))
    ratings = Client.connect(deployments.get(arguments.deployment), arguments.model, rated, who).predict(rows)
    pairs = list(zip(rows, ratings, strict=True))
    records = [{"user": row.user, "movie": row.movie, "rating": rating} for row, rating in pairs]
    table = [("user", "movie", "rating"), *((row.user, row.movie, f"{rating:.3f}") for row, rating in pairs)]
    return answer((records, "\n".join(columns(table))), as_json=arguments.json)


def _rated(text: str) -> "Rated":
    from wf.deployments.rows import read_rated

    try:
        return read_rated(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not TITLE=RATING") from None


def _age(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= OLDEST:
        raise argparse.ArgumentTypeError(f"`{text}` is not an age in years")
    return int(text)


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be read: {error.strerror}") from error
