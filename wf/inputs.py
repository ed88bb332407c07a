"""The caller's file: values for the inputs of a workflow, in every shape that the format's clients have sent."""

from pathlib import Path
from typing import Any

from wf.errors import InvalidWorkflow, Problem
from wf.source import Document, Loc, load


def read_inputs(path: Path) -> dict[str, str]:
    """The values in a YAML or JSON file, by name.

    A value is `{value: ...}`, `{ref: ...}`, `{id: ...}`, `{type: ..., with: ...}` with one of these, or plain text;
    all of it may lie under `inputs`.

    Raises:
        InvalidWorkflow: with everything that is wrong with the file.
    """
    document = load(path)
    data: Any = document.data
    loc: Loc = ()
    if isinstance(data, dict) and list(data) == ["inputs"] and _holds_inputs(data["inputs"]):
        data, loc = data["inputs"], ("inputs",)
    if not isinstance(data, dict):
        hint = "for example `epochs: {value: 5}`"
        raise InvalidWorkflow([Problem("values for inputs are a mapping, by name", document.span(loc), hint)])
    values: dict[str, str] = {}
    problems = []
    for name in data:
        found = _text(document, data[name], (*loc, name))
        if found is None:
            hint = "write `{value: TEXT}` or `{ref: DATASET}`"
            problems.append(Problem(f"the input `{name}` gets no value", document.span((*loc, name)), hint))
        else:
            values[name] = found
    if problems:
        raise InvalidWorkflow(problems)
    return values


def _holds_inputs(value: object) -> bool:
    """Whether this is what lies under `inputs`, and not the value of an input of that name."""
    return isinstance(value, dict) and not ({"value", "ref", "id", "with"} & set(value))


def _text(document: Document, value: Any, loc: Loc) -> str | None:
    if not isinstance(value, dict):
        return document.text(loc) if value is not None else None
    inner, place = value, loc
    if isinstance(value.get("with"), dict):
        inner, place = value["with"], (*loc, "with")
    key = next((key for key in ("value", "ref", "id") if key in inner), None)
    return document.text((*place, key)) if key else None
