"""A launch as the engine is told of it."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

from tests.backends.tasks import make_launch, make_task
from wf.backends.base import Launch
from wf.backends.convert import Surroundings, to_container_config, to_ownership_config
from wf.host import HostNetwork
from wf.plan import LocalFile, Resources

AROUND = Surroundings(image="sha256:abc", owner=(1000, 100), network="none", labels={"wf": "1", "wf.run": "7"})


def mounts_of(config: dict[str, Any], tmp_path: Path) -> dict[str, tuple[str, bool]]:
    """Place in the container -> what is there, and whether it is writable."""
    return {
        mount["Target"]: (mount["Source"].replace(str(tmp_path), "."), not mount["ReadOnly"])
        for mount in config["HostConfig"]["Mounts"]
    }


def launch_of(tmp_path: Path, *command: str, step: bool = True, **changes: Any) -> Launch:
    """A launch of a task with these changes to it."""
    return make_launch(tmp_path, make_task(*command, step=step, **changes))


def test_a_step_as_a_whole(tmp_path: Path) -> None:
    """Everything that a plain step says to the engine."""
    launch = structs.replace(launch_of(tmp_path, "python", "-m", "steps.train"), env={"COMET_API_KEY": "x", "A": "b=c"})
    config = to_container_config(launch, AROUND)
    del config["HostConfig"]["Mounts"]
    assert config == {
        "Image": "sha256:abc",
        "Entrypoint": ["python"],
        "Cmd": ["-m", "steps.train"],
        "User": "1000:100",
        "WorkingDir": "/code",
        "Env": [
            "A=b=c",
            "COMET_API_KEY=x",
            "HOME=/tmp",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONPATH=/code",
            "PYTHONUNBUFFERED=1",
            "USER=wf",
        ],
        "Labels": {"wf": "1", "wf.run": "7", "wf.role": "task"},
        "HostConfig": {
            "NetworkMode": "none",
            "Init": True,
            "ShmSize": 1 << 30,
            "LogConfig": {"Type": "local", "Config": {"max-size": "20m", "max-file": "5", "compress": "false"}},
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": "rw,exec,nosuid,nodev,mode=1777"},
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": 4096,
        },
    }


def test_another_task_as_a_whole(tmp_path: Path) -> None:
    """A task that is no step says nothing about user, working directory or rights."""
    config = to_container_config(
        launch_of(tmp_path, "bash", "-c", "true", step=False), replace(AROUND, network="bridge")
    )
    del config["HostConfig"]["Mounts"]
    assert config == {
        "Image": "sha256:abc",
        "Entrypoint": ["bash"],
        "Cmd": ["-c", "true"],
        "Env": [],
        "Labels": {"wf": "1", "wf.run": "7", "wf.role": "task"},
        "HostConfig": {
            "NetworkMode": "bridge",
            "Init": True,
            "ShmSize": 1 << 30,
            "LogConfig": {"Type": "local", "Config": {"max-size": "20m", "max-file": "5", "compress": "false"}},
            "PidsLimit": 16384,
        },
    }


def test_an_image_keeps_what_a_task_does_not_replace(tmp_path: Path) -> None:
    """Without entrypoint and command, the container is given neither."""
    config = to_container_config(launch_of(tmp_path, step=False), AROUND)
    assert config.keys() & {"Entrypoint", "Cmd"} == set()


def test_mounts(tmp_path: Path) -> None:
    """Each folder lies where the contract says, and is writable only if it is the task's own."""
    local = (LocalFile("file", tmp_path / "a:b, c.csv"),)
    launch = launch_of(tmp_path, "python", local_files=local)
    launch = structs.replace(launch, inputs={"data": tmp_path / "in"}, state=tmp_path / "st", cache=tmp_path / "ca")
    config = to_container_config(launch, AROUND)
    assert mounts_of(config, tmp_path) == {
        "/inputs": ("./scratch", True),
        "/inputs/data": ("./in", False),
        "/outputs": ("./outputs", True),
        "/code": ("./code", False),
        "/state": ("./st", True),
        "/cache": ("./ca", True),
        "/local/file/a:b, c.csv": ("./a:b, c.csv", False),
    }
    assert {'WF_LOCAL_FILES={"file": "/local/file/a:b, c.csv"}', "WF_STATE=/state", "WF_CACHE=/cache"} <= set(
        config["Env"]
    )


