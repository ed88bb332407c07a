"""What does not fit the format, in words that say what was probably meant: often the habits of another one."""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Final

from pydantic_core import ErrorDetails

from wf.errors import Problem, Span
from wf.source import Document, Loc

_MEANT_AT_THE_TOP: Final = {
    "name": "the file's name names the workflow",
    "version": "leave it out: the format has no versions",
    "workflows": "a file holds one workflow: write `jobs:` at the top",
    "workflow": "a file holds one workflow: write `jobs:` at the top",
    "env": "write it under `defaults:`",
    "resources": "write it under `defaults:`",
    "image": "write it under `with:` of each job",
    "permissions": "containers get only what they need; there is nothing to permit",
    "steps": "write a job for each step, under `jobs:`",
    "secrets": "write `secret:NAME` as a value under `env`",
}
_MEANT_IN_A_JOB: Final = {
    "name": "the key above names the job",
    "steps": "a job runs one action: write `uses:` and `with:`, and a job for each step",
    "run": "write `uses: script@v1` with `with: {image: ..., script: ...}`",
    "runs-on": "write `resources: {instance-type: ...}`",
    "machine": "write `resources: {instance-type: ...}`",
    "instance-type": "write `resources: {instance-type: ...}`",
    "image": "write it under `with:`",
    "container": "write `uses: container@v1` with `with: {image: ...}`",
    "script": "write it under `with:`",
    "command": "write it under `with:`",
    "args": "write it under `with:`",
    "url": "write it under `with:`",
    "ports": "nothing listens in a workflow: a job runs to its end",
    "services": "nothing listens in a workflow: a job runs to its end",
    "when": "write `if:`",
    "retries": "write `retry: 3`",
    "continue-on-error": "write `if: always()` in the jobs that go on after it",
    "matrix": "write `strategy: {matrix: ...}`",
    "permissions": "containers get only what they need; there is nothing to permit",
}


def describe(document: Document, details: ErrorDetails, known_keys: Callable[[Loc], Sequence[str]]) -> Problem:
    """What is wrong, and what was probably meant.

    Args:
        document: the file.
        details: what pydantic says.
        known_keys: the keys that the mapping at a place may have.
    """
    loc: Loc = details["loc"]
    place = _name(loc)
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(document, loc, details["input"], known_keys)
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
            return _no_mapping(document, loc, details, known_keys(("jobs", "")))
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


def _no_mapping(document: Document, loc: Loc, details: ErrorDetails, known: Sequence[str]) -> Problem:
    place, span = _name(loc), _span_of(document, loc, details)
    if details["input"] is None:
        return Problem(f"{place} is empty", span, "what belongs to it is indented below it")
    hint = "indent it below the job's name" if loc[0] == "jobs" and len(loc) == 2 and loc[1] in known else ""
    return Problem(f"{place} must be a mapping, not {_kind_of(details['input'])}", span, hint)


def _span_of(document: Document, loc: Loc, details: ErrorDetails) -> Span:
    # An empty value has no text to point at: its key has.
    return document.key_span(loc) if details["input"] is None else document.span(loc)


def _unknown_key(document: Document, loc: Loc, value: object, known_keys: Callable[[Loc], Sequence[str]]) -> Problem:
    key, around = str(loc[-1]), _shown(loc[:-1])
    known = known_keys(around)
    meant = _MEANT_AT_THE_TOP if not around else _MEANT_IN_A_JOB if len(around) == 2 and around[0] == "jobs" else {}
    near = get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    if key in meant:
        hint = meant[key]
    elif key in ("id", "ref", "value") and "with" in known:
        hint = f"write `with: {{ref: {value}}}`" if key != "value" else "write `with: {value: ...}`"
    elif near:
        hint = f"did you mean `{near[0]}`?"
    elif key == "container-registries":
        hint = "write it under `resources` of `defaults:`, for all jobs, or `containerRegistry` under `with:`"
    else:
        hint = f"the keys here are {', '.join(f'`{name}`' for name in known)}"
    return Problem(f"{_name(loc[:-1])} has an unknown key `{key}`", document.key_span(loc), hint)


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
    if details["loc"][-1] == "uses":
        return "a job runs one action: write a job for each"
    return ""


def _name(loc: Loc) -> str:
    """The place in the user's words: `jobs.Train.with` of the file."""
    match _shown(loc):
        case ():
            return "the workflow"
        case ["jobs", job]:
            return f"job `{job}`"
        case ["jobs", job, *rest]:
            return f"`{_dotted(rest)}` of job `{job}`"
    return f"`{_dotted(_shown(loc))}`"


def _shown(loc: Loc) -> Loc:
    """Without what pydantic adds: the kinds of a union."""
    return tuple(part for part in loc if part not in ("reference", "io"))


def _dotted(parts: Sequence[str | int]) -> str:
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
