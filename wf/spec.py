"""What the user wrote: the Gradient Workflows format and our additions to it, each key with one type.

Nothing is resolved here: references are still text, defaults are not merged, actions are only names.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal

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
from pydantic_core import ErrorDetails

from wf.errors import InvalidWorkflow, Problem, Span
from wf.oddities import tolerate
from wf.source import Document, Loc


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _bytes(value: object) -> object:
    """`2GiB`, `512MB`, `1.5g` or a plain number of bytes."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", value.strip(), re.IGNORECASE)
        if not match:
            raise ValueError("write a size such as `2GiB` or `512MiB`")
        number, unit, _ = match.groups()
        return int(float(number) * 1024 ** " kmgt".index(unit.lower() or " "))
    return value


def _gpus(value: object) -> object:
    count = int(value) if isinstance(value, str) and value.isdecimal() else value
    if count in ("auto", "all", None) or (isinstance(count, int) and not isinstance(count, bool) and count >= 0):
        return count
    raise ValueError("write a number of GPUs, `all` or `auto`")


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
    cpus: float | None = Field(None, gt=0, description="limit of processor cores, for example `1.5` (extension)")
    memory: Annotated[
        int | None,
        BeforeValidator(_bytes),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        Field(gt=0, description="limit of memory, for example `4GiB` (extension)"),
    ] = None
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


class Job(_Part):
    """One action, run in one container."""

    uses: str | None = Field(None, description="`./steps/NAME`, `script@v1`, `container@v1` or `create-model@v1`")
    with_: dict[str, Any] = Field({}, alias="with", description="the action's parameters")
    needs: tuple[str, ...] = Field((), description="jobs that must succeed before this one starts")
    inputs: dict[str, InputSpec] = {}
    outputs: dict[str, IOSpec] = {}
    env: dict[str, str] = {}
    resources: ResourcesSpec = ResourcesSpec()
    timeout: float | None = Field(None, gt=0, description="seconds of running time")
    cache: bool = Field(
        default=True, description="false: run it even if it has run before with all the same (extension)"
    )


class Workflow(_Part):
    """A whole file."""

    jobs: dict[str, Job]
    inputs: dict[str, IOSpec] = {}
    defaults: Defaults = Defaults()
    on: Any = Field(None, description="triggers; kept, and not acted on by `wf run`")
    context: Any = Field(None, description="values for `context.event...`")
    timeout: float | None = Field(None, gt=0, description="seconds for the whole run")


@dataclass(frozen=True, slots=True)
class Reading:
    """A workflow as far as it could be read."""

    workflow: Workflow
    problems: list[Problem]
    """Errors, and warnings about what was accepted although it is not quite right."""
    broken: frozenset[str]
    """Jobs with errors: the workflow holds only their `needs`, so that the others can be checked further."""


def read_workflow(document: Document) -> Reading:
    """Fit a file to the format.

    Raises:
        InvalidWorkflow: nothing could be made of it.
    """
    data, problems = tolerate(document)
    if not isinstance(data, dict):
        raise InvalidWorkflow([Problem("a workflow is a mapping with the key `jobs`", document.span(()))])
    try:
        return Reading(Workflow.model_validate(data), problems, frozenset())
    except ValidationError as error:
        wrong = error.errors(include_url=False)
    problems += [_problem(document, details) for details in wrong]
    broken = frozenset(str(loc[1]) for details in wrong if (loc := details["loc"])[0] == "jobs" and len(loc) > 1)
    unknown = {loc[0] for details in wrong if details["type"] == "extra_forbidden" and len(loc := details["loc"]) == 1}
    rest = {key: value for key, value in data.items() if key not in unknown}
    if isinstance(data.get("jobs"), dict):
        rest["jobs"] = {name: _only_needs(job) if name in broken else job for name, job in data["jobs"].items()}
    try:
        return Reading(Workflow.model_validate(rest), problems, broken)
    except ValidationError:
        raise InvalidWorkflow(problems) from None


def _only_needs(job: object) -> dict[str, object]:
    needs = job.get("needs") if isinstance(job, dict) else None
    return {"needs": [need for need in needs if isinstance(need, str)] if isinstance(needs, list) else []}


_KNOWN_KEYS = {
    "workflow": tuple(Workflow.model_fields),
    "job": ("uses", "with", "needs", "inputs", "outputs", "env", "resources", "timeout", "cache"),
}

