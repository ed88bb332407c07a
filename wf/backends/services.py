"""Containers that go on after `wf` has ended: the few things that a deployment asks of a Docker engine.

They restart with the engine, keep a short log of their own, and are found again by their labels.
"""

import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Literal, Self

from wf.backends.convert import PROCESSES
from wf.backends.engine import find_doorway, find_engine, remove_container, reporting
from wf.backends.images import Images, Wanted
from wf.control.control import Doorway
from wf.errors import EnvironmentProblem
from wf.events import Emit
from wf.host import read_host_network
from wf.plan import Image
from wf.settings import Settings

Phase = Literal["starting", "running", "restarting", "exited"]

_NANOSECONDS = 1_000_000_000
_PORT_TAKEN = ("port is already allocated", "address already in use")


class PortTakenError(Exception):
    """A port of this machine that a container was to have belongs to another program."""


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


class Services:
    """One connection to the engine, for one thread. A context manager.

    Raises:
        EnvironmentProblem: no engine answers; from every method, what the engine could not do.
    """

    def __init__(self, root: Path, settings: Settings, emit: Emit) -> None:
        try:
            self._engine = find_engine()
        except EnvironmentProblem as problem:
            message = f"deployments need a Docker engine: {problem}"
            raise EnvironmentProblem(message, hint=problem.hint.split(" Steps also run without")[0]) from problem
        self._client = self._engine.connect()
        self._root = root
        self._settings = settings
        self._emit = emit

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def image(self, image: Image) -> str:
        """The id of an image, which is pulled or built if need be."""
        host = read_host_network(os.environ, self._settings.ca_bundle)
        images = Images(self._engine, self._root, self._settings.docker, host, self._emit)
        try:
            return images.ensure([Wanted(image)])[Wanted(image)]
        finally:
            images.close()

    def has_image(self, image_id: str) -> bool:
        """Whether the engine still has an image."""
        import docker.errors

        with reporting("an image cannot be looked up"):
            try:
                self._client.inspect_image(image_id)
            except docker.errors.ImageNotFound:
                return False
        return True

    def image_environment(self, image_id: str) -> dict[str, str]:
        """The variables that an image sets."""
        with reporting("an image cannot be looked up"):
            pairs = self._client.inspect_image(image_id)["Config"].get("Env") or ()
        return dict(pair.split("=", 1) for pair in pairs)

    def doorway(self) -> Doorway | None:
        """How containers reach this machine, if they do."""
        return find_doorway(self._engine)

    def ensure_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Have a network, which may be there already."""
        with reporting(f"network {name} cannot be made"):
            if not self._client.networks(names=[f"^{name}$"]):
                self._client.create_network(name, driver="bridge", labels=dict(labels), check_duplicate=True)

    def remove_network(self, name: str) -> None:
        """Remove a network, which may be gone already."""
        import docker.errors

        with reporting(f"network {name} cannot be removed"):
            for network in self._client.networks(names=[f"^{name}$"]):
                try:
                    self._client.remove_network(network["Id"])
                except docker.errors.NotFound:
                    continue

    def start(self, service: Service) -> str:
        """Create a container, put its files in and start it; returns its id.

        Raises:
            PortTakenError: a port of this machine that it was to have is in use. Nothing of it is left then.
        """
        import docker.errors

        with reporting(f"container {service.name} could not start"):
            config = _config(service)
            if service.writable:
                # In a rootless engine the caller is root.
                rootless = self._engine.has_security("rootless")
                config["User"] = "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"
            created: str = self._client.create_container_from_config(config, service.name)["Id"]
            try:
                for path, content in service.files.items():
                    self.put(created, path, content)
                self._client.start(created)
            except BaseException as error:
                remove_container(self._client, created)
                if isinstance(error, docker.errors.APIError) and any(
                    words in str(error.explanation) for words in _PORT_TAKEN
                ):
                    raise PortTakenError(str(error.explanation)) from error
                raise
        return created

    def find(self, labels: Mapping[str, str]) -> list[Seen]:
        """The containers with these labels, in the order of their making."""
        import docker.errors

        wanted = [f"{name}={value}" for name, value in labels.items()]
        found = []
        with reporting("containers cannot be listed"):
            for each in sorted(
                self._client.containers(all=True, filters={"label": wanted}), key=lambda one: one["Created"]
            ):
                try:
                    found.append(_seen(self._client.inspect_container(each["Id"])))
                except docker.errors.NotFound:
                    continue  # somebody has just removed it
        return found

    def put(self, container: str, path: str, content: bytes) -> None:
        """Write a file into a container, whether it runs or not."""
        place = PurePosixPath(path)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            entry = tarfile.TarInfo(place.name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
        with reporting(f"{path} cannot be written into container {container[:12]}"):
            self._client.put_archive(container, str(place.parent), packed.getvalue())

    def processes(self, container: str) -> list[int]:
        """The numbers of its processes, as this machine counts them."""
        with reporting(f"the processes of container {container[:12]} cannot be listed"):
            top = self._client.top(container)
        column = top["Titles"].index("PID")
        return [int(row[column]) for row in top["Processes"] or ()]

    def ask(self, container: str, command: Sequence[str]) -> str:
        """What a command in a container prints."""
        with reporting(f"container {container[:12]} does not answer"):
            execution = self._client.exec_create(container, list(command))["Id"]
            printed: bytes = self._client.exec_start(execution)
        return printed.decode("utf-8", "replace")

    def logs(self, container: str, tail: int) -> bytes:
        """The last lines that it has printed."""
        with reporting(f"the log of container {container[:12]} cannot be read"):
            printed: bytes = self._client.logs(container, tail=tail)
        return printed

    def remove(self, container: str, grace: float) -> None:
        """Ask it to end, wait for that for `grace` seconds, and remove it; it may be gone already."""
        import docker.errors

        with reporting(f"container {container[:12]} cannot be stopped"):
            try:
                self._client.stop(container, timeout=round(grace))
            except docker.errors.NotFound:
                return
        remove_container(self._client, container)


def _config(service: Service) -> dict[str, Any]:
    """What to POST to `/containers/create`."""
    host_config: dict[str, Any] = {
        "NetworkMode": service.network,
        "RestartPolicy": {"Name": "unless-stopped"},
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


def _seen(container: Mapping[str, Any]) -> Seen:
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
