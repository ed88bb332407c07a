"""A workflow with nothing left to decide: what the runner executes and what other engines are given.

Everything here is frozen and pure. A plan holds the *names* of secrets, never their values.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from wf.errors import Span


class Part(Struct, frozen=True, tag_field="record", tag=True):
    """What a plan is made of. As JSON each part says its type, since some fields have several."""


class RegistryImage(Part, frozen=True):
    """An image that is had from a registry, or lies in the engine already."""

    ref: str
    stands_for: str = ""
    """What the workflow asks for, where an alias has put this image in its place."""


class ProjectImage(Part, frozen=True):
    """An image that is built from `containers/NAME` of the project."""

    name: str
    folder: Path
    stands_for: str = ""
    """What the workflow asks for, where an alias has put this image in its place."""


Image = RegistryImage | ProjectImage


class HostProgram(Part, frozen=True):
    """A program of `wf` itself, for actions that have no image: it runs as a process of this machine."""

    module: str
    """What `python -m` runs: a module of `wf.programs`."""
    executable: str = ""
    """A program that this machine must have."""
    package: str = ""
    """A Python package that it must have."""


class UpstreamOutput(Part, frozen=True):
    """What another job of this run has written."""

    job: str
    output: str


INDEX: Final = "index.json"


class GatheredOutput(Part, frozen=True):
    """The same output of all members of a matrix: a folder with an entry for each, and an index of them."""

    job: str
    """What the workflow calls them all."""
    output: str
    members: tuple[tuple[str, str], ...]
    """The id of each member, and the name of its entry in the folder."""


class DatasetRef(Part, frozen=True):
    """A version of a dataset in the store, resolved when the run starts."""

    ref: str


class SharedVolume(Part, frozen=True):
    """A folder, empty at first, that all tasks of a run which name it read and change: the format's first form."""

    name: str


class Text(Part, frozen=True):
    """A string that is known before the run starts."""

    value: str


InputSource = UpstreamOutput | GatheredOutput | DatasetRef | SharedVolume | Text
IOType = Literal["dataset", "volume", "string"]
InputsMode = Literal["cow", "ro", "shared"]
"""What volumes and datasets are to a task that reads them: a writable view of its own (copy on write); read-only; or
one writable view of each source for the whole run, in which tasks see what others did. Steps only ever read."""


class TaskInput(Part, frozen=True):
    """Something a task finds at `/inputs/NAME`: a folder, or one file where `type` is `string`."""

    name: str
    type: IOType
    source: InputSource


class TaskOutput(Part, frozen=True):
    """Something a task leaves at `/outputs/NAME`: a folder that exists before it starts, or one file for `string`."""

    name: str
    type: IOType
    dataset: str | None = None
    """The dataset that gets a new version when the task succeeds."""
    format: str | None = None
    """What the folder holds, where the writing step declares it."""


class LocalFile(Part, frozen=True):
    """A file or folder of this machine that the parameter `parameter` of a task names."""

    parameter: str
    path: Path


class SecretRef(Part, frozen=True):
    """A secret by its name. An optional one that is not set leaves its variable out."""

    name: str
    optional: bool = False


ModelType = Literal["Tensorflow", "ONNX", "Custom"]
MODEL_INPUT: Final = "model"
"""The input that holds what a task registers as a model."""


class ModelSpec(Part, frozen=True):
    """A model to register."""

    name: str
    type: ModelType


_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_size(text: str) -> int | None:
    """The bytes of `2GiB`, `512MB`, `1.5g` or a plain number, or nothing if the text is no size."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kmgt]?)i?b?", text.strip(), re.IGNORECASE | re.ASCII)
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " ")) if match else None


def parse_duration(text: str) -> float | None:
    """The seconds of `90s`, `1.5h`, `2d` or a plain number, or nothing if the text is no such thing."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([smhdw]?)", text.strip(), re.ASCII)
    return float(match[1]) * _SECONDS[match[2]] if match else None


class Resources(Part, frozen=True):
    """What a task may use. `None` means no limit of its own."""

    cpus: float | None = None
    memory: int | None = None
    """Bytes."""
    pids: int | None = None
    """Processes and threads; `None` for as many as any honest task has."""
    gpus: int | Literal["auto", "all"] = 0
    instance_type: str | None = None
    """The machine label of the Gradient format: it names a wish, and is kept for the record."""


Cause = Literal["error", "timeout", "oom"]
"""What a failure was: `oom` is out of memory, `error` any other end."""


class Retry(Part, frozen=True):
    """How often a task that fails is tried."""

    attempts: int = 1
    """In all."""
    backoff: float = 0.0
    """Seconds before the second attempt; each further pause is twice as long."""
    on: tuple[Cause, ...] = ("error", "timeout", "oom")

    LONGEST_PAUSE: ClassVar[float] = 3600.0

    def pause(self, attempt: int) -> float:
        """Seconds between the end of an attempt, counted from 1, and the next."""
        return min(self.LONGEST_PAUSE, self.backoff * 2.0 ** min(attempt - 1, 60))


ONCE: Final = Retry()


class JobResult(Part, frozen=True):
    """How another job of this run has ended: `succeeded`, `failed`, `skipped` or `cancelled`."""

    job: str


class JobMetric(Part, frozen=True):
    """A figure that another job of this run has recorded."""

    job: str
    name: str


Scalar = str | int | float | bool


class Comparison(Part, frozen=True):
    """A reference compared with a value."""

    subject: Text | UpstreamOutput | JobMetric | JobResult
    operator: Literal["==", "!=", "<", "<=", ">", ">="]
    value: Scalar


