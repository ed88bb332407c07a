"""Pulling images: accounts, progress, and one `wf` at a time."""

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.backends.registry import Registry
from wf.backends.engine import find_engine
from wf.backends.images import Images, Wanted
from wf.backends.pull import Progress, pull
from wf.errors import EnvironmentProblem
from wf.events import Event, Preparing
from wf.host import HostNetwork
from wf.plan import RegistryImage
from wf.registries import Login, Registries
from wf.settings import DockerSettings

PASSWORD = "pa55-w0rd-of-the-registry"


@pytest.mark.docker
def test_a_private_image_is_pulled_with_the_projects_account(tmp_path: Path, client: Any) -> None:
    """The account at the image's registry is found by its server; one with another password does no harm."""
    if not find_engine().is_local:
        pytest.skip("the engine runs on another machine, which cannot reach a registry here")
    registries = Registries(tmp_path)
    with Registry("tiny", ("latest",), f"me:{PASSWORD}") as registry:
        ref = f"{registry.address}/tiny"
        registries.keep(Login("elsewhere", "registry.invalid", "me", PASSWORD))
        registries.keep(Login("a-wrong-one", f"http://{registry.address}/v2/", "me", "no"))
        with pytest.raises(EnvironmentProblem) as caught:
            list(pull(client, ref, registries, ["mine"]))
        failure = f"image `{ref}` is not in the engine and cannot be pulled: unauthorized"
        assert str(caught.value).startswith(failure)
        assert str(caught.value).endswith(" (as `a-wrong-one`)")
        assert caught.value.hint == "If it is private: `wf registry login mine` keeps an account for it."

        registries.keep(Login("mine", registry.address, "me", PASSWORD))
        try:
            assert list(pull(client, ref, registries))[-1] == f"Status: Downloaded newer image for {ref}:latest"
        finally:
            client.remove_image(f"{ref}:latest")


@pytest.mark.parametrize(
    ("ref", "names"),
    [
        ("team/image", ["hub", "b-hub", "a-hub"]),
        ("docker.io/team/image:1", ["hub", "b-hub", "a-hub"]),
        ("ghcr.io/team/image", ["ghcr"]),
        ("localhost:5000/image", ["local"]),
        ("nvcr.io/nvidia/pytorch:21.10-py3", []),
    ],
)
def test_accounts_are_told_apart_by_the_registry_of_the_image(tmp_path: Path, ref: str, names: list[str]) -> None:
    """An account is used for its own registry only; those that a workflow names come first, in its order."""
    registries = Registries(tmp_path)
    hubs = {"hub": "https://index.docker.io/v1/", "a-hub": "docker.io", "b-hub": "docker.io"}
    servers = {**hubs, "ghcr": "GHCR.io", "local": "localhost:5000"}
    for name, server in servers.items():
        registries.keep(Login(name, server, "me", PASSWORD))

    assert [login.name for login in registries.for_image(ref, ["local", "hub", "b-hub"])] == names


def test_an_account_hides_its_password(tmp_path: Path) -> None:
    """As it might be printed."""
    assert PASSWORD not in repr(Login("a", "b", "c", PASSWORD))


def test_progress_is_a_line_now_and_then() -> None:
    """Layers and bytes of all of them together, at most twice a second; the engine's last word comes through."""
    progress = Progress()
    messages: list[tuple[float, dict[str, Any]]] = [
        (10.0, {"status": "Pulling from tiny", "id": "latest"}),
        (10.0, {"status": "Already exists", "id": "a"}),
        (10.1, {"status": "Downloading", "id": "b", "progressDetail": {"current": 1 << 20, "total": 8 << 20}}),
        (10.6, {"status": "Downloading", "id": "b", "progressDetail": {"current": 2 << 20, "total": 8 << 20}}),
        (11.2, {"status": "Pull complete", "id": "b", "progressDetail": {}}),
        (11.3, {"status": "Status: Downloaded newer image for tiny:latest"}),
    ]

    assert [line for now, message in messages if (line := progress.follow(message, now))] == [
        "latest: Pulling from tiny",
        "1 of 1 layers",
        "1 of 2 layers, 25% of 8 MiB",
        "2 of 2 layers, 100% of 8 MiB",
        "Status: Downloaded newer image for tiny:latest",
    ]


@pytest.mark.docker
def test_an_image_that_another_wf_is_pulling_is_waited_for(tmp_path: Path, client: Any, base_image: str) -> None:
    """When the other is done the image is there, and is not pulled again."""
    told: list[Event] = []
    wanted = Wanted(RegistryImage("registry.invalid/wf-test-pulled:1"))
    found: dict[Wanted, str] = {}

    def ensure() -> None:
        with contextlib.closing(
            Images(find_engine(), tmp_path, DockerSettings(), HostNetwork(), told.append)
        ) as images:
            found.update(images.ensure([wanted]))

    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    waiting = threading.Thread(target=ensure)
    waiting.start()
    while not told:
        time.sleep(0.01)
    client.tag(base_image, "registry.invalid/wf-test-pulled", "1")
    try:
        os.close(other)
        waiting.join()
    finally:
        client.remove_image("registry.invalid/wf-test-pulled:1")

    assert found[wanted] == client.inspect_image(base_image)["Id"]
    assert [event.line for event in told if isinstance(event, Preparing)] == ["another wf may be pulling it: waiting"]
