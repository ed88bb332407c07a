"""The tests' own small language: plans in a few words, run in the fake backend.

project.run("a -> b, a -> c", b=job(exit=1))
assert project.story() == ["a succeeded", ...]
"""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import get_args

import pytest
from msgspec import Struct
from msgspec.structs import replace

from wf.backends.base import Exit, Handle, Launch
from wf.backends.fake import FakeBackend, FakeHandle
from wf.errors import Span
from wf.events import Emit, Event, JobFinished, JobNote, JobStarted
from wf.plan import (
    ONCE,
    SUCCESS,
    Condition,
    DatasetRef,
    InputSource,
    IOType,
    MatrixMember,
    ModelSpec,
    Plan,
    RegistryImage,
    Resources,
    Retry,
    SecretRef,
    Task,
    TaskInput,
    TaskOutput,
    Text,
    UpstreamOutput,
)
from wf.runner import Reuse, RunResult, run_plan
from wf.secrets import Secrets
from wf.store import Store
from wf.store.records import JobRecord

Script = Callable[[Launch], int | None]
"""What a task does with what it was started with; its exit code is 0 if it returns none."""


class job(Struct, frozen=True, kw_only=True):  # noqa: N801 -- a word of the language
    """What a job does in the fake backend, and what it declares."""

    sleep: float = 0.0
    exit: int = 0
    log: str = ""
    error: str = ""
    start_fail: str = ""
    stubborn: bool = False
    gone: str = ""
    """Its engine goes away: `once` or `forever`."""
    oom: bool = False
    leaves: Mapping[str, str] = {}
    """Output -> text that it writes there."""
    does: Script | None = None
    """Called in place of the process."""
    outputs: Mapping[str, str] = {}
    """Name -> `dataset`, `volume` or `string`, or the name of a dataset that gets a version."""
    inputs: Mapping[str, str] = {}
    """Name -> `JOB.outputs.NAME`, `dataset DATASET` or any other text."""
    env: Mapping[str, str] = {}
    secrets: Mapping[str, str] = {}
    """Variable -> secret, with `?` at its end for an optional one."""
    timeout: float | None = None
    memory: int | None = None
    is_step: bool = False
    state: bool = False
    cache: bool = False
    reuse: bool = False
    network: bool = True
    network_with: tuple[str, ...] = ()
    control: bool = False
    member: MatrixMember | None = None
    retry: Retry = ONCE
    condition: Condition = SUCCESS
    model: str | None = None
    """Registers its input `model` under this name, without the backend."""

    def task(self, name: str, needs: tuple[str, ...]) -> Task:
        """The task of that name."""
        settings = {
            "SLEEP": str(self.sleep or ""),
            "EXIT": str(self.exit or ""),
            "LOG": self.log,
            "ERROR": self.error,
            "START_FAIL": self.start_fail,
            "STUBBORN": "1" * self.stubborn,
            "OOM": "1" * self.oom,
            "GONE": self.gone,
            **{f"OUTPUT_{output}": text for output, text in self.leaves.items()},
        }
        return Task(
            id=name,
            action="fake",
            image=None if self.model else RegistryImage("fake"),
            model=ModelSpec(self.model, "Tensorflow") if self.model else None,
            entrypoint=None,
            command=(),
            span=Span(Path("flow.yaml"), 1, 1),
            env={**{f"FAKE_{key}": value for key, value in settings.items() if value}, **self.env},
            secrets={
                variable: SecretRef(secret.removesuffix("?"), optional=secret.endswith("?"))
                for variable, secret in self.secrets.items()
            },
            inputs=tuple(_input(each, source) for each, source in self.inputs.items()),
            outputs=tuple(_output(each, kind) for each, kind in self.outputs.items()),
            needs=needs,
            resources=Resources(memory=self.memory),
            timeout=self.timeout,
            is_step=self.is_step,
            network=self.network,
            network_with=self.network_with,
            control=self.control,
            cache=self.cache,
            reuse=self.reuse,
            state=self.state,
            member=self.member,
            retry=self.retry,
            condition=self.condition,
        )


def plan(graph: str, root: Path, **jobs: job) -> Plan:
    """A plan from `a -> b -> c, a -> d`; jobs that are not said more about do nothing and succeed."""
    needs: dict[str, list[str]] = {}
    for chain in filter(None, (part.strip() for part in graph.split(","))):
        names = [name.strip() for name in chain.split("->")]
        for name in names:
            needs.setdefault(name, [])
        for before, after in itertools.pairwise(names):
            needs[after].append(before)
    assert set(jobs) <= set(needs), f"not in the graph: {set(jobs) - set(needs)}"
    tasks = tuple(jobs.get(name, job()).task(name, tuple(needs[name])) for name in needs)
    return Plan(workflow=root / "flow.yaml", root=root, tasks=tasks)


