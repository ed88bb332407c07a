"""Heads of requests that were parsed before."""

from typing import Final, NamedTuple

_END: Final = b"\r\n\r\n"
_MOST: Final = 1024
_MOST_BYTES: Final = 1024


class Head(NamedTuple):
    """What is told before a request's body."""

    method: str
    path: str
    """Without its query."""
    connection: bytes
    """The header of that name in the answer, or nothing."""


class KnownHeads:
    """The same bytes mean the same again: parsing them costs more than all that HTTP needs otherwise."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Head, int]] = {}

    def split(self, data: bytes) -> tuple[Head | None, bytes]:
        """The head and body of what was read, if it is one whole request whose head is known."""
        end = data.find(_END) + len(_END)
        known = self._known.get(data[:end])
        if known is None or len(data) - end != known[1]:
            return None, b""
        return known[0], data[end:]

    def learn(self, data: bytes, head: Head, body: bytes) -> None:
        """Remember a head, if what was read is nothing but the request."""
        end = data.find(_END) + len(_END)
        # The body as it stands is as long as what follows the head only if it was sent in one piece, not in chunks.
        if len(_END) <= end <= _MOST_BYTES and len(data) - end == len(body):
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[data[:end]] = head, len(body)
