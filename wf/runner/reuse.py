"""Whether a job must run, or outputs of an earlier execution stand for it; and the sentence that says why."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from wf.cache import CacheKey, explain
from wf.plan import HostProgram, InputSource, Task, Text
from wf.runner.code import Code
from wf.store import Store
from wf.store.reuse import Earlier, LastExecution

_SHORT: Final = 1000
"""Characters of a text that is kept with the key, beside its digest."""


class Reuse(Struct, frozen=True):
    """What the user allows."""

    allowed: bool = True
    forced: frozenset[str] = frozenset()
    """Jobs that run in any case."""

    def may_stand_in(self, task: Task) -> bool:
        """Whether outputs of an earlier execution may stand for the task's."""
        return self.allowed and task.reuse and task.id not in self.forced


class Decision(Struct, frozen=True):
    """What becomes of a job whose inputs are there."""

    earlier: Earlier | None
    """The execution whose outputs stand for the job's; it runs if there is none."""
    reason: str = ""
    """Why it runs."""
    is_news: bool = False
    """Whether somebody who follows the run may wonder that it runs."""


def make_key(
    task: Task,
    inputs: Mapping[str, str],
    *,
    image: str,
    secrets: Collection[str],
    code: Code | None,
    digest_of: Callable[[Path], str],
) -> CacheKey:
    """Everything that the outputs of the task depend on.

    Args:
        task: the task.
        inputs: name -> digest of what it reads.
        image: the digest of what it runs in; nothing for a task without a process.
        secrets: the names of those that are set.
        code: the steps as they are now.
        digest_of: gives the digest of a file or folder of this machine.
    """
    return CacheKey(
        image=image,
        entrypoint=task.entrypoint,
        command=task.command,
        parameters=task.parameters,
        env={name: value for name, value in task.env.items() if name not in task.ignored_env},
        secrets=tuple(
            sorted(name for name, ref in task.secrets.items() if ref.name in secrets and name not in task.ignored_env)
        ),
        inputs=inputs,
        outputs={output.name: output.type for output in task.outputs},
        inputs_mode=task.inputs_mode,
        code=code.files_of(task) if task.is_step and code else {},
        extra=task.cache_key,
        files={local.parameter: digest_of(local.path) for local in task.local_files},
        texts={given.name: text for given in task.inputs if (text := _short_text(given.source)) is not None},
    )


def _short_text(source: InputSource) -> str | None:
    return source.value if isinstance(source, Text) and len(source.value) <= _SHORT else None


def decide(task: Task, key: CacheKey, reuse: Reuse, store: Store, workflow: str, run: int | None = None) -> Decision:
    """What becomes of the task in a run, or in one that would start now."""
    if reuse.may_stand_in(task) and (earlier := store.earlier(key)):
        return Decision(earlier)
    last = store.last_execution(workflow, task.id, run)
    is_news = last is not None and bool(task.outputs) and task.model is None
    return Decision(None, why_it_runs(task, key, last, reuse), is_news)


def why_it_runs(task: Task, key: CacheKey, last: LastExecution | None, reuse: Reuse) -> str:
    """Why no earlier execution stands for this one, given the last."""
    if reason := why_always(task, reuse):
        return reason
    if last is None:
        return "it has not run before"
    if differences := explain(key, last.key):
        return "; ".join(differences)
    match last.state:
        case "failed":
            return f"it failed in run {last.run}"
        case "cancelled" | "running":
            return f"it did not end in run {last.run}"
        case _:
            return f"its outputs of run {last.run} are gone, or changed"


def why_always(task: Task, reuse: Reuse) -> str:
    """Why the task runs whatever has run before; nothing if that matters."""
    if task.model:
        return "it registers a model, which is a new one each time"
    if not task.outputs:
        return "it leaves no outputs, so it runs for its effect"
    if not reuse.allowed:
        return "nothing is reused"
    if task.id in reuse.forced:
        return "forced"
    if task.reuse:
        return ""
    if isinstance(task.image, HostProgram):
        return "what it fetches may have changed"
    return "it may change what it shares" if task.inputs_mode == "shared" else "its cache is off"
