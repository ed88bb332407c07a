"""What a run would do, found out without doing any of it: no container starts, no image is built or pulled."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from wf.backends.base import Backend
from wf.cache import CacheKey, explain
from wf.errors import EnvironmentProblem
from wf.plan import (
    INDEX,
    DatasetRef,
    GatheredOutput,
    Plan,
    ProjectImage,
    RegistryImage,
    SharedVolume,
    Task,
    Text,
    UpstreamOutput,
)
from wf.runner.code import Code
from wf.runner.gather import index_text, key_names
from wf.runner.prospects import RUNS, Prospect, Prospects, Verdict
from wf.runner.reuse import Reuse, decide, make_key, why_always
from wf.secrets import Secrets
from wf.store import Store
from wf.store.artifacts import text_digest
from wf.store.history import recorded_name
from wf.store.snapshot import snapshot_steps

_FIRST: Final = "it has not run before"


class Forecast(Struct, frozen=True):
    """What would become of a job."""

    cached_from: int | None = None
    """The run whose outputs would stand for the job's; it would run if there is none."""
    reason: str = ""
    """Why it would run, or be skipped."""
    verdict: Verdict = "runs"
    """Whether it would run, or have to, at all."""
    condition: str = ""
    """On what it depends whether it does."""


def forecast(
    plan: Plan, *, backend: Callable[[], Backend], store: Store, secrets: Secrets, reuse: Reuse
) -> dict[str, Forecast]:
    """What would become of each job if the plan ran now. What depends on a job that would run cannot be known.

    Args:
        plan: the plan.
        backend: gives the backend that would run it; called where an image counts.
        store: of the project.
        secrets: of which only the names count.
        reuse: what the user allows.
    """
    forecaster = _Forecaster(plan, backend, store, secrets, reuse)
    return {task.id: forecaster.look_at(task) for task in plan.tasks}


def first_forecast(plan: Plan, reuse: Reuse) -> dict[str, Forecast]:
    """The same where nothing has run yet."""

    def text(output: UpstreamOutput) -> str:
        raise AssertionError(f"{output.job} is not done")

    prospects = Prospects(plan, text)

    def look_at(task: Task) -> Forecast:
        return _with(prospects.of(task), lambda: Forecast(reason=why_always(task, reuse) or _FIRST))

    return {task.id: look_at(task) for task in plan.tasks}


def _with(prospect: Prospect, look_closer: Callable[[], Forecast]) -> Forecast:
    if prospect.verdict == "skipped":
        return Forecast(reason=prospect.sentence, verdict="skipped")
    if prospect is RUNS:
        return look_closer()
    return replace(look_closer(), verdict=prospect.verdict, condition=prospect.sentence)


class _Forecaster:
    def __init__(
        self, plan: Plan, backend: Callable[[], Backend], store: Store, secrets: Secrets, reuse: Reuse
    ) -> None:
        self._plan = plan
        self._workflow = recorded_name(plan)
        self._backend = backend
        self._store = store
        self._reuse = reuse
        self._secrets = secrets.known(ref for task in plan.tasks for ref in task.secrets.values())
        self._code = Code(*snapshot_steps(store.layout)) if any(task.is_step for task in plan.tasks) else None
        self._digests: dict[UpstreamOutput, str] = {}
        """Of the outputs that jobs would have."""
        self._prospects = Prospects(plan, self._text)

    def look_at(self, task: Task) -> Forecast:
        """What would become of a task, after all that it needs were looked at."""
        return _with(self._prospects.of(task), lambda: self._look_closer(task))

    def _text(self, output: UpstreamOutput) -> str:
        return self._store.artifacts.path(self._digests[output]).read_text(encoding="utf-8", errors="replace")

    def _look_closer(self, task: Task) -> Forecast:
        if reason := why_always(task, self._reuse):
            return Forecast(reason=reason)
        last = self._store.last_execution(self._workflow, task.id)
        inputs, unknown = self._inputs(task)
        image = self._backend().known_digest(task) if task.image and last else ""
        if image is None:
            unknown.append(_not_there(task))
        key = make_key(
            task,
            inputs,
            image=image or "",
            secrets=self._secrets,
            code=self._code,
            digest_of=self._store.digest_of,
        )
        if not unknown:
            decision = decide(task, key, self._reuse, self._store, self._workflow)
            if decision.earlier:
                for name, artifact in decision.earlier.outputs.items():
                    self._digests[UpstreamOutput(task.id, name)] = artifact.digest
                self._prospects.done(task.id, decision.earlier.metrics)
                return Forecast(decision.earlier.run)
            return Forecast(reason=decision.reason)
        known = explain(_with_unknown(key, task, last.key, image), last.key) if last else []
        return Forecast(reason="; ".join([*known, *unknown]) if last else _FIRST)

    def _inputs(self, task: Task) -> tuple[dict[str, str], list[str]]:
        """The digests of what it would read, and for all others why they are not known."""
        digests: dict[str, str] = {}
        unknown: dict[str, None] = {}
        for given in task.inputs:
            match given.source:
                case Text(value):
                    digests[given.name] = text_digest(value)
                case DatasetRef(ref):
                    try:
                        digests[given.name] = self._store.datasets.find(ref).digest
                    except EnvironmentProblem as problem:
                        unknown[str(problem)] = None
                case SharedVolume():
                    digests[given.name] = text_digest("")
                case UpstreamOutput(job):
                    if given.source in self._digests:
                        digests[given.name] = self._digests[given.source]
                    else:
                        unknown[f"depends on what `{job}` makes"] = None
                case GatheredOutput(job, output, members):
                    parts = {entry: self._digests.get(UpstreamOutput(member, output)) for member, entry in members}
                    if None in parts.values():
                        unknown[f"depends on what `{job}` makes"] = None
                    digests |= {f"{given.name}/{entry}": digest for entry, digest in parts.items() if digest}
                    digests[f"{given.name}/{INDEX}"] = text_digest(index_text(given.source, self._plan))
        return digests, list(unknown)


def _not_there(task: Task) -> str:
    match task.image:
        case ProjectImage(name):
            return f"its image containers/{name} is not built yet"
        case RegistryImage(ref):
            return f"its image {ref} is not here yet"
        case _:
            return "nothing on this machine can run it"


def _with_unknown(key: CacheKey, task: Task, before: Mapping[str, object], image: str | None) -> CacheKey:
    """The key with what is not known as it was before, so that only what is known to differ differs."""
    inputs_before = before["inputs"]
    assert isinstance(inputs_before, Mapping)
    unknown = set().union(*map(key_names, task.inputs)) - key.inputs.keys()
    inputs = {**key.inputs, **{name: inputs_before.get(name, "") for name in unknown}}
    return replace(key, inputs=inputs, image=key.image if image is not None else str(before["image"]))
