"""A container that goes on after `wf` has ended, as plain data, and as the engine's API has it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wf.backends.convert import PROCESSES

Phase = Literal["starting", "running", "restarting", "exited"]

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class HealthCommand:
    """A command that the engine runs in a container, again and again, to see whether it is well. Times in seconds."""

    command: tuple[str, ...]
    period: float
    timeout: float
    failures: int
    initial_delay: float


@dataclass(frozen=True, slots=True)
class Service:
    """A container to start."""

    name: str
    """Also its host name for others in its network."""
    image: str
    """The id of an image that the engine has."""
    labels: Mapping[str, str]
    network: str
    command: tuple[str, ...] = ()
    """If its first word begins with `-`, arguments for the image's entrypoint; else it takes the entrypoint's place."""
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[tuple[Path, str], ...] = ()
    """Folders of this machine and where they appear, read-only."""
    writable: tuple[tuple[Path, str], ...] = ()
    """The same, but it may write there. It then runs as the caller, whom everything in them belongs to."""
    publish: Mapping[int, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """Port in the container -> the addresses and ports of this machine that lead to it."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Files to put in before it starts."""
    programs: Mapping[str, bytes] = field(default_factory=dict)
    """The same, but they may be executed."""
    cpus: float | None = None
    memory: int | None = None
    health: HealthCommand | None = None
    sandbox: bool = False
    """Without capabilities; for images of the project."""
    init: bool = False
    """Whether the engine's own first process passes signals on: a program that is the first one itself ignores them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A container as the engine sees it now."""

    id: str
    name: str
    labels: Mapping[str, str]
    phase: Phase
    started: str | None
    finished: str | None
    restarts: int
    exit_code: int
    is_well: bool
    """What its health command says; true where it has none."""


def to_container(service: Service) -> dict[str, Any]:
    """What to POST to `/containers/create`."""
    host_config: dict[str, Any] = {
        "NetworkMode": service.network,
        # An engine that was killed ends its containers when it begins anew, and with `unless-stopped` leaves them so.
        "RestartPolicy": {"Name": "always"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "Mounts": [
            {"Type": "bind", "Source": str(source.absolute()), "Target": target, "ReadOnly": read_only}
            for mounts, read_only in ((service.mounts, True), (service.writable, False))
            for source, target in mounts
        ],
        "PortBindings": {
            f"{inner}/tcp": [{"HostIp": address, "HostPort": str(port)} for address, port in outer]
            for inner, outer in service.publish.items()
        },
        "PidsLimit": PROCESSES,
        "Init": service.init,
    }
    if service.cpus is not None:
        host_config["NanoCpus"] = round(service.cpus * _NANOSECONDS)
    if service.memory is not None:
        host_config |= {"Memory": service.memory, "MemorySwap": service.memory}
    if service.sandbox:
        host_config |= {"CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]}
    config: dict[str, Any] = {
        "Image": service.image,
        "Env": [f"{name}={value}" for name, value in sorted(service.env.items())],
        "Labels": dict(service.labels),
        "ExposedPorts": {f"{inner}/tcp": {} for inner in service.publish},
        "HostConfig": host_config,
    }
    if service.command and not service.command[0].startswith("-"):
        config |= {"Entrypoint": [service.command[0]], "Cmd": list(service.command[1:])}
    elif service.command:
        config["Cmd"] = list(service.command)
    if service.health:
        config["Healthcheck"] = {
            "Test": ["CMD", *service.health.command],
            "Interval": round(service.health.period * _NANOSECONDS),
            "Timeout": round(service.health.timeout * _NANOSECONDS),
            "StartPeriod": round(service.health.initial_delay * _NANOSECONDS),
            "Retries": service.health.failures,
        }
    return config


def from_container(container: Mapping[str, Any]) -> Seen:
    """What the engine says of a container, as `GET /containers/ID/json` answers."""
    state = container["State"]
    status = state["Status"]
    phase: Phase = "exited"
    if status in ("running", "restarting"):
        phase = status
    elif status == "created":
        phase = "starting"
    return Seen(
        id=container["Id"],
        name=container["Name"].removeprefix("/"),
        labels=container["Config"]["Labels"],
        phase=phase,
        started=_moment(state["StartedAt"]),
        finished=_moment(state["FinishedAt"]) if phase != "running" else None,
        restarts=int(container["RestartCount"]),
        exit_code=int(state["ExitCode"]),
        is_well="Health" not in state or state["Health"]["Status"] == "healthy",
    )


def _moment(written: str) -> str | None:
    """RFC 3339 with milliseconds; the engine writes the year 1 for what has not happened."""
    return None if written.startswith("0001") else written[:23] + "Z"
