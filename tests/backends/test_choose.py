"""Which backend is taken, and the reason that is given."""

from pathlib import Path

import pytest

from wf.backends.choose import choose
from wf.errors import EnvironmentProblem
from wf.settings import Settings


@pytest.mark.docker
@pytest.mark.parametrize("requested", ["auto", "docker"])
def test_docker_where_it_answers(tmp_path: Path, requested: str) -> None:
    """An engine that answers is used unless something else is asked for."""
    backend, reason = choose(requested, tmp_path, Settings())  # type: ignore[arg-type]
    assert backend.name == "docker"
    assert reason.startswith("Docker ")
    assert " answers at " in reason


def test_processes_where_no_engine_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine steps run as processes, and the reason is why Docker does not."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    backend, reason = choose("auto", tmp_path, Settings())
    assert backend.name == "process"
    assert reason == "no Docker engine answers at unix:///nowhere.sock: nothing listens there"


def test_docker_on_demand_must_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for Docker gets an error, not something else."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(EnvironmentProblem) as caught:
        choose("docker", tmp_path, Settings())
    assert str(caught.value) == "no Docker engine answers at unix:///nowhere.sock: nothing listens there"


def test_processes_on_demand(tmp_path: Path) -> None:
    """Who asks for processes gets them without a look at Docker."""
    backend, reason = choose("process", tmp_path, Settings())
    assert (backend.name, reason) == ("process", "asked for")


def test_an_unknown_docker_context_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A context that does not exist is no engine."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    _, reason = choose("auto", tmp_path, Settings())
    assert reason == "the Docker context `no-such-context` is not defined"
