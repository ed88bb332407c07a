"""Print a JSON schema of workflow files, with which editors complete and check them."""

import argparse
import json
import sys
from pathlib import Path

from wf.project import find_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to write it."""
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to a file instead of the screen")


def execute(arguments: argparse.Namespace) -> int:
    """Print or write the schema, and the line that tells an editor about it."""
    from wf.schema import workflow_schema

    text = json.dumps(workflow_schema(find_root(Path.cwd())), indent=2) + "\n"
    if arguments.output is None:
        sys.stdout.write(text)
        return 0
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")
    print(f"wrote {arguments.output}; put this line at the top of a workflow, with the path from there:")
    print(f"# yaml-language-server: $schema={arguments.output.resolve()}")
    return 0
