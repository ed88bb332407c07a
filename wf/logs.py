"""What a task prints, from bytes to whole lines that are safe to show: decoded, without control characters, masked."""

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST_SECRET = 4
"""Shorter secrets would be found everywhere, and masking them would ruin the log."""

LONGEST_LINE = 16_384
"""Characters after which a line is cut, so that a log without line ends takes no memory."""

_LONGEST_ESCAPE = 256
_MIME_WIDTH, _PEM_WIDTH = 76, 64  # where `base64` and `openssl base64` begin a new line

_CONTROL_BYTES = bytes(code for code in (*range(32), 127) if chr(code) not in "\t\n\r")
_CONTROLS = re.compile(
    # Control characters, and marks that break a line or reorder what the reader sees. First, as one set, for speed.
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
    r"(?:(?<=\x1b)(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC, DCS and the like: titles, links, clipboard
    r"|[ -/]*[0-Z\\^_`a-~]"  # two characters, such as a reset
    r"))?"
)


def without_controls(text: str) -> str:
    """The text with nothing in it that could drive a terminal; tabs and line ends stay."""
    return _CONTROLS.sub("", text)


class Masker:
    """Replaces secrets by `***`, also as base64 (in every alignment), URL-encoded or JSON-escaped.

    Each line of a secret of several lines is masked by itself.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        needles = {needle for secret in secrets for needle in _disguises(secret)}
        self._needles = sorted(needle for needle in needles if len(needle) >= SHORTEST_SECRET)
        self.longest = max(map(len, self._needles), default=0)
        """Length of the longest thing it looks for."""

    def mask(self, text: str) -> str:
        """The text with every secret replaced."""
        spans = self._spans(text)
        if not spans:
            return text
        parts, done = [], 0
        for start, end in spans:
            parts += [text[done:start], MASK]
            done = end
        return "".join([*parts, text[done:]])

    def cut(self, text: str, at: int) -> int:
        """A place at or near `at` where the text can be divided without dividing a secret.

        Needs `longest` characters after `at`, to see a secret that begins before it.
        """
        for start, end in self._spans(text):
            if start < at < end:
                return start or end
        return at

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Where the secrets are. What overlaps or touches is one span, so that no end of one is left over."""
        found: list[tuple[int, int]] = []
        for needle in self._needles:
            start = text.find(needle)
            while start >= 0:
                found.append((start, start + len(needle)))
                start = text.find(needle, start + 1)
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged


class LineSplitter:
    """Chunks of bytes, divided anywhere, to whole lines.

    A carriage return starts a line afresh, as on a terminal: of a progress bar its last state is kept.
    """

    def __init__(self, masker: Masker | None = None) -> None:
        self._masker = masker or Masker()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._rest_is_clean = True

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that this chunk completes."""
        inside_character = bool(self._decoder.getstate()[0])
        return self._lines(self._decoder.decode(chunk), _is_clean(chunk) and not inside_character)

    def finish(self) -> list[str]:
        """The last line, if it did not end."""
        end = self._decoder.decode(b"", final=True)
        return self._lines(end + "\n", text_is_clean=True) if self._rest or end else []

    def _lines(self, text: str, text_is_clean: bool) -> list[str]:
        whole, newline, last = text.rpartition("\n")
        clean = text_is_clean and self._rest_is_clean
        lines: list[str] = []
        if newline:
            lines = self._finished(self._rest + whole, clean)
            self._rest, self._rest_is_clean = last, text_is_clean
        else:
            self._rest, self._rest_is_clean = self._rest + last, clean
        if len(self._rest) > LONGEST_LINE:
            lines += self._overlong()
        return lines

    def _finished(self, block: str, clean: bool) -> list[str]:
        if not clean:
            block = without_controls(block)
        if "\r" in block:
            block = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in block.split("\n"))
        lines = self._masker.mask(block).split("\n")
        if len(block) <= LONGEST_LINE:
            return lines
        return [piece for line in lines for piece in _pieces(line, LONGEST_LINE)]

    def _overlong(self) -> Iterator[str]:
        """Pieces of a line that has not ended yet but is too long to wait for."""
        kept = self._rest.rstrip("\r")
        returns = len(self._rest) - len(kept)
        # An escape sequence or a secret may go on in the next chunk: neither is cut.
        escape = kept.rfind("\x1b", max(0, len(kept) - _LONGEST_ESCAPE))
        open_end = kept[escape:] if escape >= 0 else ""
        text = without_controls(kept[: len(kept) - len(open_end)].rpartition("\r")[2])
        window = LONGEST_LINE + self._masker.longest
        while len(text) > window:
            cut = self._masker.cut(text[:window], LONGEST_LINE)
            yield from _pieces(self._masker.mask(text[:cut]), LONGEST_LINE)
            text = text[cut:]
        self._rest = text + open_end + "\r" * min(returns, 1)


def _is_clean(chunk: bytes) -> bool:
    """Whether there is surely nothing to strip: much quicker to see than to search for."""
    if len(chunk.translate(None, _CONTROL_BYTES)) != len(chunk):
        return False
    # These bytes begin U+0080 to U+009F and U+2000 to U+207F, in which the other unwanted characters lie.
    return chunk.isascii() or not any(start in chunk for start in (b"\xc2", b"\xe2\x80", b"\xe2\x81"))


def _pieces(line: str, size: int) -> list[str]:
    return [line[start : start + size] for start in range(0, len(line), size)] or [line]


def _disguises(secret: str) -> Iterator[str]:
    """The forms in which a secret is commonly printed, each without line ends."""
    forms: tuple[Callable[[str], str], ...] = (str, quote, quote_plus, _quote_all, _json)
    for form in forms:
        for line in form(secret).splitlines():
            yield without_controls(line).strip()
    raw = secret.encode("utf-8", "surrogateescape")
    import base64

    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            yield from _wrapped(_base64_core(encode, raw, offset))


def _quote_all(secret: str) -> str:
    return quote(secret, safe="")


def _json(secret: str) -> str:
    return json.dumps(secret)[1:-1]


def _base64_core(encode: Callable[[bytes], bytes], raw: bytes, offset: int) -> str:
    """The base64 characters that depend on `raw` alone, when `offset` (modulo 3) other bytes stand before it."""
    encoded = encode(bytes(offset) + raw).rstrip(b"=").decode()
    after = (offset + len(raw)) % 3
    return encoded[(0, 2, 3)[offset] : len(encoded) - (1 if after else 0)]


def _wrapped(encoded: str) -> Iterator[str]:
    yield encoded
    for width in (_MIME_WIDTH, _PEM_WIDTH):
        if len(encoded) > width:
            yield from (piece for piece in _pieces(encoded, width) if len(piece) > SHORTEST_SECRET)
