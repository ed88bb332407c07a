"""`wf.logs`: from bytes to lines that are safe to show."""

import base64
import itertools
import json
import tracemalloc
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wf.logs import LONGEST_LINE, LineSplitter, Masker, without_controls


def lines(*chunks: bytes, secrets: tuple[str, ...] = ()) -> list[str]:
    """All lines of these chunks."""
    splitter = LineSplitter(Masker(secrets))
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], []),
        ([b""], []),
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"one\n\ntwo"], ["one", "", "two"]),
        ([b"\n"], [""]),
        ([b"on", b"e\nt", b"wo"], ["one", "two"]),
        ([b"one\r\ntwo\r\n"], ["one", "two"]),
        ([b"one\r", b"\ntwo"], ["one", "two"]),
        ([b"10%\r", b"50%\r", b"100%\n"], ["100%"]),
        ([b"10%\r100%\r\n"], ["100%"]),
        ([b"\xc3", b"\xbc\n"], ["ü"]),
        ([b"\xff\xfe\n"], ["\ufffd\ufffd"]),
        ([b"end \xc3"], ["end \ufffd"]),
        ([b"a\tb\n"], ["a\tb"]),
    ],
)
def test_lines(chunks: list[bytes], expected: list[str]) -> None:
    """Chunks become whole lines, wherever they are divided; a carriage return begins a line afresh."""
    assert lines(*chunks) == expected


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m",
        "\x1b[2J\x1b[Hred",
        "\x1b]0;a title\x07red",
        "\x1b]8;;http://x\x1b\\red",
        "\x1bP1$r\x1b\\red",
        "r\x1b(Bed",
        "\x1bcred",
        "\x9b31mred".replace("31m", ""),
        "r\x07e\x08d\x7f",
        "\x00red\x85",
        "\u202ered\u2066",
    ],
)
def test_controls_are_removed(text: str) -> None:
    """Nothing that drives a terminal is left, not even where chunks divide it."""
    data = text.encode()

    assert lines(data) == ["red"]
    assert lines(*(data[place : place + 1] for place in range(len(data)))) == ["red"]


@given(st.text())
def test_no_control_survives(text: str) -> None:
    """No control character is left, whatever sequence they come in, and stripping twice changes nothing."""
    once = without_controls(text)

    assert not any(char < " " and char not in "\t\n\r" for char in once)
    assert not any("\x7f" <= char <= "\x9f" for char in once)
    assert without_controls(once) == once


def test_long_line_is_cut() -> None:
    """A line without an end comes in pieces of bounded length, and loses nothing."""
    data = "".join(str(number) for number in range(20_000))

    pieces = lines(*(data[start : start + 1000].encode() for start in range(0, len(data), 1000)))

    assert "".join(pieces) == data
    assert {len(piece) for piece in pieces[:-1]} == {LONGEST_LINE}


def test_memory_is_flat() -> None:
    """A line of 64 MiB takes no more memory than a short one."""
    splitter = LineSplitter(Masker(["hunter2"]))
    chunk = b"x" * 65_536
    tracemalloc.start()
    for _ in range(1024):
        splitter.feed(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2 << 20


_PIECES = st.sampled_from(
    ["a", " ", "\n", "\r", "\x1b", "[", "3", "m", "]", "\x07", "\x85", "é", "✓", "\u202e", "\x00"]
)


@given(st.lists(_PIECES).map("".join), st.lists(st.integers(0, 60)))
def test_chunks_do_not_matter(text: str, cuts: list[int]) -> None:
    """Wherever the bytes are divided, the lines are the same."""
    data = text.encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})

    assert lines(*(data[start:end] for start, end in itertools.pairwise(places))) == lines(data)


# Masking


def _base64_after(prefix: bytes, secret: str) -> str:
    return base64.b64encode(prefix + secret.encode() + b"tail").decode()


@pytest.mark.parametrize(
    "shown",
    [
        "p@ss word/1?",
        "Bearer p@ss word/1?;",
        quote("p@ss word/1?"),
        quote("p@ss word/1?", safe=""),
        quote_plus("p@ss word/1?"),
        "p@ss\x1b[31m word/1?",
    ],
)
def test_secret_is_masked(shown: str) -> None:
    """A secret is masked as it is, inside of other text, URL-encoded, and with colours in it."""
    (line,) = lines(shown.encode(), secrets=("p@ss word/1?",))

    assert "***" in line
    assert "word" not in line


@pytest.mark.parametrize("prefix", [b"", b"a", b"ab", b"user:"])
@pytest.mark.parametrize("secret", ["hunter2!", "hunter2!!", "hunter2!!!"])
def test_base64_is_masked(prefix: bytes, secret: str) -> None:
    """The base64 of a secret is masked in each of its three alignments; a few characters at its ends tell nothing."""
    encoded = _base64_after(prefix, secret)

    (line,) = lines(encoded.encode(), secrets=(secret,))

    left = line.replace("***", "")
    assert len(left) <= len(encoded) - len(secret)


def test_wrapped_base64_is_masked() -> None:
    """The lines that `base64` makes of a long secret are masked too."""
    secret = "".join(chr(33 + index % 90) for index in range(200))
    wrapped = base64.encodebytes(secret.encode())

    shown = "".join(lines(wrapped, secrets=(secret,)))

    assert len(shown.replace("*", "")) < 8


def test_secret_of_several_lines() -> None:
    """Each line of a secret of several lines is masked; lines of under four characters are not."""
    secret = "-----BEGIN KEY-----\nMIIEvQ+abc\nzz\n"

    assert lines(secret.encode(), secrets=(secret,)) == ["***", "***", "zz"]
    assert lines(json.dumps(secret).encode(), secrets=(secret,)) == ['"***"']


def test_overlapping_secrets() -> None:
    """Where two secrets overlap, nothing of either is left."""
    assert lines(b"<abcdefgh>", secrets=("abcdef", "defgh", "abcd")) == ["<***>"]


def test_secret_where_a_long_line_is_cut() -> None:
    """A secret is masked wherever the cut of a long line would fall in it."""
    for place in range(LONGEST_LINE - 8, LONGEST_LINE + 2):
        data = b"x" * place + b"hunter2" + b"y" * 3 * LONGEST_LINE
        for size in (1000, len(data)):
            found = lines(*(data[start : start + size] for start in range(0, len(data), size)), secrets=("hunter2",))
            assert "hunter2" not in "".join(found)
            assert "".join(found).replace("***", "") == "x" * place + "y" * 3 * LONGEST_LINE


_SECRETS = st.text(st.sampled_from("ab:é/ +"), min_size=4, max_size=12).filter(lambda text: len(text.strip()) >= 4)


@given(
    secrets=st.lists(_SECRETS, min_size=1, max_size=3),
    around=st.lists(st.text(st.sampled_from("abc\n\r\x1b[3m é"), max_size=8), min_size=2, max_size=5),
    cuts=st.lists(st.integers(0, 200)),
)
@example(secrets=["aaaa"], around=["a", "aa"], cuts=[3])
def test_no_secret_leaks(secrets: list[str], around: list[str], cuts: list[int]) -> None:
    """No secret is ever in what is shown, wherever chunks divide it."""
    data = "".join(text + secrets[index % len(secrets)] for index, text in enumerate(around)).encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[start:end] for start, end in itertools.pairwise(places)]

    shown = "\n".join(lines(*chunks, secrets=tuple(secrets)))

    for secret in secrets:
        assert secret.strip() not in shown
