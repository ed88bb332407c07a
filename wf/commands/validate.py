"""Check workflow files: names, references, types, parameters. Nothing runs."""

import argparse
from pathlib import Path

from wf.commands.shared import add_inputs, read_settings
from wf.errors import InvalidWorkflow, Problem
from wf.project import find_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Any number of files, and values for their inputs."""
    parser.add_argument("workflows", type=Path, metavar="FILE", nargs="+", help="workflow files")
    add_inputs(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Every file is checked, also after one that is wrong."""
    from wf.compile import compile_file
    from wf.source import excerpt

    settings = read_settings(arguments)
    wrong: list[Problem] = []
    for path in arguments.workflows:
        try:
            plan, warnings = compile_file(path, find_root(path), settings, to_run=False)
        except InvalidWorkflow as error:
            wrong += error.problems
            continue
        for warning in warnings:
            print(excerpt(warning), end="\n\n")
        print(f"{path}: ok, {len(plan.tasks)} job{'s' if len(plan.tasks) > 1 else ''}")
    if wrong:
        raise InvalidWorkflow(wrong)
    return 0
