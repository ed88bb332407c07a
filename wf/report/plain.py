"""A line for everything that happens: for pipes, files and CI."""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import TextIO

from wf.events import AttemptFailed, Event, JobFinished, JobLog, JobNote, JobStarted, Preparing, RunStarted
from wf.report.text import COLOURS, SYMBOLS, Style, duration

_WIDEST_NAME = 24


class PlainReport:
    """Writes each event as it comes."""

    def __init__(self, stream: TextIO, style: Style, zone: tzinfo | None = None) -> None:
        self._stream = stream
        self._style = style
        self._zone = zone
        self._width = 0

    def emit(self, event: Event) -> None:
        """Write the event's line, if it has one."""
        if isinstance(event, RunStarted):
            self._width = min(_WIDEST_NAME, max(map(len, event.jobs), default=0))
        clock = self._style.paint(_clock(int(event.at.timestamp()), self._zone), "bright_black")
        text = plain_text(event, clock, self._width, self._style)
        if text is not None:
            self._stream.write(text + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is open."""


@lru_cache(maxsize=1)
def _clock(second: int, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(second, UTC).astimezone(zone).strftime("%H:%M:%S")


def plain_text(event: Event, clock: str, width: int, style: Style) -> str | None:
    """The lines for an event, with job names padded to `width`; the end of the run has none, but a summary."""
    match event:
        case JobLog():
            start = f"{clock}  {event.job:{width}} {style.paint('│', 'bright_black')} "
            return "\n".join((start + line).rstrip() for line in event.lines)
        case RunStarted():
            where = f"{event.backend}: {event.backend_reason}" if event.backend_reason else event.backend
            return f"{clock}  {style.paint(f'run {event.run}', 'bold')} of {event.workflow} in {where}"
        case Preparing():
            return f"{clock}  {event.what}: {event.line}"
        case JobStarted():
            because = f": {event.reason}" if event.reason else ""
            again = f", attempt {event.attempt} of {event.attempts}" if event.attempt > 1 else ""
            symbol, rest, colour = SYMBOLS["running"], f"started{again}{because}", COLOURS["running"]
        case AttemptFailed():
            symbol, rest, colour = "↻", attempt_text(event), "yellow"
        case JobNote():
            symbol, rest, colour = "!", event.message, "yellow"
        case JobFinished():
            symbol, rest, colour = SYMBOLS[event.state], finish_text(event), COLOURS[event.state]
        case _:
            return None
    return f"{clock}  {event.job:{width}} {style.paint(symbol, colour)} {rest}".rstrip()


def attempt_text(event: AttemptFailed) -> str:
    """`attempt 1 of 3 failed after 0.4 s: exited with code 1; again in 10 s`."""
    took = f" after {duration(event.seconds)}" if event.seconds else ""
    pause = f"; again in {duration(event.pause)}" if event.pause else ""
    return f"attempt {event.attempt} of {event.attempts} failed{took}: {event.error}{pause}"


def finish_text(event: JobFinished) -> str:
    """`succeeded in 2.1 s`, `cached from run 3`, `failed after 0.4 s: exited with code 1`, `skipped: it needs ...`."""
    if event.cached_from is not None:
        return f"cached from run {event.cached_from}"
    word = "in" if event.state == "succeeded" else "after"
    took = f" {word} {duration(event.seconds)}" if event.seconds else ""
    return f"{event.state}{took}" + (f": {event.error}" if event.error else "")
