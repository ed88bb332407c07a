"""Ask a deployment which movies a user would like best: all that its model knows, ranked."""

import argparse

from wf.commands.data import answer
from wf.commands.deployments import open_deployments
from wf.commands.predict import NEW_USER, add_user
from wf.errors import InvalidWorkflow, Problem
from wf.report.text import columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A deployment, a user, and how many movies."""
    parser.add_argument("deployment", metavar="DEPLOYMENT", help="the name or id of a deployment")
    add_user(parser)
    parser.add_argument("-k", type=int, default=10, metavar="N", help="so many (10)")
    parser.add_argument("--model", default="", metavar="NAME", help="the name that the model is served by")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Ask, and print the best ones."""
    from wf.deployments.prediction import Client, check_rated, recommend, titles_of

    if arguments.user is None and not arguments.rated:
        hint = "write `--user ID`, or `--rated TITLE=RATING` for each movie that a new user has rated"
        raise InvalidWorkflow([Problem("it is not clear to whom", hint=hint)])
    deployments = open_deployments()
    titles = titles_of(deployments.model_folders(arguments.deployment))
    check_rated(arguments.rated, titles)
    client = Client.connect(deployments.get(arguments.deployment), arguments.model, arguments.rated)
    ranked = recommend(client, arguments.user or NEW_USER, titles, arguments.k)
    records = [{"movie": title, "rating": rating} for title, rating in ranked]
    table = [("movie", "rating"), *((title, f"{rating:.3f}") for title, rating in ranked)]
    return answer((records, "\n".join(columns(table))), as_json=arguments.json)
