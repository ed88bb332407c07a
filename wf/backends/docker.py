"""Tasks as containers of a Docker engine.

What a container looks like is `convert`'s business, and images are `images`': here is what is done with them, and when.
"""

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wf.backends.base import Exit, Handle, Launch
from wf.backends.convert import Surroundings, inputs_folder, to_container_config, to_ownership_config
from wf.backends.engine import Engine, find_engine, reporting
from wf.backends.images import Images, Wanted
from wf.backends.preflight import cpu_problems, disk_problems, gpu_problems, size_text
from wf.errors import EnvironmentProblem
from wf.events import Emit, Preparing
from wf.host import HostNetwork, read_host_network
from wf.plan import HostProgram, Plan, Task
from wf.settings import Settings

OPEN_TO_ALL = 0o777
"""Mode of the folders that a task with a user of its own writes to, while it runs."""


@dataclass(eq=False)
class Container:
    """A handle. `client` belongs to the thread that started it."""

    id: str
    launch: Launch
    around: Surroundings
    client: Any
    output: Iterator[bytes]
    is_owned: bool = field(default=False)
    """Whether everything that it wrote is the caller's."""


class DockerBackend:
    """See `wf.backends.base` for the contract."""

    name = "docker"

    def __init__(self, root: Path, settings: Settings, engine: Engine | None = None) -> None:
        self._root = root.resolve()
        self._settings = settings
        self._engine = engine
        self._host = HostNetwork()
        self._images: dict[Wanted, str] = {}

    def prepare(self, plan: Plan, emit: Emit) -> None:
        """Check the engine, resources and disk, then have every image ready."""
        engine = self._found_engine()
        self._host = read_host_network(os.environ, self._settings.ca_bundle)
        problems = cpu_problems(plan.tasks, engine.cpus)
        problems += disk_problems([self._root, engine.root] if engine.is_local else [self._root])
        if not engine.gpu_driver:
            problems += gpu_problems(plan.tasks, "the Docker engine has no NVIDIA runtime and no CDI device for one")
        if problems:
            raise EnvironmentProblem("\n".join(problems))
        for task in plan.tasks:
            if task.resources.memory is not None and task.resources.memory > engine.memory:
                line = f"job `{task.id}` is allowed more memory than there is: {size_text(engine.memory)}"
                emit(Preparing(what="engine", line=line))
        images = Images(engine, self._settings.docker, self._host, emit)
        try:
            self._images = images.ensure(self._wanted(task) for task in plan.tasks)
        finally:
            images.close()

    def image_digest(self, task: Task) -> str:
        """The id of its image, which is a hash of its content."""
        return self._images[self._wanted(task)]

    def start(self, launch: Launch) -> Container:
        """Create its container, attach to it, and only then start it: so no byte of its output is missed."""
        engine = self._found_engine()
        around = self._surroundings(launch, engine)
        make_places(launch)
        client = engine.connect()
        with reporting(f"job `{launch.task.id}` could not start"):
            # The name is for people; its end keeps apart the attempts of one job.
            name = f"wf-{launch.run}-{re.sub('[^A-Za-z0-9_.-]', '-', launch.task.id)}-{secrets.token_hex(3)}"
            created = client.create_container_from_config(to_container_config(launch, around), name)["Id"]
            try:
                output = client.attach(created, stream=True)
                client.start(created)
            except BaseException:
                client.remove_container(created, force=True, v=True)
                client.close()
                raise
        return Container(created, launch, around, client, output)

    def logs(self, handle: Handle) -> Iterator[bytes]:
        """The attached stream: chunks of at most 32 KiB, as fast as they are taken."""
        container = _own(handle)
        with reporting(f"the log of job `{container.launch.task.id}` broke off"):
            yield from container.output

    def wait(self, handle: Handle) -> Exit:
        """Wait, then look at the container itself, which is why the engine must not remove it by itself."""
        container = _own(handle)
        name = container.launch.task.id
        import docker.errors

        with reporting(f"the engine cannot say how job `{name}` ended"):
            try:
                container.client.wait(container.id)
                state = container.client.inspect_container(container.id)["State"]
            except docker.errors.NotFound:
                return Exit(125, error="its container is gone: something other than wf removed it")
        # Here, and not only in `destroy`: whoever stores the outputs must be able to read them.
        self._own_outputs(container)
        return Exit(int(state["ExitCode"]), out_of_memory=bool(state["OOMKilled"]), error=state["Error"] or "")

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """Send the signal, over a connection of its own as this may be another thread."""
        import docker.errors
        import requests

        container = _own(handle)
        # It may have ended on its own, or be gone, or the engine may be: then `wait` says so.
        gone = contextlib.suppress(docker.errors.APIError, requests.RequestException)
        with gone, contextlib.closing(self._found_engine().connect()) as client:
            client.kill(container.id, "SIGKILL" if kill else "SIGTERM")

    def destroy(self, handle: Handle) -> None:
        """Remove the container with its anonymous volumes; what it wrote becomes the caller's."""
        container = _own(handle)
        try:
            self._own_outputs(container)
        finally:
            _remove(container.client, container.id)
            container.client.close()

    def teardown(self) -> None:
        """Nothing: images are kept, and containers go with their tasks."""

    def sweep(self, runs: Collection[int]) -> int:
        """Remove the containers of runs of this project."""
        if not runs:
            return 0
        with contextlib.closing(self._found_engine().connect()) as client, reporting("leftovers cannot be removed"):
            found = client.containers(all=True, filters={"label": [f"wf.project={self._project}"]})
            left = [each["Id"] for each in found if each["Labels"].get("wf.run") in set(map(str, runs))]
            for container_id in left:
                _remove(client, container_id)
        return len(left)

    @property
    def _project(self) -> str:
        """What tells this project's containers from those of others."""
        return hashlib.sha256(os.fsencode(self._root)).hexdigest()[:12]

    def _found_engine(self) -> Engine:
        if self._engine is None:
            self._engine = find_engine()
        return self._engine

    def _gpus(self, task: Task) -> int:
        """How many GPUs the task gets from this engine; -1 for all."""
        wanted = task.resources.gpus
        if wanted == "auto":
            return 1 if self._found_engine().gpu_driver else 0
        return -1 if wanted == "all" else wanted

    def _wanted(self, task: Task) -> Wanted:
        assert not isinstance(task.image, HostProgram), f"{task.id} has no image"
        return Wanted(task.image, gpu=self._gpus(task) != 0)

    def _surroundings(self, launch: Launch, engine: Engine) -> Surroundings:
        return Surroundings(
            image=self.image_digest(launch.task),
            # In a rootless engine the caller is root, and root is nobody.
            owner=(0, 0) if engine.has_security("rootless") else (os.getuid(), os.getgid()),
            network="bridge" if launch.network else "none",
            labels={
                "wf": "1",
                "wf.project": self._project,
                "wf.run": str(launch.run),
                "wf.job": launch.task.id,
            },
            host=self._host,
            gpus=self._gpus(launch.task),
            gpu_driver=engine.gpu_driver,
            user_namespaces=engine.has_security("userns"),
            selinux=engine.has_security("selinux"),
        )

    def _own_outputs(self, container: Container) -> None:
        """Give what a container wrote as another user to the caller, who could not even delete it otherwise."""
        launch = container.launch
        if container.is_owned or launch.task.is_step:
            return  # a step runs as the caller
        folders = {"/outputs": launch.outputs, "/inputs": inputs_folder(launch)}
        if launch.state:
            folders["/state"] = launch.state
        if launch.cache:
            folders["/cache"] = launch.cache
        foreign = {place: folder for place, folder in folders.items() if has_foreign_files(folder)}
        if os.geteuid() == 0:
            for folder in foreign.values():
                give_to(folder, os.getuid(), os.getgid())
        elif foreign:
            self._chown_in_container(container, foreign)
        for folder in (launch.outputs, *launch.outputs.iterdir()):
            if folder.is_dir() and not folder.is_symlink() and stat.S_IMODE(folder.stat().st_mode) == OPEN_TO_ALL:
                folder.chmod(0o755)
        container.is_owned = True

    def _chown_in_container(self, container: Container, folders: Mapping[str, Path]) -> None:
        """Only root may give files away, and a container may be root: of the same image, which is there."""
        job = container.launch.task.id
        client = container.client
        with reporting(f"the files of job `{job}` in {container.launch.outputs} stay with another user"):
            config = to_ownership_config(folders, container.around)
            helper = client.create_container_from_config(config)["Id"]
            try:
                client.start(helper)
                code = client.wait(helper)["StatusCode"]
            finally:
                _remove(client, helper)
        if code:
            raise EnvironmentProblem(f"the files of job `{job}` stay with another user: chown exited with {code}")


