"""An output of every member of a matrix, as one folder."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from wf.plan import INDEX, GatheredOutput, Plan, TaskInput


def index_text(source: GatheredOutput, plan: Plan) -> str:
    """What the entries of the folder are, as JSON: their names, jobs and values of the matrix, in its order."""
    entries = []
    for job, name in source.members:
        member = plan.task(job).member
        entries.append({"name": name, "job": job, "matrix": dict(member.values) if member else {}})
    return json.dumps(entries, indent=2) + "\n"


def key_names(given: TaskInput) -> set[str]:
    """The names under which the digests of an input stand in a key."""
    if not isinstance(given.source, GatheredOutput):
        return {given.name}
    return {f"{given.name}/{entry}" for _, entry in given.source.members} | {f"{given.name}/{INDEX}"}


def gather(parts: Mapping[str, Path], index: str, folder: Path) -> None:
    """Make a folder with a copy of each part that takes no space, and the index."""
    folder.mkdir()
    (folder / INDEX).write_text(index, encoding="utf-8")
    for name, part in parts.items():
        if part.is_dir():
            import shutil

            shutil.copytree(part, folder / name, symlinks=True, copy_function=_link)
        else:
            _link(part, folder / name)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # the file system has no links, or no more of this file
        import shutil

        shutil.copy2(source, target, follow_symlinks=False)
