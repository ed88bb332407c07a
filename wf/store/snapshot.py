"""The code of a run: a read-only copy of `steps/`, named by its content, so that edits do not reach a running job.

Beside the code it has room for what Python makes of it, which is no part of the content: a step that is a process of
this machine is compiled when it first starts, and not each time.
"""

import os
from pathlib import Path

from wf.store.artifacts import read_manifest
from wf.store.layout import Layout, flush, flush_tree, in_use, remove_tree

STEPS = "steps"
CACHE = "__pycache__"


def code_digest(root: Path) -> str:
    """The digest of the `steps/` in a folder as they are now; nothing if it has none."""
    steps = root / STEPS
    return read_manifest(steps, keep=_belongs).artifact.digest if steps.exists() else ""


def snapshot_steps(layout: Layout) -> tuple[str, Path]:
    """The digest of `steps/` as it is now, and a folder that holds it as `steps`."""
    with in_use(layout.temporary), in_use(layout.code):
        digest, place = _snapshot(layout)
        os.utime(place)  # `wf gc` goes by it
        return digest, place


def _snapshot(layout: Layout) -> tuple[str, Path]:
    source = layout.root / STEPS
    digest = code_digest(layout.root)
    place = layout.code / digest
    if not place.exists():
        import shutil

        copy = layout.temporary / f"code-{digest}-{os.getpid()}"
        remove_tree(copy)  # of an earlier process with the same number
        shutil.copytree(source, copy / STEPS, symlinks=True, ignore=_ignored)
        # The files may have been edited since: what was copied is what counts.
        digest = read_manifest(copy / STEPS, normalise=True).artifact.digest
        _make_caches(copy / STEPS)
        place = layout.code / digest
        try:
            flush_tree(copy)
            copy.rename(place)
            flush(layout.code)
        except OSError:
            if not place.exists():
                raise
        remove_tree(copy)
    return digest, place


def _make_caches(top: Path) -> None:
    for folder, _, files in os.walk(top):
        if any(name.endswith(".py") for name in files):
            Path(folder).chmod(0o755)
            Path(folder, CACHE).mkdir()
        Path(folder).chmod(0o555)


def _belongs(name: str) -> bool:
    return not name.startswith(".") and name != CACHE and not name.endswith((".pyc", ".pyo"))


def _ignored(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not _belongs(name)}