class Condition(Part, frozen=True):
    """Whether a task runs, decided when all that it needs has come to its end."""

    text: str
    """As the workflow writes it."""
    after: Literal["success", "failure", "anything"] = "success"
    """What must have become of the jobs that it needs: `failure` is of one of them, or of one before them."""
    comparison: Comparison | None = None

    @property
    def is_cleanup(self) -> bool:
        """Whether the task runs whatever happens, even when the run is stopped."""
        return self.after == "anything" and self.comparison is None


SUCCESS: Final = Condition("success()")


class MatrixMember(Part, frozen=True):
    """A task as one of many that a job with a matrix stands for."""

    job: str
    """The job, as the workflow calls it."""
    values: Mapping[str, Scalar]
    """The variables of the matrix."""
    max_parallel: int | None = None
    """How many members run at once; `None` for as many as there is room for."""
    fail_fast: bool = True
    """Whether a member that fails ends the others."""


class Task(Part, frozen=True):
    """One job, compiled to one process: in a container, or a program of `wf` on this machine.

    A job that only registers something is done by `wf` itself, without a process.
    """

    id: str
    action: str
    """What the workflow wrote after `uses:`."""
    image: Image | HostProgram | None
    """`None` for what needs no process: no backend hears of it."""
    entrypoint: tuple[str, ...] | None
    """What replaces the image's entrypoint; `None` keeps it."""
    command: tuple[str, ...]
    """Arguments after the entrypoint; empty keeps the image's command if its entrypoint is kept too."""
    span: Span
    parameters: Mapping[str, object] = {}
    """`with:` after references were resolved and types checked; for the record and for comparing runs."""
    defaulted: frozenset[str] = frozenset()
    """Those of the parameters that the workflow leaves to their defaults."""
    accounts: tuple[str, ...] = ()
    """The names of registry accounts to pull its image with, the first to try first."""
    env: Mapping[str, str] = {}
    secrets: Mapping[str, SecretRef] = {}
    """Environment variable -> the secret that fills it."""
    inputs: tuple[TaskInput, ...] = ()
    inputs_mode: InputsMode = "cow"
    outputs: tuple[TaskOutput, ...] = ()
    local_files: tuple[LocalFile, ...] = ()
    needs: tuple[str, ...] = ()
    resources: Resources = Resources()
    timeout: float | None = None
    """Seconds of running time of one attempt, after which the task is stopped and counts as failed."""
    is_step: bool = False
    """A step of the project: it gets the snapshot of `steps/`, runs as the caller, and in a tight sandbox.

    Any other task keeps what its image says (user, working directory, writable root), as the Gradient format promises.
    """
    network: bool = True
    network_with: tuple[str, ...] = ()
    """Variables that give it the network when they are set, where `network` is false."""
    control: bool = False
    """Whether it may ask `wf` for something while it runs (see `wf.control`)."""
    model: ModelSpec | None = None
    """The model that it registers; it has no image then."""
    cache: bool = False
    """Whether it gets the project's folder for downloads."""
    reuse: bool = True
    """Whether outputs of an earlier execution with the same key may stand for a new one."""
    cache_key: str = ""
    """A part of the key that the workflow adds."""
    ignored_env: frozenset[str] = frozenset()
    """Variables whose values are no part of the key."""
    state: bool = False
    """Whether it gets a folder that outlives a failed attempt of the same task with the same inputs."""
    member: MatrixMember | None = None
    """Where it is one of many."""
    retry: Retry = ONCE
    condition: Condition = SUCCESS

    @property
    def fails_fast(self) -> bool:
        """Whether its failure ends other jobs: those of its matrix."""
        return self.member is not None and self.member.fail_fast

    @property
    def may_have_views(self) -> bool:
        """Whether its `inputs_mode` makes a difference."""
        return not self.is_step and any(each.type != "string" for each in self.inputs)

    @property
    def has_shared_volume(self) -> bool:
        """Whether it shares a volume in any case."""
        return any(isinstance(each.source, SharedVolume) for each in self.inputs)


class Plan(Part, frozen=True):
    """A whole workflow, ready to run."""

    workflow: Path
    root: Path
    """The project's folder: `steps/`, `containers/` and `.wf/` lie in it."""
    tasks: tuple[Task, ...]
    """In an order in which every task follows all that it needs."""
    inputs: Mapping[str, str] = {}
    """The workflow's inputs with their values, as text."""
    timeout: float | None = None
    """Seconds from the start of the first task, after which the run is stopped and counts as failed."""
    spec: Mapping[str, object] = {}
    """The workflow as its file has it, for the record."""

    def for_backend(self) -> "Plan":
        """The plan without the tasks that need no process."""
        return replace(self, tasks=tuple(task for task in self.tasks if task.image is not None))

    def with_inputs_mode(self, mode: InputsMode) -> "Plan":
        """The plan with another mode for all inputs that it concerns. Tasks with a shared volume keep theirs.

        What a task does to a shared view is part of the run, so nothing may stand for a task that has one.
        """
        return replace(
            self,
            tasks=tuple(
                replace(task, inputs_mode=mode, reuse=task.reuse and mode != "shared")
                if task.may_have_views and not task.has_shared_volume
                else task
                for task in self.tasks
            ),
        )

    def without_fail_fast(self) -> "Plan":
        """The plan in which no failure ends what does not need the job that failed."""
        tasks = (
            replace(task, member=replace(task.member, fail_fast=False)) if task.member else task for task in self.tasks
        )
        return replace(self, tasks=tuple(tasks))

    def task(self, task_id: str) -> Task:
        """The task of the job `task_id`."""
        return next(task for task in self.tasks if task.id == task_id)

    def tasks_of(self, job: str) -> tuple[Task, ...]:
        """The task of a job; of one with a matrix all its members."""
        return tuple(task for task in self.tasks if job in (task.id, task.member and task.member.job))
