"""State what a run made, of what and how: one JSON, an in-toto Statement v1 with a SLSA Provenance v1 predicate."""

import argparse
import json
import os
from pathlib import Path

from wf.commands.shared import open_history
from wf.logs import Masker
from wf.project import project_id
from wf.report.slsa import provenance
from wf.secrets import load_secrets
from wf.store.provenance import read_remote


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run."""
    parser.add_argument("run", nargs="?", default="latest", help="the number of a run (the last one)")


def execute(arguments: argparse.Namespace) -> int:
    """Print the statement."""
    store = open_history(Path.cwd())
    run = store.history.run(arguments.run)
    changes = store.layout.changes(run.id)
    secrets = load_secrets(store.layout.folder, environ=os.environ)
    statement = provenance(
        run,
        store.history.jobs(run.id),
        project=project_id(store.layout.root),
        remote=read_remote(store.layout.root),
        changes=changes.read_text(encoding="utf-8") if changes.exists() else "",
        mask=Masker(secrets.values()).mask,
    )
    print(json.dumps(statement, indent=2))
    return 0