_MEANT = {
    "steps": "a job runs one action: write `uses:` and `with:`, and a job for each step",
    "run": "write `uses: script@v1` with `with: {image: ..., script: ...}`",
    "runs-on": "write `resources: {instance-type: ...}`",
    "image": "write it under `with:`",
    "container": "write `uses: container@v1` with `with: {image: ...}`",
    "script": "write it under `with:`",
    "command": "write it under `with:`",
    "args": "write it under `with:`",
    "permissions": "containers get only what they need; there is nothing to permit",
    "id": "write `with: {ref: ...}`",
    "ref": "write `with: {ref: ...}`",
    "value": "write `with: {value: ...}`",
}


def _problem(document: Document, details: ErrorDetails) -> Problem:
    loc: Loc = details["loc"]
    place = _name(loc)
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(document, loc)
        case "missing":
            message = f"{_name(loc[:-1])} has no `{loc[-1]}`"
            return Problem(message, document.key_span(loc[:-1]), _missing_hint(str(loc[-1])))
        case "string_type":
            return Problem(
                f"{place} must be text, not {_kind_of(details['input'])}",
                document.span(loc),
                _text_hint(details),
            )
        case "dict_type" | "model_type":
            return _no_mapping(document, loc, details)
        case "tuple_type":
            return Problem(f"{place} must be a list, not {_kind_of(details['input'])}", document.span(loc))
        case "value_error":
            return Problem(f"{place}: {details['msg'].removeprefix('Value error, ')}", document.span(loc))
    expected = details["msg"].replace("Input should be ", "must be ").replace("'", "`").partition(", unable")[0]
    return Problem(f"{place} {expected}", _span_of(document, loc, details), _near_word(details))


def _near_word(details: ErrorDetails) -> str:
    words = re.findall(r"'([^']+)'", details["ctx"]["expected"]) if details["type"] == "literal_error" else []
    near = get_close_matches(str(details["input"]), words, n=1)
    return f"did you mean `{near[0]}`?" if near else ""


def _no_mapping(document: Document, loc: Loc, details: ErrorDetails) -> Problem:
    place, span = _name(loc), _span_of(document, loc, details)
    if details["input"] is None:
        return Problem(f"{place} is empty", span, "what belongs to it is indented below it")
    hint = (
        "indent it below the job's name" if loc[0] == "jobs" and len(loc) == 2 and loc[1] in _KNOWN_KEYS["job"] else ""
    )
    return Problem(f"{place} must be a mapping, not {_kind_of(details['input'])}", span, hint)


def _span_of(document: Document, loc: Loc, details: ErrorDetails) -> Span:
    # An empty value has no text to point at: its key has.
    return document.key_span(loc) if details["input"] is None else document.span(loc)


def _unknown_key(document: Document, loc: Loc) -> Problem:
    key = str(loc[-1])
    parent = _name(loc[:-1])
    is_job = len(loc) == 3 and loc[0] == "jobs"
    known = _KNOWN_KEYS["job" if is_job else "workflow"] if is_job or len(loc) == 1 else ("type", "with", "optional")
    near = get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    if key in _MEANT:
        hint = _MEANT[key]
    elif near:
        hint = f"did you mean `{near[0]}`?"
    elif len(loc) == 1 and key == "env":
        hint = "write it under `defaults:`"
    elif key == "name":
        hint = "the file's name names the workflow" if len(loc) == 1 else "the key above names the job"
    elif len(loc) == 1 or is_job:
        hint = f"the keys here are {', '.join(f'`{name}`' for name in known)}"
    else:
        hint = ""
    return Problem(f"{parent} has an unknown key `{key}`", document.key_span(loc), hint)


def _missing_hint(key: str) -> str:
    return {
        "jobs": "a workflow needs `jobs:`",
        "type": "write `type: dataset`, `type: volume` or `type: string`",
    }.get(key, "")


def _text_hint(details: ErrorDetails) -> str:
    value = details["input"]
    if isinstance(value, dict) and len(value) == 1 and "secret" in value:
        return f"write `secret:{value['secret']}` without a space"
    if isinstance(value, int | float | bool):
        return "put it in quotes"
    return ""


def _name(loc: Loc) -> str:
    """The place in the user's words: `jobs.Train.with` of the file."""
    shown = [part for part in loc if part not in ("reference", "io", "word", "number")]
    match shown:
        case []:
            return "the workflow"
        case ["jobs", job]:
            return f"job `{job}`"
        case ["jobs", job, *rest]:
            return f"`{_dotted(rest)}` of job `{job}`"
    return f"`{_dotted(shown)}`"


def _dotted(parts: list[str | int]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _kind_of(value: object) -> str:
    names = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "nothing")
