"""What a run came to, on one screen, with the next command to type."""

import json
import os
import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from wf.report.text import COLOURS, SYMBOLS, Style, columns, duration, number, size
from wf.store.joblog import read_tail
from wf.store.layout import below
from wf.store.records import JobRecord, RunRecord


def summarise(
    run: RunRecord,
    jobs: Sequence[JobRecord],
    root: Path,
    style: Style,
    *,
    tail: Callable[[Path], list[str]] | None = None,
) -> str:
    """The summary of a run that is over. `tail` gives the end of a log; paths are shown from `root`."""
    ends = tail or read_tail
    if run.error:
        return style.paint(f"run {run.id} {run.state} before its first job", COLOURS[run.state]) + "\n"
    sections = [
        [_headline(run, style)],
        _job_lines(jobs, style),
        _outputs(jobs, root),
        _metrics(jobs),
        _deployed(jobs),
        *(_failure(run, job, ends(job.log), style) for job in jobs if job.state == "failed"),
        [f"next: wf show {run.id}", *(f"      open {shlex.quote(str(below(page, root)))}" for page in _pages(jobs))],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _headline(run: RunRecord, style: Style) -> str:
    took = ""
    if run.finished is not None:
        seconds = (datetime.fromisoformat(run.finished) - datetime.fromisoformat(run.started)).total_seconds()
        took = f" {'in' if run.state == 'succeeded' else 'after'} {duration(seconds)}"
    return style.paint(f"run {run.id} {run.state}{took}", COLOURS[run.state])


def _job_lines(jobs: Sequence[JobRecord], style: Style) -> list[str]:
    rows = [(job.name, _took(job), job.error) for job in jobs]
    lines = columns(rows) if rows else []
    return [
        f"{style.paint(SYMBOLS[job.state], COLOURS[job.state])} {line}" for job, line in zip(jobs, lines, strict=True)
    ]


def _took(job: JobRecord) -> str:
    if job.cached_from is not None:
        return f"cached from run {job.cached_from}"
    return duration(job.seconds) if job.started else ""


def _outputs(jobs: Sequence[JobRecord], root: Path) -> list[str]:
    rows = [
        (f"{job.name}.{output.name}", output.dataset or "", size(output.bytes), below(output.link, root))
        for job in jobs
        for output in job.outputs
    ]
    return ["outputs", *columns(rows, "  ")] if rows else []


def _pages(jobs: Sequence[JobRecord]) -> list[Path]:
    """What was made for a person to read."""
    folders = [output.link for job in jobs for output in job.outputs if output.kind == "folder"]
    return [folder / name for folder in folders for name in _names(folder) if name.endswith(".html")]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - of every output of every run
    except OSError:
        return []  # it was removed


def _metrics(jobs: Sequence[JobRecord]) -> list[str]:
    rows = [(f"{job.name}.{name}", number(value)) for job in jobs for name, value in job.metrics.items()]
    return ["metrics", *columns(rows, "  ")] if rows else []


def _deployed(jobs: Sequence[JobRecord]) -> list[str]:
    """Where what the run has deployed answers."""
    folders = [output.link for job in jobs for output in job.outputs if output.format == "deployment"]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (each / "deployment.json" for each in folders)]
    rows = [(each["name"], f"revision {each['revision']}", each["url"]) for each in found]
    return ["deployed", *columns(rows, "  ")] if rows else []


def _failure(run: RunRecord, job: JobRecord, lines: list[str], style: Style) -> list[str]:
    if not lines:
        return [f"{style.paint(job.name, 'red')} printed nothing"] if job.started else []
    return [
        f"{style.paint(job.name, 'red')} ended with",
        *(f"  {style.paint('│', 'bright_black')} {line}".rstrip() for line in lines),
        f"its whole log: wf logs {run.id} {job.name}",
    ]
