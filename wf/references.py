"""The references of the format. A reference is a whole value; there is no language around it."""

import re
from typing import Final

from msgspec import Struct

NAME: Final = r"[A-Za-z0-9_-]+"
LATEST: Final = "latest"
_DATASET_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?"
_VERSION_NAME: Final = r"[A-Za-z0-9._-]+"
CONTEXT: Final = "context.event.github"

_DATASET: Final = re.compile(rf"({_DATASET_NAME})(?::({_VERSION_NAME}))?")
_CONTEXT_VALUE: Final = re.compile(rf"{re.escape(CONTEXT)}\.({NAME})")
_WORKFLOW_INPUT: Final = re.compile(rf"workflow\.inputs\.({NAME})")
_JOB_OUTPUT: Final = re.compile(rf"({NAME})\.outputs\.({NAME})")
_MATRIX: Final = re.compile(rf"matrix\.({NAME})")
_RESULT: Final = re.compile(rf"({NAME})\.result")
_METRIC: Final = re.compile(rf"({NAME})\.metrics\.(\S+)")
_SECRET: Final = re.compile(r"secret:([A-Za-z0-9_.-]+)(\??)", re.IGNORECASE)


class WorkflowInput(Struct, frozen=True):
    """`workflow.inputs.NAME`"""

    name: str


class JobOutput(Struct, frozen=True):
    """`JOB.outputs.NAME`"""

    job: str
    name: str


class Secret(Struct, frozen=True):
    """`secret:NAME`, or `secret:NAME?` for one that may be missing (our addition)."""

    name: str
    optional: bool


class DatasetVersionName(Struct, frozen=True):
    """`NAME` or `NAMESPACE/NAME`, either with `:VERSION`, `:TAG` or `:latest`."""

    dataset: str
    version: str
    """`latest` where none is written."""


def parse_dataset(text: str) -> DatasetVersionName | None:
    """What a dataset reference names, or nothing if the text cannot be one."""
    match = _DATASET.fullmatch(text)
    return DatasetVersionName(match[1], match[2] or LATEST) if match else None


class ContextValue(Struct, frozen=True):
    """`context.event.github.url` or `.ref`; the name may be any other, which means nothing."""

    name: str


def parse_context(text: str) -> ContextValue | None:
    """What of the context a parameter stands for, or nothing if it is plain text."""
    match = _CONTEXT_VALUE.fullmatch(text)
    return ContextValue(match[1]) if match else None


def parse_input(text: str) -> WorkflowInput | JobOutput | None:
    """What an input refers to, or nothing if the text is not a reference."""
    if match := _WORKFLOW_INPUT.fullmatch(text):
        return WorkflowInput(match[1])
    if match := _JOB_OUTPUT.fullmatch(text):
        return JobOutput(match[1], match[2])
    return None


def parse_matrix(text: str) -> str | None:
    """The variable of its job's matrix that `matrix.NAME` stands for, or nothing if the text is no such reference."""
    match = _MATRIX.fullmatch(text)
    return match[1] if match else None


class Result(Struct, frozen=True):
    """`JOB.result`"""

    job: str


class Metric(Struct, frozen=True):
    """`JOB.metrics.NAME`"""

    job: str
    name: str


def parse_fact(text: str) -> WorkflowInput | JobOutput | Result | Metric | None:
    """What a condition may be about, or nothing if the text is no such reference."""
    if match := _RESULT.fullmatch(text):
        return Result(match[1])
    if match := _METRIC.fullmatch(text):
        return Metric(match[1], match[2])
    return parse_input(text)


def parse_secret(text: str) -> Secret | None:
    """The secret that a value stands for, or nothing if it is plain text."""
    match = _SECRET.fullmatch(text)
    return Secret(match[1], bool(match[2])) if match else None
