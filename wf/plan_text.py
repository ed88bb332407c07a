"""A plan as JSON, and the way back: how the history keeps plans, and how they are remembered.

Each field is written with its name and each part says its type, for any later `wf` to read.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from wf.plan import Plan


def encode(plan: Plan) -> str:
    """The plan as one line of JSON. Paths are texts, and so are those among the parameters."""
    return _ENCODER.encode(plan).decode()


def decode(text: str) -> Plan:
    """The plan of a text that `encode` made, in this `wf` or an older one.

    Raises:
        ValueError: it was written by a `wf` whose plans were others.
    """
    return _DECODER.decode(text)


def _as_path(kind: type, value: Any) -> Any:
    return _path(value) if kind is Path else value


_path = lru_cache(maxsize=64)(Path)
"""Nearly all paths of a plan are that of its workflow."""


_ENCODER = msgspec.json.Encoder(enc_hook=str)
_DECODER = msgspec.json.Decoder(Plan, dec_hook=_as_path)
