"""Ask a deployment which movies a user would like best: all that its model knows, ranked, and why."""

import argparse

from wf.commands.data import answer
from wf.commands.deployments import open_deployments
from wf.commands.predict import NEW_USER, add_user, described
from wf.errors import InvalidWorkflow, Problem
from wf.report.text import columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A deployment, a user, how many movies, and what the list is to be like."""
    parser.add_argument("deployment", metavar="DEPLOYMENT", help="the name or id of a deployment")
    add_user(parser)
    parser.add_argument("-k", type=int, default=10, metavar="N", help="so many (10)")
    parser.add_argument(
        "--diversity",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="from 0, the best ratings (default), to 1, variety",
    )
    parser.add_argument("--per-genre", type=int, default=0, metavar="N", help="at most so many of each genre")
    parser.add_argument("--exclude", action="append", default=[], metavar="TITLE", help="not this one; may be repeated")
    parser.add_argument("--model", default="", metavar="NAME", help="the name that the model is served by")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Ask, and print the best ones."""
    from wf.deployments.prediction import check_rated, titles_of
    from wf.deployments.recommendation import Wish, recommend

    who = described(arguments)
    if arguments.user is None and not arguments.rated and not who:
        hint = "write `--user ID`, or of a new user `--rated TITLE=RATING` for each movie, or `--age YEARS`"
        raise InvalidWorkflow([Problem("it is not clear to whom", hint=hint)])
    if not 0 <= arguments.diversity <= 1:
        raise InvalidWorkflow([Problem("`--diversity` is a share", hint="write a number from 0 to 1")])
    deployments = open_deployments()
    if arguments.rated:
        check_rated(arguments.rated, titles_of(deployments.model_folders(arguments.deployment)))
    wish = Wish(
        user=arguments.user or NEW_USER,
        rated=arguments.rated,
        described=who,
        count=arguments.k,
        exclude=arguments.exclude,
        diversity=arguments.diversity,
        per_genre=arguments.per_genre,
    )
    listed = recommend(deployments.get(arguments.deployment), wish, arguments.model)
    table = [("movie", "rating", "why"), *((each.movie, f"{each.rating:.3f}", each.why()) for each in listed)]
    return answer(([each.record() for each in listed], "\n".join(columns(table))), as_json=arguments.json)
