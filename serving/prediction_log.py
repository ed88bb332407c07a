"""What was asked and answered, as Parquet files: a row for each row of a sampled request.

Files lie in `MODEL/VERSION/SIGNATURE/`, since their columns are those of the signature: `time` (UTC), `latency_ms`,
`input_NAME` and `output_NAME`. A file appears under its name when it is whole.
"""

import hashlib
import hmac
import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from serving.signatures import Array, Tensors

log = logging.getLogger(__name__)

KEY_VARIABLE: Final = "PREDICTION_LOG_KEY"
_FILE_ROWS: Final = 50_000
_MOST_WAITING_ROWS: Final = 500_000
"""Rows that wait for a slow disk. What comes on top is not logged."""


@dataclass(frozen=True, slots=True)
class PredictionLogSettings:
    """Where and what is logged."""

    folder: Path
    sampling: float = 1.0
    hashed: frozenset[str] = frozenset()
    """Inputs whose values are replaced by a keyed hash, the same for the same value."""
    seconds: float = 60.0
    """A file is written so often, if there is anything to write."""
    max_bytes: int = 2**30
    """The oldest files are removed where all together are larger."""


@dataclass(frozen=True, slots=True)
class _Entry:
    when: float
    latency_ms: float
    inputs: Tensors
    outputs: Tensors
    rows: int


Place = tuple[str, int, str]
"""Model, version, signature."""


class PredictionLog:
    """Collects in the event loop, writes in a thread of its own. No request waits for it or fails with it."""

    def __init__(self, settings: PredictionLogSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._entries: dict[Place, list[_Entry]] = {}
        self._rows = 0
        self._waiting_rows = 0
        self._since = clock()
        self._writer = ThreadPoolExecutor(1, "prediction-log")
        self._files = 0
        key = os.environ.get(KEY_VARIABLE)
        if settings.hashed and not key:
            log.warning("%s is not set: hashes in the prediction log change with every start", KEY_VARIABLE)
        self._key = key.encode() if key else secrets.token_bytes(32)

    def add(self, place: Place, inputs: Tensors, outputs: Tensors, rows: int, seconds: float) -> None:
        """A request was answered. Signatures without rows are not logged."""
        if random.random() >= self._settings.sampling or rows + self._waiting_rows > _MOST_WAITING_ROWS:  # noqa: S311
            return
        if any(not array.ndim or len(array) != rows for array in (*inputs.values(), *outputs.values())):
            return
        now = self._clock()
        self._entries.setdefault(place, []).append(_Entry(now, seconds * 1000, inputs, outputs, rows))
        self._rows += rows
        self._waiting_rows += rows
        if self._rows >= _FILE_ROWS or now - self._since >= self._settings.seconds:
            self.flush()

    def flush(self) -> None:
        """Hand over what has been collected to be written."""
        entries, rows = self._entries, self._rows
        self._entries, self._rows, self._since = {}, 0, self._clock()
        if entries:
            self._writer.submit(self._write_all, entries, rows)

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        self._writer.shutdown()

    def _write_all(self, entries: dict[Place, list[_Entry]], rows: int) -> None:
        try:
            for place, collected in entries.items():
                self._write(place, collected)
            self._remove_old()
        except Exception as error:  # noqa: BLE001
            # A full disk must not end in requests that fail, nor in a log that is silent about it.
            log.warning("%d rows of the prediction log are lost: %s", rows, error)
        finally:
            self._waiting_rows -= rows

    def _write(self, place: Place, entries: Sequence[_Entry]) -> None:
        import polars as pl

        model, version, signature = place
        folder = self._settings.folder / _as_name(model) / str(version) / _as_name(signature)
        folder.mkdir(parents=True, exist_ok=True)
        columns: dict[str, list[Any]] = {
            "time": [datetime.fromtimestamp(entry.when, UTC) for entry in entries for _ in range(entry.rows)],
            "latency_ms": [entry.latency_ms for entry in entries for _ in range(entry.rows)],
        }
        for name in entries[0].inputs:
            values = [value for entry in entries for value in _plain(entry.inputs[name])]
            hashed = name in self._settings.hashed
            columns[f"input_{name}"] = [self._hash(value) for value in values] if hashed else values
        for name in entries[0].outputs:
            columns[f"output_{name}"] = [value for entry in entries for value in _plain(entry.outputs[name])]
        self._files += 1
        stamp = datetime.fromtimestamp(entries[0].when, UTC).strftime("%Y%m%dT%H%M%S")
        # Several servers may share a folder, and the first processes of containers all have the same number.
        path = folder / f"{stamp}-{socket.gethostname()}-{os.getpid()}-{self._files:06}.parquet"
        unfinished = path.with_suffix(".unfinished")
        try:
            pl.DataFrame(columns).write_parquet(unfinished)
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def _hash(self, value: Any) -> str:
        return hmac.new(self._key, repr(value).encode(), hashlib.sha256).hexdigest()[:32]

    def _remove_old(self) -> None:
        found = []
        for path in self._settings.folder.rglob("*.parquet"):
            with suppress(FileNotFoundError):  # another server may have removed it
                about = path.stat()
                found.append((about.st_mtime, about.st_size, path))
        excess = sum(size for _, size, _ in found) - self._settings.max_bytes
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


def _plain(array: Array) -> list[Any]:
    """The rows as Python values; bytes as text, since that is what nearly all of them are."""
    return [_text(value) for value in array.tolist()] if array.dtype == object else list(array.tolist())


def _text(value: Any) -> Any:
    return [_text(each) for each in value] if isinstance(value, list) else value.decode(errors="replace")


def _as_name(text: str) -> str:
    """A name that is one folder, whatever it holds."""
    return quote(text, safe=" ").replace(".", "%2E") if text.startswith(".") else quote(text, safe=" .")
