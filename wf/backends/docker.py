"""Tasks as containers of a Docker engine.

What a container looks like is `convert`'s business, and images are `images`': here is what is done with them, and when.
"""

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from wf.backends import containers, witness
from wf.backends.base import Adopted, Exit, Handle, Launch, Turn
from wf.backends.containers import remove_container, remove_volume
from wf.backends.convert import ROLE, Surroundings, can_join, joined_to, to_container_config
from wf.backends.engine import Engine, find_doorway, find_engine, reporting
from wf.backends.holders import Holders, Place
from wf.backends.images import Images, Wanted
from wf.backends.ownership import OPEN_TO_ALL, close_folders, take_over
from wf.backends.preflight import cpu_problems, disk_problems, gpu_problems, size_text
from wf.backends.questions import NOT_FOUND, Output, RefusalError
from wf.backends.views import View, Views
from wf.control.control import Doorway
from wf.errors import EnvironmentProblem
from wf.events import Emit, Preparing
from wf.host import HostNetwork, read_host_network
from wf.plan import HostProgram, Plan, Task
from wf.settings import Settings


class Container(Struct, eq=False):
    """A handle."""

    id: str
    output: Output
    launch: Launch
    around: Surroundings
    views: Mapping[str, View]
    place: Place | None = None
    """In which network it runs, until it has ended; nothing if it shares it with none."""
    is_over: bool = False
    """Whether it was destroyed."""
    is_owned: bool = False
    """Whether everything that it wrote is the caller's."""


