"""How figures and states are written, the same in every report. Pure functions."""

import os
from collections.abc import Mapping, Sequence
from typing import TextIO

from msgspec import Struct

from wf.events import JobState, RunState

Colour = str

SYMBOLS: Mapping[JobState, str] = {
    "waiting": "·",
    "running": "▶",
    "succeeded": "✓",
    "failed": "✗",
    "cancelled": "■",
    "skipped": "-",
}
COLOURS: Mapping[JobState | RunState, Colour] = {
    "waiting": "bright_black",
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "skipped": "bright_black",
}

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_CODES = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "bright_black": 90, "bold": 1}


class Style(Struct, frozen=True):
    """Whether to colour."""

    colours: bool

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> "Style":
        """Colours for people only, and not for those who asked for none (no-color.org)."""
        return cls(stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb")

    def paint(self, text: str, colour: Colour) -> str:
        """The text in that colour, if there are any."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.colours and text else text


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min 02 s`, `1 h 05 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def size(count: int) -> str:
    """`512 B`, `1.5 KiB`, `12 MiB`."""
    if count < 1024:
        return f"{count} B"
    power = min(4, (count.bit_length() - 1) // 10)
    amount = count / 1024**power
    return f"{amount:.1f} {_UNITS[power]}" if amount < 9.95 else f"{amount:.0f} {_UNITS[power]}"


def number(value: float) -> str:
    """A figure with as many digits as one reads: `1.031`, `18886`, `3.2e-05`."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"


def columns(rows: Sequence[tuple[str, ...]], indent: str = "") -> list[str]:
    """Lines whose cells stand under each other."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
