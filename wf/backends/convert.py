"""A launch as the Engine API's description of a container. Pure: nothing here talks to an engine.

    /inputs/NAME    each input, read-only or a view that the task may change, at its place in the scratch folder
    /outputs        writable; declared output folders exist
    /code           a step's code, read-only, and its working directory
    /state, /cache  where the task asked for them
    /storage        what the project's tasks keep for one another; steps have none
    /local/P/NAME   the file or folder of this machine that the parameter P names, read-only

A step runs as the caller, without capabilities, on a read-only root with a temporary /tmp. Any other task keeps what
its image says, as the Gradient format promises.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from wf.backends.base import Launch
from wf.host import HostNetwork

HOST_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""What containers in one network share beside it."""
_OWN_NETWORK = ("PortBindings", "PublishAllPorts", "ExtraHosts", "Dns", "DnsOptions", "DnsSearch", "Links", "Sysctls")
"""Settings of a container that has a network of its own."""
CA_PATH = "/run/wf/ca-certificates.crt"
TEMPORARY = "/tmp"  # noqa: S108 - of a container, which shares it with nobody
SHARED_MEMORY = 1 << 30
"""Of /dev/shm: an upper limit, taken only when used. Docker's 64 MiB stop PyTorch's data loaders."""
ROLE = "wf.role"
"""A label of the containers of tasks, which helpers have not."""
STEP_PROCESSES = 4096
"""Limit of a step, threads included: far above what TensorFlow starts, far below what stops a machine."""
PROCESSES = 16384
"""Limit of any other task."""


class Surroundings(Struct, frozen=True):
    """What the engine and this machine add to a launch."""

    image: str
    """The id of the image."""
    owner: tuple[int, int]
    """User and group in the container that are the caller outside."""
    network: str
    """Docker's network mode: `none`, `bridge`, or `container:ID` to share another's."""
    labels: Mapping[str, str] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    """Input that the task may change -> the volume that takes the place of its folder."""
    host: HostNetwork = field(default_factory=HostNetwork)
    gpus: int = 0
    """-1 for all."""
    gpu_driver: str = ""
    user_namespaces: bool = False
    """Whether the engine maps users, which would keep a container from the caller's files."""
    selinux: bool = False


def to_container_config(launch: Launch, around: Surroundings) -> dict[str, Any]:
    """What to POST to `/containers/create`."""
    task = launch.task
    step = task.is_step
    host_config: dict[str, Any] = {
        "Mounts": _mounts(launch, around),
        "NetworkMode": around.network,
        "Init": True,
        "ShmSize": SHARED_MEMORY,
        # wf keeps the log. What the engine keeps is for a wf that goes on where a killed one was, and is cheap.
        "LogConfig": {"Type": "local", "Config": {"max-size": "20m", "max-file": "5", "compress": "false"}},
        **_limits(launch),
        **_gpu_request(around),
        **(_sandbox() if step else {}),
    }
    if around.user_namespaces:
        host_config["UsernsMode"] = "host"
    if around.selinux:
        host_config["SecurityOpt"] = [*host_config.get("SecurityOpt", ()), "label=disable"]
    config: dict[str, Any] = {
        "Image": around.image,
        "Env": [f"{name}={value}" for name, value in sorted(_environment(launch, around).items())],
        "Labels": {**around.labels, ROLE: "task"},
        "HostConfig": host_config,
    }
    if task.entrypoint is not None:
        config["Entrypoint"] = list(task.entrypoint)
    if task.command:
        config["Cmd"] = list(task.command)
    if step:
        config |= {"User": "{}:{}".format(*around.owner), "WorkingDir": "/code"}
    return config


def can_join(config: Mapping[str, Any]) -> bool:
    """Whether a container could as well share the network of another that has nothing but the same network mode."""
    host_config = config["HostConfig"]
    has_address = config.get("Hostname") or config.get("ExposedPorts") or config.get("NetworkingConfig")
    is_plain = host_config["NetworkMode"] in {"none", "bridge"}
    return is_plain and not has_address and not any(host_config.get(name) for name in _OWN_NETWORK)


def joined_to(config: Mapping[str, Any], holder: str) -> dict[str, Any]:
    """The same container in the network of another."""
    return {**config, "HostConfig": {**config["HostConfig"], "NetworkMode": f"container:{holder}"}}


def to_holder_config(around: Surroundings) -> dict[str, Any]:
    """A container that does nothing, in whose network tasks can run."""
    return {
        "Image": around.image,
        "Entrypoint": ["sleep", "2147483647"],  # not every `sleep` knows `infinity`
        "Labels": {**{name: value for name, value in around.labels.items() if name != "wf.job"}, "wf.holder": "1"},
        "HostConfig": {
            "NetworkMode": around.network,
            "LogConfig": {"Type": "none"},
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges", *(["label=disable"] if around.selinux else [])],
            **({"UsernsMode": "host"} if around.user_namespaces else {}),
        },
    }


