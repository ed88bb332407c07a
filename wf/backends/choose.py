"""Which backend runs a workflow, and why."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wf.backends.base import Backend
from wf.backends.programs import WithPrograms
from wf.errors import EnvironmentProblem
from wf.settings import Settings

if TYPE_CHECKING:
    from wf.backends.engine import Engine

Requested = Literal["auto", "docker", "process"]


class Search:
    """Looks for an engine while other things are done: what it says of itself takes it a while."""

    def __init__(self) -> None:
        self._found: Engine | None = None
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._look, name="search for an engine", daemon=True)
        self._thread.start()

    def engine(self) -> "Engine":
        """The engine; raises `EnvironmentProblem` if none answers."""
        self._thread.join()
        if self._found is None:
            assert self._problem is not None, "a search without an end"
            raise self._problem
        return self._found

    def _look(self) -> None:
        try:
            from wf.backends.engine import find_engine

            self._found = find_engine()
        except BaseException as problem:  # noqa: BLE001 - it is raised where the engine is needed
            self._problem = problem


def choose(requested: Requested, root: Path, settings: Settings, search: Search | None = None) -> tuple[Backend, str]:
    """The backend, and a sentence that says why; `docker` raises where no engine answers.

    `search` is one that was begun before.
    """
    backend, reason = _choose(requested, root, settings, search)
    return WithPrograms(backend, settings.ca_bundle), reason


def _choose(requested: Requested, root: Path, settings: Settings, search: Search | None) -> tuple[Backend, str]:
    if requested == "process":
        return _processes(root, settings), "asked for"
    from wf.backends.docker import DockerBackend

    try:
        engine = (search or Search()).engine()
    except EnvironmentProblem as problem:
        if requested == "docker":
            raise
        return _processes(root, settings), str(problem)
    reason = f"Docker {engine.version} answers at {engine.address}"
    return DockerBackend(root, settings, engine), reason


def _processes(root: Path, settings: Settings) -> Backend:
    from wf.backends.process import ProcessBackend

    return ProcessBackend(root, settings.ca_bundle)
