"""Containers that go on after `wf` has ended: the few things that a deployment asks of a Docker engine.

They restart with the engine, keep a short log of their own, and are found again by their labels.
"""

import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from wf.backends.containers import remove_container
from wf.backends.engine import find_doorway, find_engine, reporting
from wf.backends.images import Images, Wanted
from wf.backends.service import Seen, Service, from_container, to_container
from wf.control.control import Doorway
from wf.errors import EnvironmentProblem
from wf.events import Emit
from wf.host import read_host_network
from wf.plan import Image
from wf.settings import Settings

_PORT_TAKEN = ("port is already allocated", "address already in use")


class PortTakenError(EnvironmentProblem):
    """A port of this machine that a container was to have belongs to another program."""


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

    def base_image(self) -> str:
        """The id of the image that those of the project begin with; it has Python."""
        host = read_host_network(os.environ, self._settings.ca_bundle)
        images = Images(self._engine, self._root, self._settings.docker, host, self._emit)
        try:
            return images.base_image()[1]
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

    def image_command(self, image_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """An image's entrypoint, and the arguments that it gets where a container brings none."""
        with reporting("an image cannot be looked up"):
            config = self._client.inspect_image(image_id)["Config"]
        return tuple(config.get("Entrypoint") or ()), tuple(config.get("Cmd") or ())

    def image_file(self, image_id: str, path: str) -> bytes:
        """The content of a file of an image."""
        with reporting(f"{path} cannot be read from an image"):
            created = self._client.create_container(image_id, ["true"])["Id"]
            try:
                chunks, _ = self._client.get_archive(created, path)
                with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
                    content = tar.extractfile(tar.getmembers()[0])
            finally:
                remove_container(self._engine, created)
        if content is None:
            raise EnvironmentProblem(f"{path} is no file in an image that should have it there")
        return content.read()

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
            config = to_container(service)
            if service.writable:
                # In a rootless engine the caller is root.
                rootless = self._engine.has_security("rootless")
                config["User"] = "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"
            created: str = self._client.create_container_from_config(config, service.name)["Id"]
            try:
                for path, content in service.files.items():
                    self.put(created, path, content)
                for path, content in service.programs.items():
                    self.put(created, path, content, mode=0o755)
                self._client.start(created)
            except BaseException as error:
                remove_container(self._engine, created)
                if isinstance(error, docker.errors.APIError) and any(
                    words in str(error.explanation) for words in _PORT_TAKEN
                ):
                    ports = sorted({port for outer in service.publish.values() for _, port in outer})
                    message = f"a port of {service.name} belongs to another program: {' or '.join(map(str, ports))}"
                    raise PortTakenError(message, hint="Stop that program and try again.") from error
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
                    found.append(from_container(self._client.inspect_container(each["Id"])))
                except docker.errors.NotFound:
                    continue  # somebody has just removed it
        return found

    def put(self, container: str, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file into a container, whether it runs or not."""
        place = PurePosixPath(path)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            entry = tarfile.TarInfo(place.name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
        with reporting(f"{path} cannot be written into container {container[:12]}"):
            self._client.put_archive(container, str(place.parent), packed.getvalue())

    def processes(self, container: str, program: str) -> list[int]:
        """The numbers of the processes in it that run a program, as this machine counts them."""
        with reporting(f"the processes of container {container[:12]} cannot be listed"):
            top = self._client.top(container)
        number, command = top["Titles"].index("PID"), top["Titles"].index("CMD")
        return [int(row[number]) for row in top["Processes"] or () if Path(row[command].split()[0]).name == program]

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
        remove_container(self._engine, container)
