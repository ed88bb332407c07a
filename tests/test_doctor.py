"""What the doctor sees."""

import socket
from pathlib import Path

import pytest

from wf import doctor
from wf.backends.engine import Engine
from wf.doctor import Check, examine, render
from wf.settings import DockerSettings, Settings

NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere.sock"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry is not asked from a test."""

    def refuse(*_: object, **__: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", refuse)


def named(checks: list[Check], name: str) -> Check:
    """The one check of that name."""
    (check,) = (check for check in checks if check.name == name)
    return check


def test_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine is a warning, with what still works; what needs one is left out."""
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER["DOCKER_HOST"])
    checks = examine(tmp_path, Settings(), {})
    assert named(checks, "docker") == Check(
        "docker",
        "warning",
        "no Docker engine answers at unix:///nowhere.sock: nothing listens there",
        "Start Docker, or set DOCKER_HOST to where it listens. Steps also run without: `--backend process`.\n"
        "Until then, workflows of steps run as plain processes.",
    )
    assert {"base image", "leftovers", "docker disk"} & {check.name for check in checks} == set()


@pytest.mark.docker
def test_with_docker(tmp_path: Path, base_image: str) -> None:
    """An engine that answers is described, with its base image."""
    checks = examine(tmp_path, Settings(DockerSettings((base_image,))), {})
    assert named(checks, "docker").state == "ok"
    assert named(checks, "base image") == Check("base image", "ok", base_image)
    assert named(checks, "leftovers").name == "leftovers"


@pytest.mark.docker
def test_a_base_image_that_must_be_pulled(tmp_path: Path) -> None:
    """A base image that is not there is no problem yet, but may become one."""
    found = named(examine(tmp_path, Settings(DockerSettings(("no.registry.invalid/x",))), {}), "base image")
    assert (found.state, found.detail) == (
        "warning",
        "none of no.registry.invalid/x is in the engine: the first build pulls one",
    )


def test_a_registry_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent registry costs a few seconds at most and is only a warning."""
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER["DOCKER_HOST"])
    found = named(examine(tmp_path, Settings(), {}), "registry")
    assert (found.state, found.detail) == ("warning", "registry-1.docker.io:443 does not answer: timed out")


def test_ca_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that exists is passed on; a variable that leads nowhere is a problem."""
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER["DOCKER_HOST"])
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    good = examine(tmp_path, Settings(), {"SSL_CERT_FILE": str(bundle), "HOME": str(tmp_path)})
    assert named(good, "ca bundle").detail == f"{bundle}, passed on to builds and to jobs with a network"
    bad = examine(tmp_path, Settings(), {"PIP_CERT": "/nowhere.pem"})
    assert named(bad, "ca bundle") == Check(
        "ca bundle", "problem", "no such file: PIP_CERT=/nowhere.pem", "Correct or unset the variable."
    )


def test_proxies_are_shown_without_their_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials stay out of the report; a proxy on localhost is warned about."""
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER["DOCKER_HOST"])
    far = named(examine(tmp_path, Settings(), {"https_proxy": "http://me:secret@proxy.example:3128"}), "proxy")
    near = named(examine(tmp_path, Settings(), {"https_proxy": "http://localhost:3128"}), "proxy")
    assert far.detail == "https_proxy=proxy.example:3128, passed on to builds and to jobs with a network"
    assert (near.state, near.detail) == ("warning", "https_proxy=localhost:3128: containers cannot reach it there")


def test_a_broken_check_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a check raises, the doctor goes on."""
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER["DOCKER_HOST"])

    def explode(engine: Engine | None) -> Check:
        raise ZeroDivisionError(f"no {engine}")

    monkeypatch.setattr(doctor, "_check_gpu", explode)
    found = named(examine(tmp_path, Settings(), {}), "doctor")
    assert found == Check("doctor", "problem", "a check failed: ZeroDivisionError: no None")


def test_rendering() -> None:
    """State, name and detail in columns, advice below."""
    checks = [Check("docker", "ok", "works"), Check("ca", "problem", "is bad", "Do this.\nThen that.")]
    assert render(checks) == (
        "ok       docker  works\nPROBLEM  ca      is bad\n                 -> Do this.\n                 -> Then that."
    )
