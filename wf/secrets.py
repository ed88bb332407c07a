"""Where the values of secrets come from. They are looked up when a run starts and are never stored with it."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from wf.errors import EnvironmentProblem
from wf.plan import SecretRef

Source = Callable[[str], str | None]
"""The value of a secret by its name, or `None` if it does not know it."""

ENVIRONMENT_PREFIX = "WF_SECRET_"
PROJECT_FILE = "secrets.env"

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class Secrets:
    """Secrets by name, from the first source that knows them."""

    def __init__(self, sources: Iterable[Source] = ()) -> None:
        self._sources = tuple(sources)

    def resolve(self, refs: Iterable[SecretRef]) -> dict[str, str]:
        """The values by name. Optional ones that are not set are left out; raises with *all* others that are not."""
        found: dict[str, str] = {}
        missing: set[str] = set()
        for ref in refs:
            value = self._find(ref.name)
            if value is not None:
                found[ref.name] = value
            elif not ref.optional:
                missing.add(ref.name)
        if missing:
            raise _not_set(sorted(missing))
        return found

    def _find(self, name: str) -> str | None:
        return next((value for source in self._sources if (value := source(name)) is not None), None)


def load_secrets(store_folder: Path, *, environ: Mapping[str, str], env_file: Path | None = None) -> Secrets:
    """The sources in their order: variables `WF_SECRET_NAME`, the file that was given, `.wf/secrets.env`."""
    sources: list[Source] = [_environment(environ)]
    if env_file is not None:
        if not env_file.is_file():
            raise EnvironmentProblem(f"there is no secrets file {env_file}")
        sources.append(read_env_file(env_file).get)
    project_file = store_folder / PROJECT_FILE
    if project_file.is_file():
        _refuse_if_others_can_read(project_file)
        sources.append(read_env_file(project_file).get)
    return Secrets(sources)


def read_env_file(path: Path) -> dict[str, str]:
    r"""Lines `NAME=value`, with `#` comments, `export`, and quotes; in double quotes `\n` is a line end."""
    values: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentProblem(f"the secrets file {path} cannot be read: {_reason(error)}") from None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            # The line itself may be a secret: it is not shown.
            raise EnvironmentProblem(f"{path}:{number} is not of the form NAME=value")
        values[match[1]] = _unquoted(match[2])
    return values


def _environment(environ: Mapping[str, str]) -> Source:
    def find(name: str) -> str | None:
        # A variable cannot hold every character that a secret's name can.
        spelled = re.sub(r"\W", "_", name).upper()
        return environ.get(ENVIRONMENT_PREFIX + name, environ.get(ENVIRONMENT_PREFIX + spelled))

    return find


def _refuse_if_others_can_read(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise EnvironmentProblem(f"other users can read the secrets in {path}", hint=f"Run: chmod 600 {path}")


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), value[1:-1])
    return value


def _not_set(names: list[str]) -> EnvironmentProblem:
    listed = ", ".join(f"`{name}`" for name in names)
    verb = "secret {} is" if len(names) == 1 else "secrets {} are"
    return EnvironmentProblem(
        f"{verb.format(listed)} not set",
        hint=f"Set the variable {ENVIRONMENT_PREFIX}{names[0]}, or write a line {names[0]}=... into a file for "
        f"--secrets FILE or into .wf/{PROJECT_FILE} (chmod 600).",
    )


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
