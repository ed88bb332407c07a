"""Makes tasks, launches and plans for the tests of the backends."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from wf.backends.base import Backend, Exit, Handle, Launch, Turn
from wf.errors import Span
from wf.events import Event, Preparing
from wf.plan import Plan, RegistryImage, Task
from wf.project import project_id

NOWHERE = Span(Path("workflow.yaml"), 1, 1)


def make_task(*command: str, image: str = "image", step: bool = True, **changes: Any) -> Task:
    """A task that runs `command`, a step unless told otherwise."""
    task = Task(
        id="job",
        action="./steps/job" if step else "script@v1",
        image=RegistryImage(image),
        entrypoint=command[:1] or None,
        command=command[1:],
        span=NOWHERE,
        is_step=step,
        network=not step,
    )
    return replace(task, **changes)


def make_plan(root: Path, *tasks: Task) -> Plan:
    """A plan of these tasks."""
    return Plan(workflow=root / "workflow.yaml", root=root, tasks=tasks)


def make_launch(folder: Path, task: Task, **changes: Any) -> Launch:
    """A launch whose folders are new ones in `folder`."""
    for name in ("outputs", "scratch", "code"):
        (folder / name).mkdir(parents=True)
    launch = Launch(
        run=7,
        task=task,
        env=task.env,
        inputs={},
        outputs=folder / "outputs",
        scratch=folder / "scratch",
        network=task.network,
        code=folder / "code" if task.is_step else None,
    )
    return replace(launch, **changes)


def its_turn() -> Turn:
    """The turn of a task that waits for nobody."""
    turn = Turn()
    turn.give()
    return turn


@dataclass
class Lab:
    """Runs tasks in a backend as the runner would, one after the other."""

    backend: Backend
    root: Path
    told: list[Event] = field(default_factory=list)
    launched: int = 0

    def start(self, task: Task, *to_come: Task, **changes: Any) -> tuple[Handle, Launch]:
        """Prepare and start one task of a plan, which may have others."""
        self.backend.prepare(make_plan(self.root, task, *to_come), self.told.append)
        self.launched += 1
        launch = make_launch(self.root / f"launch-{self.launched}", task, **changes)
        return self.backend.start(launch, its_turn()), launch

    def finish(self, handle: Handle) -> tuple[bytes, Exit]:
        """Read its log to the end, wait and destroy; how many processes it was allowed is left out."""
        try:
            log, end = b"".join(self.backend.logs(handle)), self.backend.wait(handle)
            return log, replace(end, most_processes=None)
        finally:
            self.backend.destroy(handle)

    def run(self, task: Task, **changes: Any) -> tuple[bytes, Exit]:
        """One task from its start to its end."""
        return self.finish(self.start(task, **changes)[0])

    def stop_after(self, seconds: float, handle: Handle, *, kill: bool = False) -> None:
        """Stop it from another thread."""
        threading.Timer(seconds, self.backend.stop, [handle], {"kill": kill}).start()

    def lines(self) -> list[str]:
        """What `prepare` has told."""
        return [event.line for event in self.told if isinstance(event, Preparing)]


def as_lines(log: bytes) -> Mapping[str, str]:
    """A log of `name=value` lines as a mapping."""
    return dict(line.split("=", 1) for line in log.decode().splitlines() if "=" in line)


def containers_of(client: Any, lab: Lab) -> list[Any]:
    """Every container of the lab's project, running or not."""
    found: list[Any] = client.containers(
        all=True, filters={"label": f"wf.project={project_id(lab.root).removeprefix('p')}"}
    )
    return found
