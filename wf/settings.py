"""What a project says about itself in `wf.toml`, beside its workflows.

[docker]
base-images = ["python:3.11-slim-bookworm", "wf/base:bookworm"]   # the first that can be had is the base
base-bootstrap = "containers/base/bootstrap"   # a program that makes the last of them, where none can be had
build-args = {MIRROR = "https://mirror.example"}                  # for every Dockerfile that declares them

[images]
"tensorflow/tensorflow:1.14.0*" = "registry.example/tensorflow:1.15"   # what stands in for images: first match wins

[network]
ca-bundle = "/etc/ssl/company.pem"

[run]
log-limit = "1GiB"   # what is kept of each job's log, the newest; `wf run --log-limit` wins over it
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from wf.errors import InvalidWorkflow, Problem, Span
from wf.plan import parse_size

T = TypeVar("T")


class DockerSettings(Struct, frozen=True):
    """`[docker]`: how images are had."""

    base_images: tuple[str, ...] = ("python:3.11-slim-bookworm", "wf/base:bookworm")
    """In order of preference; one that the engine has already wins over one that must be pulled."""
    build_args: Mapping[str, str] = {}
    base_bootstrap: Path | None = None
    """A program of the project that makes the last of the base images on this machine."""


class Settings(Struct, frozen=True):
    """Everything in `wf.toml`."""

    docker: DockerSettings = DockerSettings()
    images: Mapping[str, str] = {}
    """Pattern -> the image that stands in for those that it matches, in the order of the file."""
    ca_bundle: Path | None = None
    log_limit: int | None = None
    """Bytes of each job's log that are kept; nothing for the usual."""


def load_settings(root: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read `wf.toml` of the project, if it has one; `WF_BASE_IMAGE` wins over what it says about base images."""
    path = root / "wf.toml"
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    except OSError as error:
        raise InvalidWorkflow([Problem(f"cannot read `{path}`: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise InvalidWorkflow([Problem(f"`{path}` is not UTF-8 text")]) from None
    tables = _parsed(path, text) if text else {}
    reader = _Reader(path, text)
    reader.refuse_unknown(tables, ("docker", "images", "network", "run"), "table")
    docker = reader.table(tables, "docker", ("base-images", "base-bootstrap", "build-args"))
    network = reader.table(tables, "network", ("ca-bundle",))
    base_images = reader.texts(docker, "base-images")
    base_bootstrap = reader.file(docker, "base-bootstrap")
    build_args = reader.text_table(docker, "build-args")
    images = reader.text_table(tables, "images")
    ca_bundle = reader.file(network, "ca-bundle")
    log_limit = reader.size(reader.table(tables, "run", ("log-limit",)), "log-limit")
    if reader.problems:
        raise InvalidWorkflow(reader.problems)
    if chosen := environ.get("WF_BASE_IMAGE"):
        base_images, base_bootstrap = (chosen,), None
    docker_settings = DockerSettings(base_images or DockerSettings().base_images, build_args, base_bootstrap)
    return Settings(docker=docker_settings, images=images, ca_bundle=ca_bundle, log_limit=log_limit)


def _parsed(path: Path, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(number) for number in place.groups()) if place else (1, 1)
        message = str(error).split(" (at ")[0]
        raise InvalidWorkflow([Problem(f"not valid TOML: {message}", Span(path, line, column))]) from None


class _Reader:
    """Takes values of the expected types out of parsed TOML and collects what is wrong, with its place."""

    def __init__(self, path: Path, text: str) -> None:
        self.problems: list[Problem] = []
        self._path = path
        self._lines = text.splitlines()

    def table(self, parent: Mapping[str, object], key: str, known: tuple[str, ...]) -> Mapping[str, object]:
        table = self._typed(parent, key, dict[str, object](), "a table")
        self.refuse_unknown(table, known, f"key in [{key}]")
        return table

    def refuse_unknown(self, table: Mapping[str, object], known: tuple[str, ...], what: str) -> None:
        for key in table:
            if key not in known:
                self._refuse(key, f"unknown {what} `{key}`", f"known: {', '.join(known)}")

    def texts(self, table: Mapping[str, object], key: str) -> tuple[str, ...]:
        values = self._typed(table, key, list[object](), "a list of strings")
        if not all(isinstance(value, str) for value in values):
            self._refuse(key, f"`{key}` is not a list of strings")
        return tuple(map(str, values))

    def text_table(self, table: Mapping[str, object], key: str) -> dict[str, str]:
        values = self._typed(table, key, dict[str, object](), "a table of strings")
        if not all(isinstance(value, str) for value in values.values()):
            self._refuse(key, f"`{key}` is not a table of strings")
        return {name: str(value) for name, value in values.items()}

    def size(self, table: Mapping[str, object], key: str) -> int | None:
        text = self._typed(table, key, "", "a string")
        if not text:
            return None
        size = parse_size(text)
        if not size:
            self._refuse(key, f"`{key}` is no size", "write one such as 100MiB")
        return size

    def file(self, table: Mapping[str, object], key: str) -> Path | None:
        text = self._typed(table, key, "", "a string")
        path = self._path.parent / text
        if text and not path.is_file():
            self._refuse(key, f"`{key}` names {path}, which is not a file")
        return path if text else None

    def _typed(self, table: Mapping[str, object], key: str, default: T, wanted: str) -> T:
        value = table.get(key, default)
        if isinstance(value, type(default)):
            return value
        self._refuse(key, f"`{key}` is not {wanted}")
        return default

    def _refuse(self, key: str, message: str, hint: str = "") -> None:
        """The parser gives no positions: the first line that names the key is the place."""
        pattern = re.compile(rf"""^\s*\[?["']?{re.escape(key)}\b""")
        number = next((n for n, line in enumerate(self._lines, 1) if pattern.match(line)), 1)
        column = self._lines[number - 1].find(key) + 1
        self.problems.append(Problem(message, Span(self._path, number, column, len(key)), hint))
