"""Values that a project keeps secret: in the keyring of the operating system, else in a file that only you can read.

A keyring cannot say which names it knows, so all values of one kind are one entry of it. It is asked only when a value
is wanted: some ask their user first.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from wf.errors import EnvironmentProblem, InvalidWorkflow, Problem

NAME = r"[A-Za-z0-9_.-]+"

_LINE = re.compile(rf"(?:export\s+)?({NAME})\s*=\s*(.*)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_LEAST_PRIORITY = 1
"""Of a backend of `keyring` that keeps anything, and keeps it safely."""


class Place(Protocol):
    """Somewhere that values lie."""

    label: str

    def read(self) -> Mapping[str, str]:
        """All values by name."""

    def change(self, name: str, value: str | None) -> None:
        """Keep a value, or no longer."""


class Vault:
    """The values of one kind, such as `secrets`, of the project whose `.wf` this is."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._keyring = _Keyring(folder, kind)
        self._file = _File(folder / f"{kind}.env")

    def get(self, name: str) -> str | None:
        """A value, if there is one of that name."""
        return next((values[name] for place in self._places() if name in (values := place.read())), None)

    def names(self) -> dict[str, str]:
        """Every name, sorted, with where its value lies."""
        found: dict[str, str] = {}
        for place in self._places():
            found |= {name: place.label for name in place.read() if name not in found}
        return dict(sorted(found.items()))

    def keep(self, name: str, value: str) -> str:
        """Keep a value in place of any other of that name; returns where it lies now."""
        if not re.fullmatch(NAME, name):
            hint = "use letters, digits, `_`, `-` and `.`"
            raise InvalidWorkflow([Problem(f"`{name}` cannot be a name here", hint=hint)])
        first, *others = self._places()
        first.change(name, value)
        for other in others:
            other.change(name, None)
        return first.label

    def forget(self, name: str) -> bool:
        """Remove a value; says whether there was one."""
        having = [place for place in self._places() if name in place.read()]
        for place in having:
            place.change(name, None)
        return bool(having)

    def _places(self) -> list[Place]:
        return [self._keyring, self._file] if self._keyring.is_there() else [self._file]


def read_env_file(path: Path) -> dict[str, str]:
    r"""Lines `NAME=value`, with `#` comments, `export`, and quotes; in double quotes `\n` is a line end."""
    values: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            # The line itself may be a secret: it is not shown.
            raise EnvironmentProblem(f"{path}:{number} is not of the form NAME=value")
        values[match[1]] = _unquoted(match[2])
    return values


class _File:
    """A file of `NAME=value` lines."""

    def __init__(self, path: Path) -> None:
        self.label = f"{path.parent.name}/{path.name}"
        self._path = path

    def read(self) -> Mapping[str, str]:
        if not self._path.is_file():
            return {}
        if os.name == "posix" and self._path.stat().st_mode & 0o077:
            message = f"other users can read the secrets in {self._path}"
            raise EnvironmentProblem(message, hint=f"Run: chmod 600 {self._path}")
        return read_env_file(self._path)

    def change(self, name: str, value: str | None) -> None:
        """Other lines, comments too, stay as they are. The new file takes the old one's place whole, or not at all."""
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if value is None and name not in self.read():
                return
            self.read()  # refuses a file that is not private, or not of this form
            lines = _lines(self._path) if self._path.is_file() else []
            kept = [line for line in lines if not ((match := _LINE.fullmatch(line.strip())) and match[1] == name)]
            kept = kept[:-1] if kept and not kept[-1] else kept
            added = [] if value is None else [f"{name}={_quoted(value)}"]
            self._replace("".join(f"{line}\n" for line in [*kept, *added]))
        except OSError as error:
            raise EnvironmentProblem(f"{self._path} cannot be written: {error.strerror}") from None
        finally:
            os.close(folder)

    def _replace(self, text: str) -> None:
        import tempfile

        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".new-")  # only its owner can read it
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            Path(temporary).replace(self._path)
        except BaseException:
            Path(temporary).unlink()
            raise


class _Keyring:
    """The operating system's own place for secrets, through the library `keyring`."""

    label = "keyring"

    def __init__(self, folder: Path, kind: str) -> None:
        self._service = f"wf {folder.parent.resolve()}"
        self._kind = kind

    def is_there(self) -> bool:
        """Whether there is one; the library has backends that keep nothing, and some that hide nothing."""
        try:
            import keyring
        except ImportError:
            return False
        return keyring.get_keyring().priority >= _LEAST_PRIORITY

    def read(self) -> Mapping[str, str]:
        from keyring import get_password

        text = self._asked(lambda: get_password(self._service, self._kind))
        values: dict[str, str] = json.loads(text or "{}")
        return values

    def change(self, name: str, value: str | None) -> None:
        from keyring import set_password

        values = {each: kept for each, kept in self.read().items() if each != name}
        if value is not None:
            values[name] = value
        self._asked(lambda: set_password(self._service, self._kind, json.dumps(values)))

    @staticmethod
    def _asked(what: Callable[[], str | None]) -> str | None:
        from keyring.errors import KeyringError

        try:
            return what()
        except KeyringError as error:
            hint = "PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring does without it: a private file is used then."
            raise EnvironmentProblem(f"the keyring does not answer: {type(error).__name__}", hint=hint) from None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
        raise EnvironmentProblem(f"the secrets file {path} cannot be read: {reason}") from None


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), value[1:-1])
    return value
