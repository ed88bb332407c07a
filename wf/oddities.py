"""Harmless departures from the format that real files contain: accepted, put right, and told as warnings."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from wf.errors import Problem
from wf.source import Document, Loc

_GIT: Final = "git-checkout@v1"
_FILTERS: Final = ("only", "include", "ignore")


def tolerate(document: Document) -> tuple[Any, list[Problem]]:
    """The document's data with its oddities put right, and a warning for each."""
    data = msgspec.json.decode(document.json)  # a copy
    if not isinstance(data, dict):
        return data, []
    mender = _Mender(document)
    mender.mend(data)
    return data, mender.warnings


class _Mender:
    """Walks through one file. Whatever has an unexpected type is left for the validation."""

    def __init__(self, document: Document) -> None:
        self.warnings: list[Problem] = []
        self._document = document

    def mend(self, data: dict[str, Any]) -> None:
        self._triggers(data.get("on"))
        if (defaults := data.get("defaults")) and isinstance(defaults, dict):
            self._quote_numbers(defaults.get("env"), ("defaults", "env"))
        self._ports(data.get("inputs"), ("inputs",))
        jobs = data.get("jobs")
        if not isinstance(jobs, dict):
            return
        whole = {name: job for name, job in jobs.items() if isinstance(job, dict)}
        for name, job in whole.items():
            loc = ("jobs", name)
            self._quote_numbers(job.get("env"), (*loc, "env"))
            if isinstance(job.get("needs"), str):
                self._warn("`needs` is a list: write `[" + job["needs"] + "]`", (*loc, "needs"))
                job["needs"] = [job["needs"]]
            self._ports(job.get("inputs"), (*loc, "inputs"))
            self._ports(job.get("outputs"), (*loc, "outputs"))
            _resolve_aliases(job.get("inputs"))
        self._shared_volumes(whole)

    def _warn(self, message: str, loc: Loc, hint: str = "", *, at_key: bool = False) -> None:
        span = self._document.key_span(loc) if at_key else self._document.span(loc)
        self.warnings.append(Problem(message, span, hint, is_warning=True))

    def _triggers(self, on: object) -> None:
        """Nothing here waits for events, so what the service would not know either changes nothing."""
        if isinstance(on, str):
            on = {on: None}
        if isinstance(on, list):
            on = {name: None for name in on if isinstance(name, str)}
        for event, filters in on.items() if isinstance(on, dict) else ():
            if event != "github":
                self._warn(f"the trigger `{event}` does nothing", ("on", event), "`wf run` starts a run", at_key=True)
                continue
            for kind, filter_ in filters.items() if isinstance(filters, dict) else ():
                known = kind in ("branches", "tags") and isinstance(filter_, dict) and set(filter_) <= set(_FILTERS)
                if not known:
                    hint = "write `branches: {only: NAME}` or `tags: {only: NAME}`"
                    self._warn(f"the trigger `github.{kind}` does nothing", ("on", event, kind), hint, at_key=True)

    def _quote_numbers(self, values: object, loc: Loc) -> None:
        if not isinstance(values, dict):
            return
        for name, value in values.items():
            place = (*loc, name)
            if not isinstance(value, str) and (text := self._document.text(place)) is not None:
                values[name] = text
                self._warn(f"`{name}` is read as the text `{text}`: put it in quotes", place)

    def _ports(self, ports: object, loc: Loc) -> None:
        for name, port in ports.items() if isinstance(ports, dict) else ():
            filled = port.get("with") if isinstance(port, dict) else None
            if not isinstance(filled, dict):
                continue
            if "id" in filled and "ref" not in filled:
                filled["ref"] = filled.pop("id")
                self._warn("`id` is the old word for `ref`", (*loc, name, "with", "id"))
            # A string is text in the format; a plain number says the same and is not worth a warning.
            text = self._document.text((*loc, name, "with", "value"))
            if text is not None:
                filled["value"] = text

    def _shared_volumes(self, jobs: Mapping[str, dict[str, Any]]) -> None:
        """The first form of the format: a volume is an input of the checkout that fills it, and of all that use it.

        It becomes what is written today: an output of the checkout, and a reference to it.
        """
        filled: dict[str, set[str]] = {}
        for name, job in jobs.items():
            if job.get("uses") != _GIT or not isinstance(job.setdefault("outputs", {}), dict):
                continue
            for volume in list(_volumes(job)):
                loc = ("jobs", name, "inputs", volume)
                self._warn(f"`{volume}` is filled by this job: write it under `outputs:`", loc, at_key=True)
                job["outputs"].setdefault(volume, job["inputs"].pop(volume))
                filled.setdefault(volume, set()).add(name)
        if not filled:
            return
        for name, job in jobs.items():
            for volume in _volumes(job):
                source = next((before for before in _ancestors(name, jobs) if before in filled.get(volume, ())), None)
                if source is not None:
                    job["inputs"][volume] = f"{source}.outputs.{volume}"
                    hint = f"write `{source}.outputs.{volume}`"
                    self._warn(f"the volume `{volume}` is read from `{source}`", ("jobs", name, "inputs", volume), hint)


def _resolve_aliases(inputs: object) -> None:
    """The type `alias` is how the service keeps a reference."""
    if not isinstance(inputs, dict):
        return
    for name, port in inputs.items():
        filled = port.get("with") if isinstance(port, dict) and port.get("type") == "alias" else None
        if isinstance(filled, dict) and isinstance(filled.get("ref"), str):
            inputs[name] = filled["ref"]


def _volumes(job: Mapping[str, Any]) -> Iterator[str]:
    """The inputs that only say that they are volumes."""
    inputs = job.get("inputs")
    for name, port in inputs.items() if isinstance(inputs, dict) else ():
        if isinstance(port, dict) and port.get("type") == "volume":
            yield name


def _ancestors(name: str, jobs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The jobs that a job needs, the nearest first."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        needs = jobs[waiting.pop(0)].get("needs")
        for need in needs if isinstance(needs, list) else ():
            if isinstance(need, str) and need in jobs and need not in seen:
                seen.add(need)
                waiting.append(need)
                yield need
