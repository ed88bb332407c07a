"""Questions to an engine behind a socket of this machine, asked without the SDK.

A run whose jobs are all done already asks an engine for its version and a few images, and nothing else: to import the
SDK for that would take longer than all the rest. Where something runs, the SDK is imported while the engine is busy.
"""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

UNIX = "unix://"
DEFAULT_HOST = "unix:///var/run/docker.sock"


class RefusalError(OSError):
    """The engine answered with an error."""

    def __init__(self, explanation: str) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        """In the engine's words."""


def plain_host() -> str | None:
    """The socket that the environment and the Docker settings of the user mean, if it is one and they are simple."""
    if host := os.environ.get("DOCKER_HOST"):
        return host if host.startswith(UNIX) else None
    if os.environ.get("DOCKER_CONTEXT"):
        return None
    folder = os.environ.get("DOCKER_CONFIG")
    settings = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    try:
        context = json.loads(settings.read_bytes()).get("currentContext")
    except FileNotFoundError:
        context = None
    except (OSError, ValueError, AttributeError):
        return None
    return DEFAULT_HOST if context in {None, "", "default"} else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine answered."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    value: Any
    """The JSON of its body; nothing where that is empty."""


def ask(host: str, path: str, timeout: float, method: str = "GET", body: object = None) -> Answer:
    """What the engine at `unix://...` answers.

    Raises:
        OSError: nothing listens there, or it does not answer in time or in sense.
    """
    sent = b"" if body is None else json.dumps(body).encode()
    # Of HTTP/1.0: then an answer has no chunks, and ends with the connection.
    request = (
        f"{method} {quote(path, safe='/?=&')} HTTP/1.0\r\nHost: docker\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(host.removeprefix(UNIX))
        connection.sendall(request.encode() + sent)
        with connection.makefile("rb") as answer:
            text = answer.read()
    head, _, rest = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    named = (line.partition(":") for line in lines)
    try:
        status, value = int(first.split()[1]), json.loads(rest) if rest else None
    except (IndexError, ValueError):
        raise ConnectionError("its answer makes no sense") from None
    return Answer(status, {name.lower(): text.strip() for name, _, text in named}, value)
