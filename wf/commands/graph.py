"""Draw the jobs of a workflow: as Mermaid text, which GitHub shows, or as an SVG picture."""

import argparse
import sys
from pathlib import Path

from wf.commands.shared import add_workflow, compile_workflow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A workflow, the form, and where to write it."""
    add_workflow(parser)
    parser.add_argument(
        "--format", choices=("mermaid", "svg"), help="the form (default: what --output ends with, else mermaid)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to a file instead of the screen")


def execute(arguments: argparse.Namespace) -> int:
    """Print or write the picture."""
    from wf.picture import mermaid, svg

    plan = compile_workflow(arguments)
    is_svg = arguments.format == "svg" or (
        arguments.format is None and arguments.output is not None and arguments.output.suffix == ".svg"
    )
    picture = svg(plan) if is_svg else mermaid(plan)
    if arguments.output is None:
        sys.stdout.write(picture)
    else:
        arguments.output.write_text(picture, encoding="utf-8")
        print(f"wrote {arguments.output}")
    return 0
