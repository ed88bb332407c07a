"""A table that shows what every job is doing at this moment: for terminals."""

import time
from collections.abc import Iterable
from typing import TextIO

from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wf.events import (
    AttemptFailed,
    Event,
    JobFinished,
    JobLog,
    JobNote,
    JobStarted,
    JobState,
    Preparing,
    RunFinished,
    RunStarted,
)
from wf.report.plain import attempt_text, finish_text
from wf.report.text import COLOURS, SYMBOLS, duration

_UPDATES_PER_SECOND = 8


class JobRow(Struct, frozen=True):
    """What the table shows of one job."""

    name: str
    state: JobState = "waiting"
    started: float = 0.0
    seconds: float = 0.0
    text: str = ""
    """Its last line, or why it ended as it did."""

    def time(self, now: float) -> str:
        """How long it has run."""
        if self.state == "running":
            return duration(now - self.started)
        return duration(self.seconds) if self.seconds else ""


class LiveState(Struct):
    """What the events have told so far."""

    rows: dict[str, JobRow] = {}
    preparing: str = ""

    def follow(self, event: Event, now: float) -> None:
        """Take in one more event, which came at `now`."""
        match event:
            case RunStarted():
                self.rows = {name: JobRow(name) for name in event.jobs}
            case Preparing():
                self.preparing = f"{event.what}: {event.line}"
            case JobStarted():
                self.preparing = ""
                again = f"attempt {event.attempt} of {event.attempts}" if event.attempt > 1 else event.reason
                self._change(event.job, state="running", started=now, text=again)
            case AttemptFailed():
                self._change(event.job, state="waiting", text=attempt_text(event))
            case JobLog():
                if spoken := [line for line in event.lines if line.strip()]:
                    self._change(event.job, text=spoken[-1])
            case JobFinished():
                text = event.error if event.cached_from is None else finish_text(event)
                self._change(event.job, state=event.state, seconds=event.seconds, text=text)

    def _change(self, job: str, **values: object) -> None:
        self.rows[job] = replace(self.rows[job], **values)


class LiveReport:
    """Redraws the table a few times in a second, whatever happens in between."""

    def __init__(self, stream: TextIO, *, colours: bool) -> None:
        self._console = Console(file=stream, no_color=not colours, highlight=False, markup=False, emoji=False)
        self._state = LiveState()
        self._live = Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=_UPDATES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def emit(self, event: Event) -> None:
        """Take in the event; some also leave a line above the table."""
        self._state.follow(event, time.monotonic())
        match event:
            case RunStarted():
                where = f"{event.backend}: {event.backend_reason}" if event.backend_reason else event.backend
                self._console.print(Text.assemble((f"run {event.run}", "bold"), f" of {event.workflow} in {where}"))
                self._live.start()
            case AttemptFailed():
                self._console.print(Text.assemble((f"{event.job} ↻ ", "yellow"), attempt_text(event)))
            case JobNote():
                self._console.print(Text.assemble((f"{event.job} ! ", "yellow"), event.message))
            case RunFinished():
                self.close()

    def close(self) -> None:
        """Remove the table."""
        self._live.stop()

    def _table(self) -> Table:
        # One line is left for the cursor, one for what is hidden.
        return render(self._state, time.monotonic(), self._console.size.height - 2)


def render(state: LiveState, now: float, height: int) -> Table:
    """The table with at most `height` jobs."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)  # it alone gives way
    if state.preparing:
        table.add_row(Text("…", "cyan"), Text("preparing"), "", Text(state.preparing, "bright_black"))
        height -= 1
    shown = visible(list(state.rows.values()), height)
    for row in shown:
        colour = COLOURS[row.state]
        table.add_row(
            Text(SYMBOLS[row.state], colour),
            Text(row.name, "" if row.state == "running" else colour),
            Text(row.time(now)),
            Text(row.text, "red" if row.state == "failed" else "bright_black"),
        )
    if hidden := set(state.rows) - {row.name for row in shown}:
        table.add_row("", Text(count_states(row for row in state.rows.values() if row.name in hidden), "bright_black"))
    return table


def visible(rows: list[JobRow], height: int) -> list[JobRow]:
    """The rows for which there is room, in their order: those that run come first, then failures, then what is next."""
    if len(rows) <= height:
        return rows
    rank = {"running": 0, "failed": 1, "cancelled": 1, "waiting": 2, "succeeded": 3, "skipped": 3}
    chosen = sorted(range(len(rows)), key=lambda index: (rank[rows[index].state], index))[: max(0, height)]
    return [rows[index] for index in sorted(chosen)]


def count_states(rows: Iterable[JobRow]) -> str:
    """`12 succeeded, 3 waiting`."""
    states = [row.state for row in rows]
    return ", ".join(f"{states.count(state)} {state}" for state in SYMBOLS if state in states)
