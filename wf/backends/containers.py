"""Containers and volumes of an engine: the few things that every run asks for.

Each raises `RefusalError` with what the engine says, and `OSError` where it does not answer.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from wf.backends.engine import Engine, reporting
from wf.backends.questions import CONFLICT, NOT_FOUND, RefusalError


def create(engine: Engine, config: Mapping[str, Any], name: str = "") -> str:
    """Make a container, which does not run yet; returns its id."""
    answer = engine.ask("/containers/create", "POST", config, {"name": name} if name else {})
    return str(answer.value["Id"])


def start(engine: Engine, container: str) -> None:
    """Start it; returns once its process runs."""
    engine.ask(f"/containers/{container}/start", "POST")


def inspect(engine: Engine, container: str) -> dict[str, Any]:
    """All that the engine knows of it."""
    found: dict[str, Any] = engine.ask(f"/containers/{container}/json").value
    return found


def wait(engine: Engine, container: str, condition: Literal["not-running", "removed"] = "not-running") -> int:
    """Wait until it has ended, or is gone; returns its exit code."""
    answer = engine.ask(f"/containers/{container}/wait", "POST", query={"condition": condition}, timeout=None)
    if answer.value is None:  # the engine began to answer, and ended itself
        raise ConnectionError("it broke off")
    return int(answer.value["StatusCode"])


def kill(engine: Engine, container: str, signal: str) -> None:
    """Send a signal to its first process."""
    engine.ask(f"/containers/{container}/kill", "POST", query={"signal": signal})


def run_helper(engine: Engine, config: Mapping[str, Any]) -> int:
    """Run a container to its end, remove it, and return its exit code."""
    helper = create(engine, config)
    try:
        start(engine, helper)
        return wait(engine, helper)
    finally:
        remove_container(engine, helper)


def containers_with(engine: Engine, *labels: str) -> list[dict[str, Any]]:
    """Those that have all of the labels, which are written `NAME` or `NAME=VALUE`, whether they run or not."""
    query = {"all": "1", "filters": json.dumps({"label": labels})}
    found: list[dict[str, Any]] = engine.ask("/containers/json", query=query).value
    return found


def volumes_with(engine: Engine, *labels: str) -> list[dict[str, Any]]:
    """The same for volumes."""
    answer = engine.ask("/volumes", query={"filters": json.dumps({"label": labels})})
    return answer.value["Volumes"] or []


def remove_container(engine: Engine, container: str) -> None:
    """Remove a container whatever it does, with the volumes that have no name; it may be gone, or going, already."""
    with reporting(f"container {container[:12]} cannot be removed"):
        try:
            engine.ask(f"/containers/{container}", "DELETE", query={"force": "1", "v": "1"})
        except RefusalError as refusal:
            if refusal.status == CONFLICT:  # somebody else is removing it
                _await_removal(engine, container)
            elif refusal.status != NOT_FOUND:
                raise


def _await_removal(engine: Engine, container: str) -> None:
    try:
        wait(engine, container, "removed")
    except RefusalError as refusal:
        if refusal.status != NOT_FOUND:
            raise


def create_volume(engine: Engine, name: str, **settings: Any) -> dict[str, Any]:
    """Make a volume; `settings` are as the API names them."""
    made: dict[str, Any] = engine.ask("/volumes/create", "POST", {"Name": name, **settings}).value
    return made


def remove_volume(engine: Engine, name: str) -> None:
    """Remove a volume, which may be gone already."""
    with reporting(f"volume {name} cannot be removed"):
        try:
            engine.ask(f"/volumes/{name}", "DELETE")
        except RefusalError as refusal:
            if refusal.status != NOT_FOUND:
                raise
