"""Ask a deployment how users would rate movies."""

import argparse
import sys
from pathlib import Path

from wf.commands.data import answer
from wf.commands.deployments import open_deployments
from wf.errors import EnvironmentProblem, InvalidWorkflow, Problem
from wf.report.text import columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A deployment, and one row or a file of them."""
    parser.add_argument("deployment", metavar="DEPLOYMENT", help="the name or id of a deployment")
    parser.add_argument("--user", metavar="ID", help="a user")
    parser.add_argument("--movie", action="append", default=[], metavar="TITLE", help="a movie; may be repeated")
    parser.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="rows as CSV with a header, as JSON, or as lines `timestamp,user,movie,rating`; - is standard input",
    )
    parser.add_argument("--model", default="", metavar="NAME", help="the name that the model is served by")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Ask, and print a rating for each row."""
    from wf.deployments.prediction import Client
    from wf.deployments.rows import Row, read_rows

    if arguments.file is None:
        if arguments.user is None or not arguments.movie:
            hint = "write `--user ID --movie TITLE`, or `--file FILE`"
            raise InvalidWorkflow([Problem("there is nothing to predict", hint=hint)])
        rows = [Row(arguments.user, movie) for movie in arguments.movie]
    else:
        rows = read_rows(_read(arguments.file))
    client = Client.connect(open_deployments().get(arguments.deployment), arguments.model)
    ratings = client.predict(rows)
    pairs = list(zip(rows, ratings, strict=True))
    records = [{"user": row.user, "movie": row.movie, "rating": rating} for row, rating in pairs]
    table = [("user", "movie", "rating"), *((row.user, row.movie, f"{rating:.3f}") for row, rating in pairs)]
    return answer((records, "\n".join(columns(table))), as_json=arguments.json)


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be read: {error.strerror}") from error
