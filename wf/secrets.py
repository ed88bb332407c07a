"""Where the values of secrets come from. They are looked up when a run starts and are never stored with it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from wf.errors import EnvironmentProblem
from wf.plan import SecretRef
from wf.vault import Vault, read_env_file

Source = Callable[[str], str | None]
"""The value of a secret by its name, or `None` if it does not know it."""

ENVIRONMENT_PREFIX = "WF_SECRET_"


class Secrets:
    """Secrets by name, from the first source that knows them."""

    def __init__(self, sources: Iterable[Source] = (), everything: Callable[[], Iterable[str]] = tuple) -> None:
        self._sources = tuple(sources)
        self._everything = everything

    def values(self) -> tuple[str, ...]:
        """Every value that a source has, whether a job asks for it or not: what a masker of files must know."""
        return tuple(self._everything())

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

    def known(self, refs: Iterable[SecretRef]) -> set[str]:
        """The names of those that are set."""
        return {ref.name for ref in refs if self._find(ref.name) is not None}

    def _find(self, name: str) -> str | None:
        return next((value for source in self._sources if (value := source(name)) is not None), None)


def load_secrets(store_folder: Path, *, environ: Mapping[str, str], env_file: Path | None = None) -> Secrets:
    """The sources in their order: variables `WF_SECRET_NAME`, the file that was given, what the project keeps."""
    if env_file is not None and not env_file.is_file():
        raise EnvironmentProblem(f"there is no secrets file {env_file}")
    given = read_env_file(env_file) if env_file is not None else {}
    kept = kept_secrets(store_folder)

    def everything() -> Iterator[str]:
        yield from (environ[variable] for variable in secrets_of_variables(environ).values())
        yield from given.values()
        yield from (value for name in kept.names() if (value := kept.get(name)) is not None)

    return Secrets([_environment(environ), given.get, kept.get], everything)


def kept_secrets(store_folder: Path) -> Vault:
    """The secrets that the project keeps itself."""
    return Vault(store_folder, "secrets")


def secrets_of_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The names, as variables can spell them, of the secrets that the environment holds, with the variable of each."""
    return {
        variable.removeprefix(ENVIRONMENT_PREFIX): variable
        for variable in sorted(environ)
        if variable.startswith(ENVIRONMENT_PREFIX)
    }


def _environment(environ: Mapping[str, str]) -> Source:
    def find(name: str) -> str | None:
        # A variable cannot hold every character that a secret's name can.
        spelled = re.sub(r"\W", "_", name).upper()
        return environ.get(ENVIRONMENT_PREFIX + name, environ.get(ENVIRONMENT_PREFIX + spelled))

    return find


def _not_set(names: list[str]) -> EnvironmentProblem:
    listed = ", ".join(f"`{name}`" for name in names)
    verb = "secret {} is" if len(names) == 1 else "secrets {} are"
    return EnvironmentProblem(
        f"{verb.format(listed)} not set",
        hint=f"Run `wf secrets set {names[0]}`, set the variable {ENVIRONMENT_PREFIX}{names[0]}, or write a line "
        f"{names[0]}=... into a file for --secrets FILE.",
    )
