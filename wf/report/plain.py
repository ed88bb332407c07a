"""A line for everything that happens: for pipes, files and CI."""

from datetime import datetime, tzinfo
from typing import TextIO

from wf.events import Event, JobFinished, JobLog, JobNote, JobStarted, Preparing, RunFinished, RunStarted
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
        line = plain_line(event, self._width, self._style, self._zone)
        if line is not None:
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is open."""


def plain_line(event: Event, width: int, style: Style, zone: tzinfo | None = None) -> str | None:
    """The line for an event, with job names padded to `width`; none for the end of the run, which has a summary."""
    clock = style.paint(_clock(event.at, zone), "bright_black")
    match event:
        case RunStarted():
            where = f"{event.backend}: {event.backend_reason}" if event.backend_reason else event.backend
            return f"{clock}  {style.paint(f'run {event.run}', 'bold')} of {event.workflow} in {where}"
        case Preparing():
            return f"{clock}  {event.what}: {event.line}"
        case JobStarted():
            symbol, rest, colour = SYMBOLS["running"], "started", COLOURS["running"]
        case JobLog():
            symbol, rest, colour = "│", event.line, "bright_black"
        case JobNote():
            symbol, rest, colour = "!", event.message, "yellow"
        case JobFinished():
            symbol, rest, colour = SYMBOLS[event.state], finish_text(event), COLOURS[event.state]
        case RunFinished():
            return None
        case _:
            raise TypeError(f"no line for {type(event).__name__}")
    return f"{clock}  {event.job:{width}} {style.paint(symbol, colour)} {rest}".rstrip()


def finish_text(event: JobFinished) -> str:
    """`succeeded in 2.1 s`, `failed after 0.4 s: exited with code 1`, `skipped: it needs ...`."""
    word = "in" if event.state == "succeeded" else "after"
    took = f" {word} {duration(event.seconds)}" if event.seconds else ""
    return f"{event.state}{took}" + (f": {event.error}" if event.error else "")


def _clock(at: datetime, zone: tzinfo | None) -> str:
    """The time of day where the user is, or in `zone`."""
    return at.astimezone(zone).strftime("%H:%M:%S")
