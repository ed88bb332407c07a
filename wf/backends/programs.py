"""A backend around another one: tasks without an image run here, as programs of `wf`, and all others there.

A program sees nothing of its job's environment but as data, in `WF_JOB_ENV`: what a workflow writes there is meant for
containers, and variables such as `LD_PRELOAD` or `GIT_SSH_COMMAND` would make it code on this machine.
"""

import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

import wf
from wf.backends.base import Adopted, Backend, Exit, Handle, Launch, Turn
from wf.backends.local import LocalProcess, LocalProcesses, kept_environment
from wf.control.control import Doorway
from wf.errors import EnvironmentProblem
from wf.events import Emit
from wf.host import read_host_network
from wf.plan import HostProgram, Plan, Task

AGENT_VARIABLES = ("SSH_AUTH_SOCK",)
"""How git's ssh finds the keys of the user."""


class ProgramProcess(Struct, frozen=True, eq=False):
    """A handle, unlike any of the other backend, which may be one of processes too."""

    process: LocalProcess


class WithPrograms:
    """See `wf.backends.base` for the contract."""

    def __init__(self, inner: Backend, ca_bundle: Path | None = None) -> None:
        self.name = inner.name
        self._inner = inner
        self._ca_bundle = ca_bundle
        self._processes = LocalProcesses()

    def prepare(self, plan: Plan, emit: Emit) -> None:
        """Look for what the programs need, let the other backend prepare the rest, and name all that is missing."""
        problems, hint = program_problems(plan.tasks), ""
        try:
            self._inner.prepare(replace(plan, tasks=tuple(task for task in plan.tasks if not _is_program(task))), emit)
        except EnvironmentProblem as problem:
            problems, hint = [*problems, str(problem)], problem.hint
        if problems:
            raise EnvironmentProblem("\n".join(problems), hint=hint)

    def image_digest(self, task: Task) -> str:
        """For a program, the version of `wf`."""
        if isinstance(task.image, HostProgram):
            return f"{task.image.module}:{wf.__version__}"
        return self._inner.image_digest(task)

    def doorway(self) -> Doorway | None:
        """That of the other backend: programs are `wf` themselves."""
        return self._inner.doorway()

    def known_digest(self, task: Task) -> str | None:
        """The same, or what the other backend knows."""
        if isinstance(task.image, HostProgram):
            return self.image_digest(task)
        return self._inner.known_digest(task)

    def start(self, launch: Launch, turn: Turn) -> Handle:
        """Start it in its empty scratch folder."""
        if not _is_program(launch.task):
            return self._inner.start(launch, turn)
        turn.wait()
        return ProgramProcess(self._processes.start(launch, self._environment(launch), launch.scratch))

    def adopt(self, launch: Launch, job: str) -> Adopted | None:
        """A program does not outlive its `wf`; anything else may."""
        if not _is_program(launch.task):
            return self._inner.adopt(launch, job)
        self._processes.end_leftovers(launch.outputs)
        return None

    def await_engine(self, patience: float, given_up: threading.Event) -> bool:
        """Programs need none; anything else may."""
        return self._inner.await_engine(patience, given_up)

    def logs(self, handle: Handle) -> Iterator[bytes]:
        """Everything that it prints."""
        if isinstance(handle, ProgramProcess):
            return self._processes.logs(handle.process)
        return self._inner.logs(handle)

    def watch(self, handle: Handle, gone: Callable[[], None]) -> None:
        """How a program ended is known at once; of anything else the other backend may see more."""
        if not isinstance(handle, ProgramProcess):
            self._inner.watch(handle, gone)

    def wait(self, handle: Handle) -> Exit:
        """How it ended."""
        if isinstance(handle, ProgramProcess):
            return self._processes.wait(handle.process)
        return self._inner.wait(handle)

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """End it early."""
        if isinstance(handle, ProgramProcess):
            self._processes.stop(handle.process, kill=kill)
        else:
            self._inner.stop(handle, kill=kill)

    def destroy(self, handle: Handle) -> None:
        """Remove its traces."""
        if isinstance(handle, ProgramProcess):
            self._processes.destroy(handle.process)
        else:
            self._inner.destroy(handle)

    def teardown(self) -> None:
        """Let go of both."""
        self._processes.teardown()
        self._inner.teardown()

    def sweep(self, runs: Collection[int]) -> int:
        """What the other backend finds: a guardian has ended the processes of a `wf` that died."""
        return self._inner.sweep(runs)

    def _environment(self, launch: Launch) -> dict[str, str]:
        host = read_host_network(os.environ, self._ca_bundle)
        env = kept_environment() | host.variables(str(host.ca_bundle))
        env |= {name: os.environ[name] for name in AGENT_VARIABLES if name in os.environ}
        return env | {
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(Path(wf.__file__).parents[1]),
            "WF_JOB_ENV": json.dumps(dict(launch.env)),
            "WF_OUTPUTS": str(launch.outputs.absolute()),
        }


def program_problems(tasks: Iterable[Task]) -> list[str]:
    """What the programs among the tasks need and this machine lacks."""
    problems = []
    for task in tasks:
        program = task.image
        if not isinstance(program, HostProgram):
            continue
        import importlib.util
        import shutil

        if program.executable and not shutil.which(program.executable):
            problems.append(f"job `{task.id}` needs `{program.executable}`, which is not installed on this machine")
        if program.package and importlib.util.find_spec(program.package) is None:
            problems.append(f"job `{task.id}` needs the Python package `{program.package}`: pip install -e '.[s3]'")
    return problems


def _is_program(task: Task) -> bool:
    return isinstance(task.image, HostProgram)