@pytest.mark.parametrize("network", [True, False])
def test_the_hosts_network_is_passed_on_with_the_network_only(tmp_path: Path, network: bool) -> None:
    """CA bundle, proxies and mirrors reach a task if it has a network to use them with; its own env wins."""
    host = HostNetwork(
        Path("/etc/ca.pem"), {"http_proxy": "http://p", "HTTP_PROXY": "http://p"}, {"PIP_INDEX_URL": "u"}
    )
    launch = structs.replace(launch_of(tmp_path, "python"), network=network, env={"PIP_INDEX_URL": "mine"})
    config = to_container_config(launch, replace(AROUND, host=host))
    passed = {"http_proxy=http://p", "HTTP_PROXY=http://p", "SSL_CERT_FILE=/run/wf/ca-certificates.crt"}
    assert passed & set(config["Env"]) == (passed if network else set())
    assert "PIP_INDEX_URL=mine" in config["Env"]
    assert ("/run/wf/ca-certificates.crt" in mounts_of(config, tmp_path)) == network


def test_limits(tmp_path: Path) -> None:
    """CPUs and memory become limits; memory may not be swapped."""
    config = to_container_config(launch_of(tmp_path, "python", resources=Resources(cpus=1.5, memory=2 << 30)), AROUND)
    limits = {key: config["HostConfig"][key] for key in ("NanoCpus", "Memory", "MemorySwap")}
    assert limits == {"NanoCpus": 1_500_000_000, "Memory": 2 << 30, "MemorySwap": 2 << 30}


@pytest.mark.parametrize(
    ("gpus", "driver", "request_"),
    [
        (0, "nvidia", None),
        (2, "nvidia", {"Count": 2, "Capabilities": [["gpu"]]}),
        (-1, "nvidia", {"Count": -1, "Capabilities": [["gpu"]]}),
        (2, "cdi", {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]}),
        (-1, "cdi", {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}),
    ],
)
def test_gpus(tmp_path: Path, gpus: int, driver: str, request_: dict[str, Any] | None) -> None:
    """GPUs are asked for in the engine's way."""
    config = to_container_config(launch_of(tmp_path, "python"), replace(AROUND, gpus=gpus, gpu_driver=driver))
    assert config["HostConfig"].get("DeviceRequests") == ([request_] if request_ else None)


def test_engines_with_a_guard_of_their_own(tmp_path: Path) -> None:
    """User namespaces and SELinux labels, which would keep a container from its folders, are turned off for it."""
    config = to_container_config(launch_of(tmp_path, "python"), replace(AROUND, user_namespaces=True, selinux=True))
    assert config["HostConfig"]["UsernsMode"] == "host"
    assert config["HostConfig"]["SecurityOpt"] == ["no-new-privileges", "label=disable"]


def test_a_container_that_gives_files_away(tmp_path: Path) -> None:
    """It runs chown as root, without a network, on the folders and nothing else."""
    assert to_ownership_config({"/outputs": tmp_path}, AROUND) == {
        "Image": "sha256:abc",
        "User": "0:0",
        "Entrypoint": ["sh", "-c", 'chown -hR "$0" "$@"', "1000:100"],
        "Cmd": ["/outputs"],
        "Labels": {"wf": "1", "wf.run": "7"},
        "HostConfig": {
            "Mounts": [{"Type": "bind", "Source": str(tmp_path), "Target": "/outputs", "ReadOnly": False}],
            "NetworkMode": "none",
        },
    }
