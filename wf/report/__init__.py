"""Ways to follow a run: listeners of its events, and a summary at its end from the store."""

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

from wf.events import Emit, Event, RunFinished
from wf.report.jsonlines import JsonLinesReport
from wf.report.plain import PlainReport
from wf.report.summary import summarise
from wf.report.text import Style
from wf.store import Store

if TYPE_CHECKING:
    from wf.report.live import LiveReport

__all__ = ["Output", "open_report"]

Output = Literal["live", "plain", "json"]


def is_terminal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the stream shows what is redrawn in place."""
    return stream.isatty() and environ.get("TERM") != "dumb"


@contextmanager
def open_report(output: Output | None, store: Store, stream: TextIO) -> Iterator[Emit]:
    """A listener for one run. `live`, which is the default, needs a terminal and is `plain` elsewhere."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a log may hold what the terminal's encoding lacks
    if output == "json":
        yield JsonLinesReport(stream).emit
        return
    style = Style.of(stream)
    report: LiveReport | PlainReport = PlainReport(stream, style)
    if output != "plain" and is_terminal(stream):
        from wf.report import live  # rich is slow to import

        report = live.LiveReport(stream, colours=style.colours)

    def emit(event: Event) -> None:
        report.emit(event)
        if isinstance(event, RunFinished):
            jobs = store.history.jobs(event.run)
            stream.write("\n" + summarise(store.history.run(event.run), jobs, store.layout.root, style))
            stream.flush()

    try:
        yield emit
    finally:
        report.close()