def to_ownership_config(
    folders: Mapping[str, Path], around: Surroundings, *, keep_open: bool = False
) -> dict[str, Any]:
    """A container that gives everything in `folders`, which are places in it, to the caller."""
    mounts = [_bind(path, place, writable=True) for place, path in folders.items()]
    return _to_helper_config(mounts, "{}:{}".format(*around.owner), "a+rwX" if keep_open else "", around)


def to_handover_config(views: Mapping[str, str], user: str, mode: str, around: Surroundings) -> dict[str, Any]:
    """A container that gives everything in views, volumes by their names, to a user, and changes modes."""
    mounts = [volume_mount(volume, f"/inputs/{name}") for name, volume in views.items()]
    return _to_helper_config(mounts, user, mode, around)


def _to_helper_config(mounts: list[dict[str, Any]], user: str, mode: str, around: Surroundings) -> dict[str, Any]:
    script = 'chown -hR "$0" "$@"' + (f' && chmod -R {mode} "$@"' if mode else "")
    return {
        "Image": around.image,
        "User": "0:0",
        "Entrypoint": ["sh", "-c", script, user],
        "Cmd": [mount["Target"] for mount in mounts],
        "Labels": dict(around.labels),
        "HostConfig": {
            "Mounts": mounts,
            "NetworkMode": "none",
            **({"UsernsMode": "host"} if around.user_namespaces else {}),
            **({"SecurityOpt": ["label=disable"]} if around.selinux else {}),
        },
    }


def volume_mount(volume: str, target: str) -> dict[str, Any]:
    """A named volume, as it is: Docker would fill an empty one with what the image has in its place."""
    return {
        "Type": "volume",
        "Source": volume,
        "Target": target,
        "ReadOnly": False,
        "VolumeOptions": {"NoCopy": True},
    }


def _mounts(launch: Launch, around: Surroundings) -> list[dict[str, Any]]:
    mounts = [_bind(launch.scratch, "/inputs", writable=True)]
    for name, path in launch.inputs.items():
        view = around.views.get(name)
        mounts.append(volume_mount(view, f"/inputs/{name}") if view else _bind(path, f"/inputs/{name}"))
    mounts.append(_bind(launch.outputs, "/outputs", writable=True))
    if launch.code:
        mounts.append(_bind(launch.code, "/code"))
    if launch.state:
        mounts.append(_bind(launch.state, "/state", writable=True))
    if launch.cache:
        mounts.append(_bind(launch.cache, "/cache", writable=True))
    if launch.storage:
        mounts.append(_bind(launch.storage, "/storage", writable=True))
    mounts += [_bind(local.path, place) for local, place in _local_files(launch)]
    if launch.network and around.host.ca_bundle:
        mounts.append(_bind(around.host.ca_bundle, CA_PATH))
    return mounts


def _bind(source: Path, target: str, *, writable: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source.absolute()), "Target": target, "ReadOnly": not writable}


def _local_files(launch: Launch) -> list[tuple[Any, str]]:
    return [(local, f"/local/{local.parameter}/{local.path.name}") for local in launch.task.local_files]


def _environment(launch: Launch, around: Surroundings) -> dict[str, str]:
    env: dict[str, str] = {}
    if launch.task.is_step:
        # Some libraries ask for the user's name, which the image need not know.
        env |= {"HOME": TEMPORARY, "USER": "wf", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if launch.network:
        env |= around.host.variables(CA_PATH)
    env |= launch.env
    if launch.code:
        env["PYTHONPATH"] = "/code"
    if launch.state:
        env["WF_STATE"] = "/state"
    if launch.cache:
        env["WF_CACHE"] = "/cache"
    if local_files := _local_files(launch):
        env["WF_LOCAL_FILES"] = json.dumps({local.parameter: place for local, place in local_files})
    return env


def _limits(launch: Launch) -> dict[str, Any]:
    resources = launch.task.resources
    limits: dict[str, Any] = {"PidsLimit": resources.pids or (STEP_PROCESSES if launch.task.is_step else PROCESSES)}
    if resources.cpus is not None:
        limits["NanoCpus"] = round(resources.cpus * 1e9)
    if resources.memory is not None:
        # The same limit for memory and swap together: none of it may be swapped out.
        limits |= {"Memory": resources.memory, "MemorySwap": resources.memory}
    return limits


def _gpu_request(around: Surroundings) -> dict[str, Any]:
    if not around.gpus:
        return {}
    if around.gpu_driver == "cdi":
        wanted = ["all"] if around.gpus < 0 else [str(number) for number in range(around.gpus)]
        devices = [f"nvidia.com/gpu={which}" for which in wanted]
        return {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": devices}]}
    return {"DeviceRequests": [{"Count": around.gpus, "Capabilities": [["gpu"]]}]}


def _sandbox() -> dict[str, Any]:
    return {
        "ReadonlyRootfs": True,
        # Docker's own defaults for it would forbid to execute; its size is the kernel's: half of the memory.
        "Tmpfs": {TEMPORARY: "rw,exec,nosuid,nodev,mode=1777"},
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
    }
