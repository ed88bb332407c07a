"""What the user wrote: the Gradient Workflows format and our additions to it, each key with one type.

Nothing is resolved here: references are still text, defaults are not merged, actions are only names.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Struct
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationError,
    WithJsonSchema,
)

from wf.errors import InvalidWorkflow, Problem
from wf.matrix import Matrix, Member, expand, told_once
from wf.mistakes import describe
from wf.oddities import tolerate
from wf.plan import parse_duration, parse_size
from wf.source import Document, Loc

MOST_MEMORY: Final = 2**53
"""Bytes: more than any machine has, and a number that JSON holds."""


LONGEST: Final = 1e9
"""Seconds: thirty years, which every clock can count."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _bytes(value: object) -> object:
    """`2GiB`, `512MB`, `1.5g` or a plain number of bytes."""
    if isinstance(value, str):
        number = parse_size(value)
        if number is None:
            raise ValueError("write a size such as `2GiB` or `512MiB`")
        return number
    return value


def _seconds(value: object) -> object:
    """`90s`, `30m`, `1.5h`, `2d` or a plain number of seconds."""
    if isinstance(value, str):
        seconds = parse_duration(value)
        if seconds is None:
            raise ValueError("write a number of seconds, or such as `90s`, `30m`, `2h`")
        return seconds
    return value


def _gpus(value: object) -> object:
    count = int(value) if isinstance(value, str) and value.isdecimal() else value
    if count in ("auto", "all", None) or (
        isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= 1000
    ):
        return count
    raise ValueError("write a number of GPUs, `all` or `auto`")


_DURATION = {"anyOf": [{"type": "number"}, {"type": "string"}]}

_Timeout = Annotated[
    Annotated[float, Field(gt=0, le=LONGEST)] | None, BeforeValidator(_seconds), WithJsonSchema(_DURATION)
]


class IOWith(_Part):
    """What an input or output is filled with."""

    ref: str | None = Field(None, description="a dataset: `name`, `name:version`, `name:latest`")
    value: Annotated[str | None, WithJsonSchema({"type": ["string", "number", "boolean"]})] = Field(
        None, description="the text of a string input"
    )


class IOSpec(_Part):
    """An input or output of a workflow or a job."""

    type: Literal["dataset", "volume", "string"]
    with_: IOWith = Field(IOWith(), alias="with")
    optional: bool = False
    description: str | None = Field(None, description="shown by `wf plan` (extension)")


def _kind(value: object) -> str:
    return "reference" if isinstance(value, str) else "io"


InputSpec = Annotated[
    Annotated[str, Tag("reference")] | Annotated[IOSpec, Tag("io")],
    Discriminator(_kind),
]
"""Either a reference such as `Clean.outputs.ratings`, or a spec of its own."""


class ResourcesSpec(_Part):
    """What a job may use."""

    instance_type: str | None = Field(None, alias="instance-type", description="a label of the format; not a limit")
    cpus: float | None = Field(
        None, gt=0, le=1e6, description="limit of processor cores, for example `1.5` (extension)"
    )
    memory: Annotated[
        Annotated[int, Field(gt=0, le=MOST_MEMORY)] | None,
        BeforeValidator(_bytes),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        Field(description="limit of memory, for example `4GiB` (extension)"),
    ] = None
    pids: int | None = Field(
        None, gt=0, le=2**22, description="limit of processes and threads, for example `200` (extension)"
    )
    gpus: Annotated[
        int | Literal["auto", "all"] | None,
        PlainValidator(_gpus),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["auto", "all"]}]}),
        Field(description="a number, `all`, or `auto`: one if the engine has one (extension)"),
    ] = None


class DefaultResources(ResourcesSpec):
    """Resources of every job that does not set its own."""

    container_registries: tuple[str, ...] = Field((), alias="container-registries")


