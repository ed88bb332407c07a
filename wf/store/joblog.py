"""What a job prints, on the disk: never more than a limit, of which the newest half is always kept.

    log           the lines since the last cut, or all of them
    log.before    the lines before those
    log.cut       how many lines before these were dropped

When `log` has grown to half of the limit it becomes `log.before`.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

DEFAULT_LIMIT: Final = 4 << 30
"""Bytes."""

TAIL_LINES: Final = 20
_TAIL_BYTES: Final = 64 << 10


class LogWriter:
    """Writes one log. Used by one thread; others may read the files meanwhile."""

    def __init__(self, path: Path, limit: int = DEFAULT_LIMIT) -> None:
        self._path = path
        self._half = max(1, limit // 2)
        self._file = path.open("wb")
        self._count_from_zero()

    def _count_from_zero(self) -> None:
        self._bytes = 0
        self._lines = 0
        self._lines_before = 0
        self._dropped = 0

    def restart(self) -> None:
        """Forget all lines."""
        self._file.close()
        for path in log_files(self._path):
            path.unlink(missing_ok=True)
        self._file = self._path.open("wb")
        self._count_from_zero()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, lines: list[str]) -> None:
        """Add whole lines, so that a reader sees them at once."""
        raw = ("\n".join(lines) + "\n").encode("utf-8", "replace")
        if self._bytes and self._bytes + len(raw) > self._half:
            self._cut()
        self._file.write(raw)
        self._file.flush()
        self._bytes += len(raw)
        self._lines += len(lines)

    def _cut(self) -> None:
        self._file.close()
        self._dropped += self._lines_before
        if self._dropped:
            _cut_note(self._path).write_text(f"{self._dropped}\n")
        self._path.replace(_before(self._path))
        self._file = self._path.open("wb")
        self._lines_before, self._bytes, self._lines = self._lines, 0, 0


def log_files(log: Path) -> tuple[Path, ...]:
    """All files of a log."""
    return log, _before(log), _cut_note(log)


def read_lines(log: Path) -> Iterator[str]:
    """The lines of a log, with one that says what was cut, if anything was."""
    if _cut_note(log).exists():
        dropped = int(_cut_note(log).read_text())
        yield f"[wf: {dropped} lines before this one were cut: the log reached its limit, see `wf run --log-limit`]"
    for path in (_before(log), log):
        if path.exists():
            with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
                for line in file:
                    yield line.removesuffix("\n")


def read_tail(log: Path) -> list[str]:
    """The last lines of a log; nothing if there is none."""
    try:
        with log.open("rb") as file:
            start = max(0, file.seek(0, 2) - _TAIL_BYTES)
            file.seek(start)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[1 if start else 0 :][-TAIL_LINES:]


def _before(log: Path) -> Path:
    return log.with_name(f"{log.name}.before")


def _cut_note(log: Path) -> Path:
    return log.with_name(f"{log.name}.cut")
