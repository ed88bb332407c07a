"""What a job has left under `/outputs`: looked through, then moved into the store."""

import json
import math
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from wf.errors import TaskFailed
from wf.plan import Task, TaskOutput
from wf.store.artifacts import Artifact, Artifacts, UnkeepableFileError

if TYPE_CHECKING:
    from wf.store.models import NewModel

OWN_FOLDER = ".wf"
"""Where steps leave what is for `wf` itself."""

_METRICS_LIMIT = 1 << 20  # bytes


class Collected(Struct, frozen=True):
    """What a successful job has left."""

    outputs: tuple[tuple[TaskOutput, Artifact], ...]
    metrics: Mapping[str, float]
    notes: tuple[str, ...]
    model: "NewModel | None" = None
    """What it registered."""


def create_output_folders(task: Task, folder: Path) -> None:
    """Make the folders that a task may count on."""
    for output in task.outputs:
        if output.type != "string":
            (folder / output.name).mkdir()


def collect(task: Task, folder: Path, artifacts: Artifacts) -> Collected:
    """Store the declared outputs. Raises, before anything is stored, if one is missing or not what it should be."""
    for output in task.outputs:
        _check(output, folder / output.name)
    metrics, note = read_metrics(folder / OWN_FOLDER / "metrics.json")
    notes = [note] if note else []
    declared = {output.name for output in task.outputs}
    undeclared = sorted(entry.name for entry in folder.iterdir() if entry.name not in {*declared, OWN_FOLDER})
    if undeclared:
        listed = ", ".join(f"/outputs/{name}" for name in undeclared)
        notes.append(f"dropped {listed}: not among the job's `outputs`")
    outputs = []
    for output in task.outputs:
        try:
            outputs.append((output, artifacts.commit(folder / output.name)))
        except UnkeepableFileError as error:
            raise TaskFailed(f"/outputs/{output.name} cannot be kept: {error}") from None
        except OSError as error:
            raise TaskFailed(f"/outputs/{output.name} cannot be stored: {error.strerror}: {error.filename}") from error
    return Collected(tuple(outputs), metrics, tuple(notes))


def read_metrics(path: Path) -> tuple[dict[str, float], str]:
    """The figures that a job recorded, and what is wrong with them if they cannot be used."""
    if not path.parent.is_dir() or path.parent.is_symlink():
        return {}, ""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _METRICS_LIMIT:
            return {}, f"dropped its metrics: {path.name} is not a file of at most 1 MiB"
        return _finite_numbers(json.loads(path.read_text(encoding="utf-8"))), ""
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError, RecursionError) as error:
        return {}, f"dropped its metrics: {error}"


def _finite_numbers(values: object) -> dict[str, float]:
    if not isinstance(values, dict):
        raise ValueError("metrics.json does not hold an object")  # noqa: TRY004 -- wrong data, not a wrong call
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise ValueError(f"`{name}` is not a finite number")
    return {name: float(value) for name, value in values.items()}


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float holds
        return False


def _check(output: TaskOutput, path: Path) -> None:
    place = f"/outputs/{output.name}"
    wanted = "file" if output.type == "string" else "folder"
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        raise TaskFailed(f"it did not write the {wanted} {place}, which it declares as an output") from None
    if not (stat.S_ISREG(mode) if wanted == "file" else stat.S_ISDIR(mode)):
        raise TaskFailed(f"{place} is not a {wanted}, as its type `{output.type}` demands")
