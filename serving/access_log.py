"""One line of JSON for a sample of the requests, and for each that went wrong here."""

import logging
import random
import time
from typing import Final

import orjson

from serving.errors import Code

_LOG: Final = logging.getLogger("serving.access")


class AccessLog:
    """Writes requests to the log named `serving.access`."""

    def __init__(self, sampling: float) -> None:
        """`sampling`: the part of requests that are written. Failures of the server itself always are."""
        self._sampling = sampling

    def request(
        self,
        entrypoint: str,
        api: str,
        model: str,
        version: int,
        signature: str,
        code: Code,
        seconds: float,
        rows: int,
    ) -> None:
        """One request was answered."""
        if random.random() >= self._sampling and (code is Code.OK or code.http_status < 500):  # noqa: S311
            return
        line = {
            "time": round(time.time(), 3),
            "entrypoint": entrypoint,
            "api": api,
            "model": model,
            "version": version,
            "signature": signature,
            "code": code.name,
            "ms": round(seconds * 1000, 3),
            "rows": rows,
        }
        _LOG.info(orjson.dumps(line).decode())