class Defaults(_Part):
    """What holds for every job that does not say otherwise."""

    env: dict[str, str] = {}
    resources: DefaultResources = DefaultResources()
    cluster_id: str | None = Field(None, alias="clusterId")


_CHOICE = {"type": ["string", "number", "boolean"]}
_COMBINATIONS = {"type": "array", "items": {"type": "object", "additionalProperties": _CHOICE}}
_MATRIX = {
    "type": "object",
    "minProperties": 1,
    "properties": {"include": _COMBINATIONS, "exclude": _COMBINATIONS},
    "additionalProperties": {
        "anyOf": [
            {"type": "array", "minItems": 1, "items": _CHOICE},
            {"type": "string", "pattern": r"^workflow\.inputs\.[A-Za-z0-9_-]+$"},
        ]
    },
}


class GitHubContext(BaseModel):
    """The commit that a run is about."""

    model_config = ConfigDict(frozen=True)

    url: str | None = None
    ref: str | None = None


class EventContext(BaseModel):
    """What set a run off."""

    model_config = ConfigDict(frozen=True)

    github: GitHubContext = GitHubContext()


class Context(BaseModel):
    """What the service fills in. Pages of its runs show files with it, and so do files that came from there."""

    model_config = ConfigDict(frozen=True)

    event: EventContext = EventContext()


