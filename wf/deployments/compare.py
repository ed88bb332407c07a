"""A program, `compare.py HOST:PORT ...`, that asks a revision what another one was asked, and compares the answers.

It runs in a container of its own, from this file alone: it needs Python and nothing else. The proxy sends it what it
has answered, as a log over TCP: each record is its length, a blank, and seven words, of which bodies and the path are
in base64 (`-` for one that did not fit).

    PATH STATUS MILLISECONDS SIZE-OF-REQUEST REQUEST SIZE-OF-ANSWER ANSWER

What came of it is in REPORT, which is written anew each second. Nobody waits for this program: where it is too slow,
records are skipped.
"""

import base64
import binascii
import json
import math
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPException
from io import BufferedIOBase
from itertools import cycle
from pathlib import Path
from queue import Full, Queue
from typing import Any

PORT = 9000
REPORT = Path("/tmp/report.json")  # noqa: S108 - in a container of its own
RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""Numbers that are no further apart than this are equal: the same model computes so far apart in other batches."""

_WAITING = 200
_ASKERS = 4
_SECONDS = 30.0
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Answered:
    """A request, and how the revision that serves has answered it."""

    path: str
    body: bytes
    status: int
    seconds: float
    answer: bytes


@dataclass
class Report:
    """What came of all comparisons. `errors` are among the compared ones, and among the ones that differ."""

    compared: int = 0
    equal: int = 0
    errors: int = 0
    """Answers of 500 and above, and answers that did not come, where the other revision had one."""
    skipped: int = 0
    """Bodies too large to be sent here, and requests that came too quickly."""
    numbers: int = 0
    """Pairs of numbers at the same place of both answers."""
    total_difference: float = 0.0
    largest_difference: float = 0.0
    seconds_serving: float = 0.0
    """All answers of the revision that serves together."""
    seconds_shadow: float = 0.0
    since: float = field(default_factory=time.time)


def parse(record: bytes) -> Answered | None:
    """A record of the proxy; nothing where a body in it is not whole."""
    try:
        path, status, milliseconds, asked_size, asked, answer_size, answer = record.split()
        body, content = (base64.b64decode(each, validate=True) for each in (asked, answer))
        if (len(body), len(content)) != (int(asked_size), int(answer_size)):
            return None
        return Answered(base64.b64decode(path).decode(), body, int(status), int(milliseconds) / 1000, content)
    except (ValueError, binascii.Error):
        return None


def records(stream: BufferedIOBase) -> Iterator[bytes]:
    """What the proxy has sent, until it closes."""
    while True:
        length = b""
        while (byte := stream.read(1)) != b" ":
            if not byte.isdigit():
                return
            length += byte
        record = stream.read(int(length))
        if len(record) < int(length):
            return
        yield record


def differences(left: Any, right: Any) -> Iterator[float]:
    """How far apart two answers are at each place where both have a number; infinite where their forms differ."""
    if _is_number(left) and _is_number(right):
        yield 0.0 if left == right or (math.isnan(left) and math.isnan(right)) else abs(left - right)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for each, other in zip(left, right, strict=True):
            yield from differences(each, other)
    elif isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        for key in left:
            yield from differences(left[key], right[key])
    elif left != right:
        yield math.inf


def add(report: Report, asked: Answered, status: int, answer: bytes, seconds: float) -> None:
    """Count one comparison. `status` is 0 where no answer came."""
    report.compared += 1
    report.seconds_serving += asked.seconds
    report.seconds_shadow += seconds
    if status != asked.status:
        report.errors += (status == 0 or status >= _SERVER_ERROR) and asked.status < _SERVER_ERROR
        return
    left, right = _content(asked.answer), _content(answer)
    numbers = [each for each in differences(left, right) if math.isfinite(each)]
    report.numbers += len(numbers)
    report.total_difference += sum(numbers)
    report.largest_difference = max([report.largest_difference, *numbers])
    report.equal += _is_close(left, right)


def ask(address: str, asked: Answered) -> tuple[int, bytes]:
    """Status and body of an answer; 0 and nothing where none comes."""
    connection = HTTPConnection(address, timeout=_SECONDS)
    try:
        connection.request("POST", asked.path, asked.body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


class Comparer:
    """Takes records from the proxy's connections, and asks for each of them in a few threads."""

    def __init__(self, addresses: list[str], report: Report) -> None:
        self.report = report
        self._addresses = cycle(addresses)
        self._lock = threading.Lock()
        self._waiting: Queue[Answered] = Queue(_WAITING)

    def start(self) -> None:
        """Begin to ask."""
        for _ in range(_ASKERS):
            threading.Thread(target=self._ask_all, daemon=True).start()

    def take(self, record: bytes) -> None:
        """Compare it when there is time."""
        asked = parse(record)
        try:
            if asked is None:
                raise Full
            self._waiting.put_nowait(asked)
        except Full:
            with self._lock:
                self.report.skipped += 1

    def save(self, path: Path) -> None:
        """Write the report, whole or not at all."""
        with self._lock:
            text = json.dumps(asdict(self.report))
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(text)
        unfinished.replace(path)

    def _ask_all(self) -> None:
        while True:
            asked = self._waiting.get()
            with self._lock:
                address = next(self._addresses)
            start = time.monotonic()
            status, answer = ask(address, asked)
            with self._lock:
                add(self.report, asked, status, answer, time.monotonic() - start)


def main(addresses: list[str]) -> None:
    """Go on until the container ends; a report that is there is continued."""
    report = Report(**json.loads(REPORT.read_text())) if REPORT.exists() else Report()
    comparer = Comparer(addresses, report)

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for record in records(self.rfile):
                comparer.take(record)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A proxy that reads its configuration anew resets its connection."""

    comparer.start()
    threading.Thread(target=Server(("", PORT), Connection).serve_forever, daemon=True).start()
    while True:
        comparer.save(REPORT)
        time.sleep(1)


def _content(body: bytes) -> Any:
    """A body as data, if it is JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def _is_close(left: Any, right: Any) -> bool:
    if _is_number(left) and _is_number(right):
        return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=ABSOLUTE) or (math.isnan(left) and math.isnan(right))
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_close, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_is_close(left[key], right[key]) for key in left)
    return bool(left == right)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


if __name__ == "__main__":
    main(sys.argv[1:])