class DockerBackend:
    """See `wf.backends.base` for the contract."""

    name = "docker"

    def __init__(self, root: Path, settings: Settings, engine: Engine | None = None) -> None:
        self._root = root.resolve()
        self._settings = settings
        self._engine = engine
        self._host = HostNetwork()
        self._doorway: Doorway | None = None
        self._images: dict[Wanted, str] = {}
        self._known: dict[Wanted, str | None] = {}
        """Images that were looked for without a run."""
        self._views = Views()
        self._holders = Holders()
        self._groups = witness.ControlGroups()
        self._place_lock = threading.Lock()
        """For the place of a container, which is left by whoever is the first to see its end."""
        self._to_come: set[str] = set()
        """Tasks that nobody has begun with."""
        self._storage: tuple[Path, Surroundings] | None = None
        """Where tasks of this run keep what outlives it, and what one of them had around it."""

    def prepare(self, plan: Plan, emit: Emit) -> None:
        """Check the engine, resources and disk, then have every image ready."""
        engine = self._found_engine()
        self._doorway = find_doorway(engine) if any(task.control for task in plan.tasks) else None
        self._host = read_host_network(os.environ, self._settings.ca_bundle)
        if self._doorway:
            self._host = self._host.past_proxies(self._doorway.host)
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
        self._to_come = {task.id for task in plan.tasks}
        images = Images(engine, self._root, self._settings.docker, self._host, emit)
        try:
            self._images = images.ensure(self._wanted(task) for task in plan.tasks)
        finally:
            images.close()

    def image_digest(self, task: Task) -> str:
        """The id of its image, which is a hash of its content."""
        return self._images[self._wanted(task)]

    def doorway(self) -> Doorway | None:
        """The engine's own end of the bridge network, which is an address of this machine if the engine runs on it."""
        return self._doorway

    def known_digest(self, task: Task) -> str | None:
        """The id of its image, if the engine has it as it would be built or pulled now."""
        wanted = self._wanted(task)
        if wanted not in self._known:
            images = Images(self._found_engine(), self._root, self._settings.docker, self._host, lambda _: None)
            try:
                self._known[wanted] = images.find(wanted)
            finally:
                images.close()
        return self._known[wanted]

    def start(self, launch: Launch, turn: Turn) -> Container:
        """Create its container; in its turn attach, and only then start it: so no byte of its output is missed."""
        engine = self._found_engine()
        around = self._surroundings(launch, engine)
        self._to_come.discard(launch.task.id)
        make_places(launch)
        place = None
        if can_join(to_container_config(launch, around)):
            follows = turn.follows.place if isinstance(turn.follows, Container) else None
            place = self._holders.enter(engine, around, to_come=len(self._to_come), follows=follows)
        try:
            views = self._views.open(engine, launch, around)
            around = replace(around, views={name: view.volume for name, view in views.items()})
            try:
                running = self._start_container(engine, launch, around, place, turn)
            except BaseException:
                self._views.close(engine, views)
                raise
        except BaseException:
            if turn.is_given_up:
                self._to_come.add(launch.task.id)
            if place:
                self._holders.leave(place, untouched=False, to_come=len(self._to_come))
            raise
        if launch.storage:
            self._storage = launch.storage, around
        id_, output = running
        return Container(id_, output, launch, around, views, place)

    def adopt(self, launch: Launch, job: str) -> Adopted | None:
        """Find its container, with its views and the log that the engine has kept; remove what is of no use."""
        engine = self._found_engine()
        around = self._surroundings(launch, engine)
        wanted = [f"wf.project={self._project}", f"wf.run={launch.run}", f"wf.job={job}"]
        with reporting(f"job `{launch.task.id}` cannot be carried on with"):
            adopted = None
            for each in containers.containers_with(engine, *wanted):
                found = containers.inspect(engine, each["Id"])
                if adopted is None and is_of_use(found):
                    adopted = found
                else:
                    remove_container(engine, each["Id"])
            if adopted is None:
                return None
            output = engine.follow(adopted["Id"], attach=False)
        views = {
            mount["Destination"].removeprefix("/inputs/"): View(mount["Name"])
            for mount in adopted["Mounts"]
            if mount["Type"] == "volume" and mount["Destination"].startswith("/inputs/")
        }
        if launch.storage:
            self._storage = launch.storage, around
        age = max(0.0, time.time() - datetime.fromisoformat(adopted["State"]["StartedAt"][:19] + "+00:00").timestamp())
        container = Container(adopted["Id"], output, launch, around, views)
        return Adopted(container, age, ended=not adopted["State"]["Running"])

    def await_engine(self, patience: float, given_up: threading.Event) -> bool:
        """Ask it every half second; one that starts may refuse, or be silent, for a while."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and not given_up.is_set():
            with contextlib.suppress(EnvironmentProblem):
                find_engine(timeout=5)
                return True
            given_up.wait(0.5)
        return False

    def _start_container(
        self, engine: Engine, launch: Launch, around: Surroundings, place: Place | None, turn: Turn
    ) -> tuple[str, Output]:
        config = to_container_config(launch, around)
        while place and place.holder:
            if place.holder.is_created():
                # It may have died; if it was something else, a start in a network of its own will say so.
                with contextlib.suppress(EnvironmentProblem):
                    return self._run(engine, launch, joined_to(config, place.holder.id), turn, place)
            self._holders.move(place)
        return self._run(engine, launch, config, turn)

    def _run(
        self, engine: Engine, launch: Launch, config: Mapping[str, Any], turn: Turn, place: Place | None = None
    ) -> tuple[str, Output]:
        with reporting(f"job `{launch.task.id}` could not start"):
            # The name is for people; its end keeps apart the attempts of one job.
            name = f"wf-{launch.run}-{re.sub('[^A-Za-z0-9_.-]', '-', launch.task.id)}-{os.urandom(3).hex()}"
            created = containers.create(engine, config, name)
            try:
                output = engine.follow(created, attach=True)
                try:
                    turn.wait()
                    if place and not self._holders.is_open(place):
                        raise EnvironmentProblem("the network that it was to join is of no use")
                    containers.start(engine, created)
                except BaseException:
                    output.close()
                    raise
            except BaseException:
                remove_container(engine, created)
                raise
        return created, output

    def logs(self, handle: Handle) -> Iterator[bytes]:
        """The attached stream, as fast as it is taken."""
        container = _own(handle)
        with reporting(f"the log of job `{container.launch.task.id}` broke off"):
            yield from container.output.chunks

    def watch(self, handle: Handle, gone: Callable[[], None]) -> None:
        """Watch its first process, where that is one of this machine's, and somebody could use its room or network."""
        container = _own(handle)
        holds_network = container.place is not None and container.place.holder is not None
        if self._found_engine().is_local and (self._to_come or holds_network):
            name = f"end of {container.launch.task.id}"
            threading.Thread(target=self._watch, args=[container, gone], name=name, daemon=True).start()

    def wait(self, handle: Handle) -> Exit:
        """Wait, then look at the container itself, which is why the engine must not remove it by itself."""
        container, engine = _own(handle), self._found_engine()
        with reporting(f"the engine cannot say how job `{container.launch.task.id}` ended"):
            try:
                containers.wait(engine, container.id)
                found = containers.inspect(engine, container.id)
            except RefusalError as refusal:
                if refusal.status != NOT_FOUND:
                    raise
                return Exit(125, error="its container is gone: something other than wf removed it")
        self._leave_network(container)
        # Here, and not only in `destroy`: whoever stores the outputs must be able to read them.
        self._own_outputs(container)
        state = found["State"]
        return Exit(
            int(state["ExitCode"]),
            out_of_memory=bool(state["OOMKilled"]),
            error=state["Error"] or "",
            most_processes=found["HostConfig"]["PidsLimit"],
        )

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """Send the signal."""
        container = _own(handle)
        # It may have ended on its own, or be gone, or the engine may be: then `wait` says so.
        with contextlib.suppress(OSError):
            containers.kill(self._found_engine(), container.id, "SIGKILL" if kill else "SIGTERM")

    def destroy(self, handle: Handle) -> None:
        """Remove the container with its anonymous volumes; what it wrote becomes the caller's."""
        container, engine = _own(handle), self._found_engine()
        try:
            self._own_outputs(container)
        finally:
            container.output.close()
            container.is_over = True
            remove_container(engine, container.id)
            self._leave_network(container)
            self._views.close(engine, container.views)

    def teardown(self) -> None:
        """Remove what tasks shared, and take over what they left in the storage. Containers go with their tasks."""
        if self._engine is None:
            return
        self._holders.remove_all()
        self._views.close_shared(self._engine)
        if self._storage:
            folder, around = self._storage
            take_over(self._engine, {"/storage": folder}, around, "the storage", keep_open=True)

    def sweep(self, runs: Collection[int]) -> int:
        """Remove the containers and volumes of runs of this project."""
        if not runs:
            return 0
        ours, numbers, engine = f"wf.project={self._project}", set(map(str, runs)), self._found_engine()
        with reporting("leftovers cannot be removed"):
            known, volumes = containers.containers_with(engine, ours), containers.volumes_with(engine, ours)
            left = [each for each in known if each["Labels"].get("wf.run") in numbers]
            for each in left:
                remove_container(engine, each["Id"])
            left_volumes = [each for each in volumes if each["Labels"].get("wf.run") in numbers]
            for each in left_volumes:
                remove_volume(engine, each["Name"])
        return len(left) + len(left_volumes)

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
        assert task.image is not None, f"job {task.id} has no image: it is not for a backend"
        assert not isinstance(task.image, HostProgram), f"{task.id} has no image"
        return Wanted(task.image, gpu=self._gpus(task) != 0, accounts=task.accounts)

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

    def _watch(self, container: Container, gone: Callable[[], None]) -> None:
        engine = self._found_engine()
        # Whatever is wrong will be said when the container is waited for.
        with contextlib.suppress(OSError):
            pid = self._groups.find_first(container.id)
            if pid is None:
                pid = int(containers.inspect(engine, container.id)["State"]["Pid"])
                self._groups.learn(container.id, pid)
            if witness.await_end(container.id, pid, lambda: container.is_over):
                # Processes may end with their engine, whose next start says how: that is to be seen as an outage.
                engine.ask("/_ping")
                self._leave_network(container)
                gone()

    def _leave_network(self, container: Container) -> None:
        with self._place_lock:
            place, container.place = container.place, None
        if place:
            # A step's root is read-only, and so are the files there that belong to its network.
            untouched = container.launch.task.is_step
            self._holders.leave(place, untouched=untouched, to_come=len(self._to_come))

    def _own_outputs(self, container: Container) -> None:
        launch = container.launch
        if container.is_owned or launch.task.is_step:
            return  # a step runs as the caller
        folders = {"/outputs": launch.outputs, "/inputs": launch.scratch}
        if launch.state:
            folders["/state"] = launch.state
        if launch.cache:
            folders["/cache"] = launch.cache
        take_over(self._found_engine(), folders, container.around, f"job `{launch.task.id}`")
        close_folders(launch.outputs)
        container.is_owned = True


def make_places(launch: Launch) -> None:
    """Make a place for each input, and let the user of any image write where the format promises it."""
    inputs = launch.scratch
    for name, path in launch.inputs.items():
        if path.is_dir():
            (inputs / name).mkdir()
        else:
            (inputs / name).touch()
    if not launch.task.is_step:
        for folder in (inputs, launch.outputs, *launch.outputs.iterdir(), *filter(None, [launch.storage])):
            folder.chmod(OPEN_TO_ALL)


def is_of_use(container: Mapping[str, Any]) -> bool:
    """Whether what the engine tells of a container says that it is that of a task, and runs or has succeeded."""
    state = container["State"]
    succeeded = state["Status"] == "exited" and state["ExitCode"] == 0 and not state["OOMKilled"]
    return ROLE in container["Config"]["Labels"] and (bool(state["Running"]) or succeeded)


def _own(handle: Handle) -> Container:
    assert isinstance(handle, Container), "a handle of another backend"
    return handle
