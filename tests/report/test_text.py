"""`wf.report.text`: how figures and states are written."""

import io

import pytest

from wf.report.text import Style, columns, duration, number, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (182, "3 min 02 s"),
        (3599.7, "1 h 00 min"),
        (3900, "1 h 05 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """A time has the unit in which one thinks of it."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 * 1024, "10 KiB"),
        (12 << 20, "12 MiB"),
        (3 << 40, "3.0 TiB"),
        (3000 << 40, "3000 TiB"),
    ],
)
def test_size(count: int, text: str) -> None:
    """A size has two or more digits and a unit."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("value", "text"), [(18886.0, "18886"), (1.03123, "1.031"), (0.0, "0"), (-2.0, "-2"), (0.000032, "3.2e-05")]
)
def test_number(value: float, text: str) -> None:
    """A figure has as many digits as one reads."""
    assert number(value) == text


def test_columns() -> None:
    """Cells stand under each other, and no line ends in blanks."""
    assert columns([("a", "1", ""), ("long", "22", "x")], "  ") == ["  a     1", "  long  22  x"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (_Terminal(), {}, True),
        (_Terminal(), {"NO_COLOR": "1"}, False),
        (_Terminal(), {"NO_COLOR": ""}, True),
        (_Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours(stream: io.StringIO, environ: dict[str, str], coloured: bool) -> None:
    """Only a terminal is coloured, unless its user wants no colours."""
    style = Style.of(stream, environ)

    assert style.paint("x", "red") == ("\x1b[31mx\x1b[0m" if coloured else "x")
