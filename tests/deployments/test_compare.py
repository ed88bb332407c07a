"""How answers of two revisions are compared."""

import base64
import io
import json
import math
import subprocess
import sys
from typing import Any

import pytest

from wf.deployments import compare
from wf.deployments.compare import Answered, Report, add, differences, parse, records


def word(text: str) -> str:
    """As the proxy writes a body."""
    return base64.b64encode(text.encode()).decode()


def compared(given: Any, shadow: Any, status: int = 200) -> Report:
    """The report of one comparison."""
    report = Report(since=0)
    asked = Answered("/v1/models/m:predict", b"{}", 200, 0.002, json.dumps(given).encode())
    add(report, asked, status, json.dumps(shadow).encode(), 0.003)
    return report


def test_it_needs_python_and_nothing_else() -> None:
    """Its container has no packages."""
    load = f"import runpy; runpy.run_path({compare.__file__!r})"

    done = subprocess.run([sys.executable, "-I", "-S", "-c", load], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_record_is_read_as_the_proxy_writes_it() -> None:
    """One after the other, until the connection ends, in the middle of one if it must."""
    record = f"{word('/v1')} 200 3 4 {word('asks')} 2 {word('ok')}".encode()
    sent = b"%d %s%d %s%d %s" % (len(record), record, len(record), record, len(record), record[:-1])

    read = list(records(io.BytesIO(sent)))

    assert read == [record, record]
    assert parse(record) == Answered("/v1", b"asks", 200, 0.003, b"ok")


@pytest.mark.parametrize(
    "record", [f"{word('/v1')} 200 3 4 - 2 {word('ok')}", f"{word('/v1')} 200 3 9 {word('asks')} 2 {word('ok')}", "x"]
)
def test_what_is_not_whole_is_not_compared(record: str) -> None:
    """A body that did not fit, one that was cut, and what is no record."""
    assert parse(record.encode()) is None


def test_numbers_are_compared_where_both_answers_have_one() -> None:
    """Truth and text are no numbers; where the forms differ they are infinitely far apart."""
    assert list(differences({"a": [1, 2.5], "b": "x", "c": True}, {"a": [1, 2], "b": "x", "c": True})) == [0.0, 0.5]
    assert list(differences([1, 2], [1])) == [math.inf]
    assert list(differences({"a": 1}, {"b": 1})) == [math.inf]
    assert list(differences(math.nan, math.nan)) == [0.0]


@pytest.mark.parametrize(
    ("given", "shadow", "equal", "numbers", "largest"),
    [
        ({"predictions": [3.5]}, {"predictions": [3.500001]}, 1, 1, pytest.approx(1e-6)),
        ({"predictions": [3.5, 1.0]}, {"predictions": [3.5, 1.25]}, 0, 2, 0.25),
        ({"predictions": ["a"]}, {"predictions": ["b"]}, 0, 0, 0.0),
        ({"predictions": [3.5]}, {"outputs": [3.5]}, 0, 0, 0.0),
    ],
)
def test_answers_are_equal_or_so_far_apart(given: Any, shadow: Any, equal: int, numbers: int, largest: float) -> None:
    """Rounding of the same model in other batches is none."""
    report = compared(given, shadow)

    assert (report.compared, report.equal, report.errors) == (1, equal, 0)
    assert (report.numbers, report.largest_difference) == (numbers, largest)
    assert (report.seconds_serving, report.seconds_shadow) == (0.002, 0.003)


@pytest.mark.parametrize(("status", "errors"), [(0, 1), (503, 1), (404, 0)])
def test_no_answer_is_an_error_and_no_equal_one(status: int, errors: int) -> None:
    """As one of the server's is; a refusal only differs."""
    report = compared({"predictions": [1.0]}, {"predictions": [1.0]}, status)

    assert (report.compared, report.equal, report.errors) == (1, 0, errors)