class ScriptedBackend(FakeBackend):
    """The fake backend, with functions for what jobs do."""

    def __init__(self, scripts: Mapping[str, Script] | None = None, prepare_error: str = "") -> None:
        super().__init__(prepare_error)
        self._scripts = dict(scripts or {})

    def wait(self, handle: Handle) -> Exit:
        """Do what the job's function does, then end as always."""
        assert isinstance(handle, FakeHandle)
        code = None
        if script := self._scripts.get(handle.launch.task.id):
            try:
                code = script(handle.launch)
            except BaseException:
                handle.waited = True
                raise
        end = super().wait(handle)
        return Exit(code) if code else end

    def launch(self, name: str) -> Launch:
        """What the job was started with."""
        return next(each.launch for each in self.handles if each.launch.task.id == name)


class Project:
    """A project with a store of its own, and what happened in its last run."""

    def __init__(self, root: Path, events: list[Event] | None = None) -> None:
        self.root = root
        self.store = Store.open(root)
        self.backend = ScriptedBackend()
        self.events: list[Event] = [] if events is None else events
        self.emit: Emit = lambda event: None
        """Something else that listens."""

    def run(
        self,
        graph: str,
        *,
        at_once: int = 4,
        secrets: Mapping[str, str] | None = None,
        reuse: Reuse | None = None,
        timeout: float | None = None,
        **jobs: job,
    ) -> RunResult:
        """Run a plan of these jobs."""
        return self.run_plan(
            replace(plan(graph, self.root, **jobs), timeout=timeout),
            at_once=at_once,
            secrets=secrets,
            reuse=reuse,
            backend=ScriptedBackend({name: each.does for name, each in jobs.items() if each.does}),
        )

    def run_plan(
        self,
        plan: Plan,
        *,
        at_once: int = 4,
        secrets: Mapping[str, str] | None = None,
        backend: ScriptedBackend | None = None,
        reuse: Reuse | None = None,
    ) -> RunResult:
        """Run a plan."""
        self.backend = backend or ScriptedBackend()
        self.events.clear()
        return run_plan(
            plan,
            backend=self.backend,
            store=self.store,
            secrets=Secrets([dict(secrets or {}).get]),
            emit=self._tell,
            jobs=at_once,
            reuse=reuse or Reuse(),
        )

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        self.emit(event)

    def story(self) -> list[str]:
        """What became of the jobs, in the order in which they ended, and what was noted."""
        return story(self.events)

    def starts_and_ends(self) -> list[str]:
        """`+a` for each job that started, `-a` for each that ended, in their order."""
        return [
            ("+" if isinstance(event, JobStarted) else "-") + event.job
            for event in self.events
            if isinstance(event, JobStarted | JobFinished)
        ]

    def decisions(self) -> list[str]:
        """For each job whether it ran, and why, or from which run its outputs came."""
        told = []
        for event in self.events:
            match event:
                case JobStarted():
                    told.append(f"{event.job} ran" + (f": {event.reason}" if event.reason else ""))
                case JobFinished() if event.cached_from is not None:
                    told.append(f"{event.job} from {event.cached_from}")
        return told

    def job(self, name: str) -> JobRecord:
        """What the history holds about a job of the last run."""
        return next(each for each in self.store.history.jobs(self.store.history.run().id) if each.name == name)


class Clock:
    """The monotonic clock of this process, which a test moves on: what limits do must not depend on a busy machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        now = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: now() + self._ahead)

    def move_on(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += seconds


def once_started(job: str, act: Callable[[], object]) -> Emit:
    """A listener that does something when a job has started, before its time counts."""

    def listen(event: Event) -> None:
        if isinstance(event, JobStarted) and event.job == job:
            act()

    return listen


def story(events: Iterable[Event]) -> list[str]:
    """What became of the jobs of a run, in the order in which they ended, and what was noted."""
    told = []
    for event in events:
        match event:
            case JobFinished():
                told.append(f"{event.job} {event.state}" + (f": {event.error}" if event.error else ""))
            case JobNote():
                told.append(f"{event.job} note: {event.message}")
    return told


def tree(folder: Path) -> dict[str, str]:
    """Relative path -> content, `/` for a folder or `-> TARGET` for a link."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "/" if path.is_dir() else path.read_text()
    return found


def _input(name: str, text: str) -> TaskInput:
    before, _, output = text.partition(".outputs.")
    source: InputSource
    if output:
        source = UpstreamOutput(before, output)
    elif text.startswith("dataset "):
        source = DatasetRef(text.removeprefix("dataset "))
    else:
        return TaskInput(name, "string", Text(text))
    return TaskInput(name, "dataset", source)


def _output(name: str, kind: str) -> TaskOutput:
    for known in get_args(IOType):
        if kind == known:
            return TaskOutput(name, known)
    return TaskOutput(name, "dataset", dataset=kind)
