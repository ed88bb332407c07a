"""How the proxy copies requests, with the answers that were given, to a program that compares. Pure.

It writes them into a log that it keeps in memory and sends on by TCP. What reads a log too slowly loses lines of it: no
request ever waits for a copy.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from wf.deployments import compare

HARMLESS: Final = "{ path_end -i :predict :classify :regress }"
"""Whether asking twice changes nothing."""

_LONGEST_RECORD = 65_535  # HAProxy's own limit for a line of a log
_RING_BYTES = 8 << 20
_TAP_PORT = 9998
_PARTS = 100_000


class Mirror(Struct, frozen=True):
    """Where copies go."""

    host: str
    share: float
    """Of the requests for predictions."""


def ring(mirror: Mirror, by_name: str) -> Sequence[str]:
    """The log. It finds no server by its name, so a listener of the proxy itself stands between.

    Args:
        mirror: where copies go.
        by_name: how a server is found by its name.
    """
    return [
        "ring answers",
        "    format raw",
        f"    maxlen {_LONGEST_RECORD}",
        f"    size {_RING_BYTES}",
        "    timeout connect 2s",
        "    timeout server 10s",
        f"    server tap 127.0.0.1:{_TAP_PORT} log-proto octet-count",
        "listen tap",
        "    mode tcp",
        f"    bind 127.0.0.1:{_TAP_PORT}",
        "    timeout client 1h",
        "    timeout server 1h",
        f"    server comparer {mirror.host}:{compare.PORT} {by_name}",
    ]


def rules(mirror: Mirror) -> Sequence[str]:
    """What a frontend does with a request to copy, in the form that `wf.deployments.compare` reads."""
    chosen = f"{{ rand({_PARTS}) lt {max(1, round(_PARTS * mirror.share))} }}"
    marked = "{ var(txn.mirrored) -m bool }"
    words = ["var(txn.path)", "ST", "Tr", "var(txn.asked_size)", "var(txn.asked)", "var(txn.size)", "var(txn.answer)"]
    record = " ".join(f"%[{word}]" if "(" in word else f"%{word}" for word in words)
    return [
        f"    http-request set-var(txn.mirrored) bool(true) if METH_POST {HARMLESS} {chosen}",
        f"    http-request wait-for-body time 5s if {marked}",
        f"    http-request set-var(txn.path) path,base64 if {marked}",
        f"    http-request set-var(txn.asked) req.body,base64 if {marked}",
        f"    http-request set-var(txn.asked_size) req.body_size if {marked}",
        f"    http-response wait-for-body time 5s if {marked}",
        f"    http-response set-var(txn.answer) res.body,base64 if {marked}",
        f"    http-response set-var(txn.size) res.body_size if {marked}",
        f"    log ring@answers len {_LONGEST_RECORD} format raw local0",
        f'    log-format "{record}"',
        f"    http-request set-log-level silent unless {marked}",
    ]
