"""`wf.report.plain` and `wf.report.jsonlines`: whole lines for programs and pipes."""

import io
import json
from datetime import UTC, datetime

from wf.events import Event, JobFinished, JobLog, JobNote, JobStarted, Preparing, RunFinished, RunStarted
from wf.report.jsonlines import JsonLinesReport
from wf.report.plain import PlainReport
from wf.report.text import Style

AT = datetime(2026, 11, 21, 21, 30, 5, 120_000, UTC)
EVENTS: tuple[Event, ...] = (
    RunStarted(
        at=AT,
        run=12,
        workflow="workflows/train-model.yaml",
        backend="docker",
        backend_reason="engine 27.1 answers",
        jobs=("Ingest", "Clean", "Split", "Up"),
    ),
    Preparing(at=AT, what="image train", line="Step 1/5"),
    JobStarted(at=AT, job="Ingest"),
    JobLog(at=AT, job="Ingest", lines=("100,000 ratings", "")),
    JobNote(at=AT, job="Ingest", message="dropped /outputs/x: not among the job's `outputs`"),
    JobFinished(at=AT, job="Ingest", state="succeeded", seconds=2.1, exit_code=0),
    JobFinished(at=AT, job="Clean", state="failed", seconds=62, exit_code=1, error="exited with code 1"),
    JobFinished(at=AT, job="Split", state="skipped", seconds=0, error="it needs `Clean`, which failed"),
    JobFinished(at=AT, job="Up", state="cancelled", seconds=3, exit_code=143, error="stopped by the user"),
    RunFinished(at=AT, run=12, state="failed", seconds=64.2),
)


def test_plain() -> None:
    """Each event has a line, with the job's name in front; the end of the run is left to the summary."""
    stream = io.StringIO()
    report = PlainReport(stream, Style(colours=False), zone=UTC)

    for event in EVENTS:
        report.emit(event)

    assert stream.getvalue() == (
        "21:30:05  run 12 of workflows/train-model.yaml in docker: engine 27.1 answers\n"
        "21:30:05  image train: Step 1/5\n"
        "21:30:05  Ingest ▶ started\n"
        "21:30:05  Ingest │ 100,000 ratings\n"
        "21:30:05  Ingest │\n"
        "21:30:05  Ingest ! dropped /outputs/x: not among the job's `outputs`\n"
        "21:30:05  Ingest ✓ succeeded in 2.1 s\n"
        "21:30:05  Clean  ✗ failed after 1 min 02 s: exited with code 1\n"
        "21:30:05  Split  - skipped: it needs `Clean`, which failed\n"
        "21:30:05  Up     ■ cancelled after 3.0 s: stopped by the user\n"
    )


def test_plain_in_colour() -> None:
    """On a terminal the time is grey and the state has its colour; what the job printed has none."""
    stream = io.StringIO()
    report = PlainReport(stream, Style(colours=True), zone=UTC)

    for event in (EVENTS[3], EVENTS[6]):
        report.emit(event)

    assert stream.getvalue() == (
        "\x1b[90m21:30:05\x1b[0m  Ingest \x1b[90m│\x1b[0m 100,000 ratings\n"
        "\x1b[90m21:30:05\x1b[0m  Ingest \x1b[90m│\x1b[0m\n"
        "\x1b[90m21:30:05\x1b[0m  Clean \x1b[31m✗\x1b[0m failed after 1 min 02 s: exited with code 1\n"
    )


def test_json_lines() -> None:
    """Each event is one line of JSON with its kind and its moment."""
    stream = io.StringIO()
    report = JsonLinesReport(stream)

    for event in EVENTS:
        report.emit(event)

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == len(EVENTS)
    assert lines[3] == {
        "event": "JobLog",
        "at": "2026-11-21T21:30:05.120Z",
        "job": "Ingest",
        "lines": ["100,000 ratings", ""],
    }
