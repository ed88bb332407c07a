"""`wf.report.summary`: what a run came to."""

from pathlib import Path

from msgspec.structs import replace

from wf.report.summary import summarise
from wf.report.text import Style
from wf.store.joblog import read_tail
from wf.store.records import JobRecord, OutputRecord, RunRecord

ROOT = Path("/project")
PLAIN = Style(colours=False)
RUN = RunRecord(
    id=12,
    workflow="workflows/train-model.yaml",
    state="succeeded",
    started="2026-11-21T21:30:00.000Z",
    finished="2026-11-21T21:33:02.000Z",
    backend="docker",
    inputs={},
    error="",
    wf_version="0.1.0",
    git_commit=None,
    git_dirty=False,
)
INGEST = JobRecord(
    name="Ingest",
    state="succeeded",
    started="2026-11-21T21:30:00.000Z",
    finished="2026-11-21T21:30:02.000Z",
    seconds=2.1,
    exit_code=0,
    error="",
    log=Path("log"),
    cached_from=None,
    key=None,
    outputs=(
        OutputRecord(
            name="ratings",
            type="dataset",
            format="ratings",
            digest="ab12",
            kind="folder",
            bytes=1_300_000,
            files=3,
            path=ROOT / ".wf/artifacts/ab/ab12",
            link=ROOT / ".wf/runs/12/outputs/Ingest/ratings",
            dataset="ml-100k:abc1234",
        ),
    ),
)
REPORT = ROOT / ".wf/runs/12/outputs/Evaluate/report"
EVALUATE = replace(
    INGEST,
    name="Evaluate",
    seconds=61,
    outputs=(replace(INGEST.outputs[0], name="report", dataset=None, link=REPORT),),
    metrics={"mae": 0.81, "rmse": 1.0312},
)


def test_success() -> None:
    """Jobs with their times, outputs with their places, metrics, and what to type next."""
    assert summarise(RUN, (INGEST, EVALUATE), ROOT, PLAIN) == (
        "run 12 succeeded in 3 min 02 s\n"
        "\n"
        "✓ Ingest    2.1 s\n"
        "✓ Evaluate  1 min 01 s\n"
        "\n"
        "outputs\n"
        "  Ingest.ratings   ml-100k:abc1234  1.2 MiB  .wf/runs/12/outputs/Ingest/ratings\n"
        "  Evaluate.report                   1.2 MiB  .wf/runs/12/outputs/Evaluate/report\n"
        "\n"
        "metrics\n"
        "  Evaluate.mae   0.81\n"
        "  Evaluate.rmse  1.031\n"
        "\n"
        "next: wf show 12\n"
    )


def test_pages_to_open(tmp_path: Path) -> None:
    """What a job left for a person to read is named at the end."""
    link = tmp_path / ".wf/runs/12/outputs/Evaluate/report"
    link.mkdir(parents=True)
    (link / "report.html").touch()
    evaluate = replace(EVALUATE, outputs=(replace(EVALUATE.outputs[0], link=link),))

    last = summarise(RUN, (evaluate,), tmp_path, PLAIN).splitlines()[-2:]

    assert last == ["next: wf show 12", "      open .wf/runs/12/outputs/Evaluate/report/report.html"]


def test_pages_of_matrix_jobs_can_be_opened_as_they_are_named(tmp_path: Path) -> None:
    """A path with blanks and parentheses is quoted for the shell."""
    link = tmp_path / ".wf/runs/12/outputs/Evaluate (mf, 1)/report"
    link.mkdir(parents=True)
    (link / "report.html").touch()
    evaluate = replace(EVALUATE, outputs=(replace(EVALUATE.outputs[0], link=link),))

    last = summarise(RUN, (evaluate,), tmp_path, PLAIN).splitlines()[-1]

    assert last == "      open '.wf/runs/12/outputs/Evaluate (mf, 1)/report/report.html'"


def test_failure() -> None:
    """Of a failed job the end of its log is shown, and the command for the rest of it."""
    failed = replace(INGEST, state="failed", exit_code=1, error="exited with code 1", outputs=())
    skipped = replace(
        EVALUATE,
        state="skipped",
        started=None,
        seconds=0.0,
        error="it needs `Ingest`, which failed",
        outputs=(),
        metrics={},
    )

    text = summarise(
        replace(RUN, state="failed"), (failed, skipped), ROOT, PLAIN, tail=lambda _log: ["loading", "", "no such file"]
    )

    assert text == (
        "run 12 failed after 3 min 02 s\n"
        "\n"
        "✗ Ingest    2.1 s  exited with code 1\n"
        "- Evaluate         it needs `Ingest`, which failed\n"
        "\n"
        "Ingest ended with\n"
        "  │ loading\n"
        "  │\n"
        "  │ no such file\n"
        "its whole log: wf logs 12 Ingest\n"
        "\n"
        "next: wf show 12\n"
    )


def test_run_that_was_not_prepared() -> None:
    """A run that did not get to its first job says so in one line: the error itself is printed by the command."""
    run = replace(RUN, state="failed", error="no Docker here")

    assert summarise(run, (INGEST,), ROOT, PLAIN) == "run 12 failed before its first job\n"


def test_silent_failure() -> None:
    """A job that failed without a word is said to have printed nothing."""
    failed = replace(INGEST, state="failed", error="exited with code 1", outputs=())

    text = summarise(replace(RUN, state="failed"), (failed,), ROOT, PLAIN, tail=lambda _log: [])

    assert "\nIngest printed nothing\n" in text


def test_tail(tmp_path: Path) -> None:
    """The end of a log is its last twenty lines; there is none without a log."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))

    assert read_tail(log) == [f"line {number}" for number in range(80, 100)]
    assert read_tail(tmp_path / "none") == []


def test_tail_of_a_huge_log(tmp_path: Path) -> None:
    """Only the last part of a log is read, and a line that this cuts is left out."""
    log = tmp_path / "log"
    log.write_text("x" * 100_000 + "\n" + "last\n")

    assert read_tail(log) == ["last"]
