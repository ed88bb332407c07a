"""`wf.report.live`: the table that shows what happens at this moment."""

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from tests.harness import Project, job
from tests.report.test_plain import EVENTS
from wf.report import open_report
from wf.report.live import JobRow, LiveState, render, visible


def drawn(state: LiveState, *, now: float = 100.0, height: int = 10, width: int = 60) -> str:
    """The table as text."""
    console = Console(file=io.StringIO(), width=width, no_color=True)
    with console.capture() as capture:
        console.print(render(state, now, height))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def follow(count: int) -> LiveState:
    """The state after so many events."""
    state = LiveState()
    for event in EVENTS[:count]:
        state.follow(event, now=90.0)
    return state


def test_preparing() -> None:
    """While something is prepared its last line is shown above the waiting jobs."""
    assert drawn(follow(2)) == ("…  preparing    image train: Step 1/5\n·  Ingest\n·  Clean\n·  Split\n·  Up")


def test_running() -> None:
    """A running job has its time, counted on, and its last line."""
    assert drawn(follow(4)) == ("▶  Ingest  10 s  100,000 ratings\n·  Clean\n·  Split\n·  Up")


def test_finished() -> None:
    """A job that has ended has its symbol, its time, and why it ended as it did."""
    assert drawn(follow(11)) == (
        "✓  Ingest       2.1 s\n"
        "✗  Clean   1 min 02 s  exited with code 1\n"
        "-  Split               it needs `Clean`, which failed\n"
        "■  Up           3.0 s  stopped by the user"
    )


def test_long_line_is_cut() -> None:
    """A line wider than the terminal is cut: the table never wraps."""
    state = follow(4)
    state.rows["Ingest"] = replace(state.rows["Ingest"], text="x" * 500)

    assert drawn(state, width=40).splitlines()[0] == "▶  Ingest  10 s  " + "x" * 22 + "…"


def test_more_jobs_than_lines() -> None:
    """In a low terminal those that run come first, then failures and what is next; the rest are counted."""
    rows = [JobRow(f"j{number}", "succeeded") for number in range(5)]
    rows += [JobRow("bad", "failed"), JobRow("now", "running"), JobRow("next", "waiting"), JobRow("last", "waiting")]
    state = LiveState({row.name: row for row in rows})

    assert [row.name for row in visible(rows, 3)] == ["bad", "now", "next"]
    assert drawn(state, height=3).splitlines()[-1].strip() == "1 waiting, 5 succeeded"
    assert visible(rows, 0) == []


def test_markup_is_text() -> None:
    """What a job prints is never taken for markup."""
    state = follow(4)
    state.rows["Ingest"] = replace(state.rows["Ingest"], text="[bold]x[/bold] :smile:")

    assert "[bold]x[/bold] :smile:" in drawn(state)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("output", ["live", "plain", "json"])
def test_whole_run(project: Project, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each output follows a run to its end; for people there is a summary."""
    monkeypatch.setenv("TERM", "xterm")
    stream = _Terminal()

    with open_report(output, project.store, stream) as emit:  # type: ignore[arg-type]
        project.emit = emit
        project.run("a -> b", a=job(log="hello", exit=1))

    text = stream.getvalue()
    assert ("next: wf show 1" in text) is (output != "json")
    assert ("\x1b[" in text) is (output != "json")
    if output != "json":
        assert "ended with" in text
        assert "hello" in text


def test_live_without_a_terminal(project: Project) -> None:
    """In a pipe, live output is plain."""
    stream = io.StringIO()

    with open_report("live", project.store, stream) as emit:
        project.emit = emit
        project.run("a")

    assert "a ▶ started\n" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_default_is_live_on_terminals_only(project: Project) -> None:
    """Who asks for nothing gets plain lines in a pipe."""
    stream = io.StringIO()

    with open_report(None, project.store, stream) as emit:
        project.emit = emit
        project.run("a")

    assert "a ✓ succeeded" in stream.getvalue()