def _retry(value: object) -> object:
    return {"attempts": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _cache(value: object) -> object:
    return None if value is False else {} if value is True else value


class CacheSpec(_Part):
    """When outputs of an earlier execution stand for a job's, beyond what holds for all jobs."""

    key: str | None = Field(None, description="a text, or `workflow.inputs.NAME`: another one runs the job again")
    ignore_env: tuple[str, ...] = Field(
        (), alias="ignore-env", description="variables whose values make no difference to what the job leaves"
    )


class RetrySpec(_Part):
    """What happens when a job fails."""

    attempts: int = Field(ge=1, le=100, description="how often it is tried in all")
    backoff: Annotated[
        Annotated[float, Field(ge=0, le=3600)],
        BeforeValidator(_seconds),
        WithJsonSchema(_DURATION),
        Field(description="seconds, or such as `2m`, before the second attempt, then twice as many"),
    ] = 0
    on: tuple[Literal["error", "timeout", "oom"], ...] = Field(
        ("error", "timeout", "oom"), description="the failures after which it is tried again"
    )


class Strategy(_Part):
    """How a job becomes many."""

    matrix: Annotated[Any, WithJsonSchema(_MATRIX)] = Field(
        description="variables, each with a list of values: the job runs once for each combination"
    )
    max_parallel: int | None = Field(None, alias="max-parallel", gt=0, description="how many run at once")
    fail_fast: bool = Field(default=True, alias="fail-fast", description="false: when one fails, the others go on")


class Job(_Part):
    """One action, run in one container."""

    uses: str | None = Field(None, description="an action: `./steps/NAME`, `script@v1`, ...")
    with_: dict[str, Any] = Field({}, alias="with", description="the action's parameters")
    needs: tuple[str, ...] = Field((), description="jobs that must succeed before this one starts")
    inputs: dict[str, InputSpec] = {}
    outputs: dict[str, IOSpec] = {}
    env: dict[str, str] = {}
    resources: ResourcesSpec = ResourcesSpec()
    timeout: Annotated[_Timeout, Field(description="seconds, or such as `30m`, of running time of each attempt")] = None
    cache: Annotated[CacheSpec | None, BeforeValidator(_cache)] = Field(
        CacheSpec(),
        description="false: run it even if it has run before with all the same; or what counts for that (extension)",
    )
    retry: Annotated[RetrySpec | None, BeforeValidator(_retry)] = Field(
        None, description="try it again when it fails: a number of attempts, or more (extension)"
    )
    if_: str = Field(
        "success()",
        alias="if",
        description="`success()`, `failure()`, `always()` or a reference compared with a value (extension)",
    )
    strategy: Strategy | None = Field(None, description="run it once for each combination of values (extension)")


class Workflow(_Part):
    """A whole file."""

    jobs: dict[str, Job]
    inputs: dict[str, IOSpec] = {}
    defaults: Defaults = Defaults()
    on: Any = Field(None, description="triggers; kept, and not acted on by `wf run`")
    context: Context = Field(Context(), description="what `context.event.github.url` and `.ref` stand for")
    timeout: Annotated[_Timeout, Field(description="seconds, or such as `2h`, for the whole run")] = None


class Reading(Struct, frozen=True):
    """A workflow as far as it could be read."""

    workflow: Workflow
    problems: list[Problem]
    """Errors, and warnings about what was accepted although it is not quite right."""
    broken: frozenset[str]
    """Jobs with errors: the workflow holds only their `needs`, so that the others can be checked further."""
    document: Document
    """It knows where members of a matrix stand."""
    matrices: Mapping[str, Matrix]
    """Jobs that stand for many: the workflow holds their members in their place."""
    members: Mapping[str, tuple[Matrix, Member]]
    """These members, by their ids."""


def read_workflow(document: Document, settings: Mapping[str, str]) -> Reading:
    """Fit a file to the format, with every matrix written out.

    `settings` are values for the workflow's inputs, by name.

    Raises:
        InvalidWorkflow: nothing could be made of it.
    """
    tolerated, problems = tolerate(document)
    if not isinstance(tolerated, dict):
        raise InvalidWorkflow([Problem("a workflow is a mapping with the key `jobs`", document.span(()))])
    expansion = expand(document, tolerated, settings)
    data, document, matrices = expansion.data, expansion.document, expansion.matrices
    problems += expansion.problems
    try:
        workflow = Workflow.model_validate(_without_contents(data, expansion.broken))
        return Reading(workflow, problems, expansion.broken, document, matrices, expansion.members)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
    problems += [describe(document, details, _known_keys) for details in wrong]
    broken = frozenset(str(loc[1]) for details in wrong if (loc := details["loc"])[0] == "jobs" and len(loc) > 1)
    unknown = {loc[0] for details in wrong if details["type"] == "extra_forbidden" and len(loc := details["loc"]) == 1}
    rest = {key: value for key, value in data.items() if key not in unknown}
    try:
        broken |= expansion.broken
        workflow = Workflow.model_validate(_without_contents(rest, broken))
        return Reading(workflow, problems, broken, document, matrices, expansion.members)
    except ValidationError:
        raise InvalidWorkflow(told_once(problems, matrices)) from None


def _without_contents(data: Mapping[str, Any], broken: Collection[str]) -> dict[str, Any]:
    """The data with only the needs of the jobs that are broken."""
    jobs = data.get("jobs")
    if not broken or not isinstance(jobs, dict):
        return dict(data)
    return {**data, "jobs": {name: _only_needs(job) if name in broken else job for name, job in jobs.items()}}


def _only_needs(job: object) -> dict[str, object]:
    needs = job.get("needs") if isinstance(job, dict) else None
    return {"needs": [need for need in needs if isinstance(need, str)] if isinstance(needs, list) else []}


def _known_keys(loc: Loc) -> tuple[str, ...]:
    """The keys that a mapping may have."""
    match loc:
        case ():
            model: type[BaseModel] = Workflow
        case ("jobs", _):
            model = Job
        case ("defaults",):
            model = Defaults
        case ("defaults", "resources"):
            model = DefaultResources
        case ("jobs", _, "cache"):
            model = CacheSpec
        case ("jobs", _, "retry"):
            model = RetrySpec
        case ("jobs", _, "strategy"):
            model = Strategy
        case (*_, "resources"):
            model = ResourcesSpec
        case (*_, "with"):
            model = IOWith
        case _:
            model = IOSpec
    return tuple(info.alias or name for name, info in model.model_fields.items())