def make_places(launch: Launch) -> None:
    """Make `/inputs` with a place for each input, and let the user of any image write where the format promises it."""
    inputs = inputs_folder(launch)
    inputs.mkdir()
    for name, path in launch.inputs.items():
        if path.is_dir():
            (inputs / name).mkdir()
        else:
            (inputs / name).touch()
    if not launch.task.is_step:
        for folder in (inputs, launch.outputs, *launch.outputs.iterdir()):
            folder.chmod(OPEN_TO_ALL)


def has_foreign_files(folder: Path) -> bool:
    """Whether anything in it belongs to someone else than the caller."""
    me = os.getuid()
    return any(
        os.lstat(os.path.join(parent, name)).st_uid != me  # noqa: PTH118 - a walk over what may be a million files
        for parent, folders, files in os.walk(folder)
        for name in (*folders, *files)
    )


def give_to(folder: Path, user: int, group: int) -> None:
    """Give everything in a folder to a user; links themselves, never what they point to."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(parent, name), user, group, follow_symlinks=False)  # noqa: PTH118 - as above


def _own(handle: Handle) -> Container:
    assert isinstance(handle, Container), "a handle of another backend"
    return handle


def _remove(client: Any, container_id: str) -> None:
    """Remove a container whatever it does, with the volumes that have no name; it may be gone, or going, already."""
    import docker.errors

    with reporting(f"container {container_id[:12]} cannot be removed"), contextlib.suppress(docker.errors.NotFound):
        try:
            client.remove_container(container_id, force=True, v=True)
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise
            # Somebody else is removing it.
            client.wait(container_id, condition="removed")
