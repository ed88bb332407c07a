"""Whether a job must run, or outputs of an earlier execution stand for it; and the sentence that says why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wf.cache import CacheKey, explain
from wf.errors import EnvironmentProblem
from wf.plan import Task
from wf.runner.worker import Shared
from wf.store.artifacts import UnkeepableFileError, read_manifest
from wf.store.records import InputRecord


@dataclass(frozen=True, slots=True)
class Reuse:
    """What the user allows."""

    allowed: bool = True
    forced: frozenset[str] = frozenset()
    """Jobs that run in any case."""

    def may_stand_in(self, task: Task) -> bool:
        """Whether outputs of an earlier execution may stand for the task's."""
        return self.allowed and task.reuse and task.id not in self.forced


def make_key(task: Task, inputs: Iterable[InputRecord], shared: Shared) -> CacheKey:
    """Everything that the outputs of the task depend on."""
    return CacheKey(
        image=shared.backend.image_digest(task) if task.image else "",
        entrypoint=task.entrypoint,
        command=task.command,
        parameters=task.parameters,
        env=task.env,
        secrets=tuple(sorted(name for name, ref in task.secrets.items() if ref.name in shared.secrets)),
        inputs={each.name: each.digest for each in inputs},
        outputs={output.name: output.type for output in task.outputs},
        inputs_mode=task.inputs_mode,
        code=shared.code.files_of(task) if task.is_step and shared.code else {},
        files={local.parameter: _digest(local.path) for local in task.local_files},
    )


def _digest(path: Path) -> str:
    try:
        return read_manifest(path).artifact.digest
    except (OSError, UnkeepableFileError) as error:
        raise EnvironmentProblem(f"`{path}` cannot be read: {error}") from error


def why_it_runs(task: Task, key: CacheKey, before: Mapping[str, Any] | None, reuse: Reuse) -> str:
    """Why no earlier execution stands for this one, given the key of the last; empty where nobody would ask."""
    if not task.outputs or task.model or before is None:
        return ""
    if not reuse.allowed:
        return "nothing is reused"
    if task.id in reuse.forced:
        return "forced"
    if not task.reuse:
        return "its cache is off"
    return "; ".join(explain(key, before)) or "it did not succeed, or its outputs are gone"
