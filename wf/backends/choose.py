"""Which backend runs a workflow, and why."""

from pathlib import Path
from typing import Literal

from wf.backends.base import Backend
from wf.backends.programs import WithPrograms
from wf.errors import EnvironmentProblem
from wf.settings import Settings

Requested = Literal["auto", "docker", "process"]


def choose(requested: Requested, root: Path, settings: Settings) -> tuple[Backend, str]:
    """The backend, and a sentence that says why; `docker` raises where no engine answers."""
    backend, reason = _choose(requested, root, settings)
    return WithPrograms(backend, settings.ca_bundle), reason


def _choose(requested: Requested, root: Path, settings: Settings) -> tuple[Backend, str]:
    if requested == "process":
        return _processes(root, settings), "asked for"
    from wf.backends.docker import DockerBackend
    from wf.backends.engine import find_engine

    try:
        engine = find_engine()
    except EnvironmentProblem as problem:
        if requested == "docker":
            raise
        return _processes(root, settings), str(problem)
    reason = f"Docker {engine.version} answers at {engine.address}"
    return DockerBackend(root, settings, engine), reason


def _processes(root: Path, settings: Settings) -> Backend:
    from wf.backends.process import ProcessBackend

    return ProcessBackend(root, settings.ca_bundle)
