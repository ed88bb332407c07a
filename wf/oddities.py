"""Harmless departures from the format that real files contain: accepted, put right, and told as warnings."""

import copy
from typing import Any

from wf.errors import Problem
from wf.source import Document, Loc


def tolerate(document: Document) -> tuple[Any, list[Problem]]:
    """The document's data with its oddities put right, and a warning for each."""
    data = copy.deepcopy(document.data)
    warnings: list[Problem] = []
    if not isinstance(data, dict):
        return data, warnings

    def warn(message: str, loc: Loc) -> None:
        warnings.append(Problem(message, document.span(loc), is_warning=True))

    def quote_numbers(values: object, loc: Loc) -> None:
        if not isinstance(values, dict):
            return
        for name, value in values.items():
            place = (*loc, name)
            text = document.text(place)
            if text is not None and not isinstance(value, str):
                values[name] = text
                warn(f"`{name}` is read as the text `{text}`: put it in quotes", place)

    def rename_ids(ports: object, loc: Loc) -> None:
        if not isinstance(ports, dict):
            return
        for name, port in ports.items():
            filled = port.get("with") if isinstance(port, dict) else None
            if isinstance(filled, dict) and "id" in filled and "ref" not in filled:
                filled["ref"] = filled.pop("id")
                warn("`id` is the old word for `ref`", (*loc, name, "with", "id"))

    def values_as_text(ports: object, loc: Loc) -> None:
        # A workflow's inputs are text in the format; a plain number says the same and is not worth a warning.
        if not isinstance(ports, dict):
            return
        for name, port in ports.items():
            filled = port.get("with") if isinstance(port, dict) else None
            text = document.text((*loc, name, "with", "value"))
            if isinstance(filled, dict) and text is not None:
                filled["value"] = text

    quote_numbers(_under(data, "defaults", "env"), ("defaults", "env"))
    rename_ids(data.get("inputs"), ("inputs",))
    values_as_text(data.get("inputs"), ("inputs",))
    jobs = data.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        if not isinstance(job, dict):
            continue
        loc = ("jobs", name)
        quote_numbers(job.get("env"), (*loc, "env"))
        if isinstance(job.get("needs"), str):
            warn("`needs` is a list: write `[" + job["needs"] + "]`", (*loc, "needs"))
            job["needs"] = [job["needs"]]
        for ports in ("inputs", "outputs"):
            rename_ids(job.get(ports), (*loc, ports))
            values_as_text(job.get(ports), (*loc, ports))
    return data, warnings


def _under(data: dict[str, Any], *keys: str) -> object:
    value: object = data
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
