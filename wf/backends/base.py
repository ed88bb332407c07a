"""The contract between the runner and whatever runs tasks.

The life of a backend in one run:

1. `prepare(plan, emit)`, once, before anything starts. Checks the whole environment (engine, images, GPUs, disk),
   builds or pulls what is missing and tells its progress in `Preparing` events. Raises `EnvironmentProblem` when the
   plan cannot run here, naming everything that is missing.
2. `start(launch, turn)`, once for each task, from any thread. Makes ready what it can, waits for the turn, and then
   starts the process. Returns a handle as soon as that runs. A turn may be given up, which leaves nothing of the task;
   it may be started again later.
3. `logs(handle)`, once, from the thread that started it: the output, standard and error together in the order of
   writing, in chunks of any size, until the process closes it. Misses no byte. Before it, from the same thread,
   `watch(handle, gone)` has `gone` called, from any thread, when no process of the task is left, if that can be seen
   before its output and how it ended are known.
4. `wait(handle)`: blocks until the process has ended and says how. A process that cannot be found has *not*
   succeeded. After it the outputs belong to the caller.
5. `stop(handle, kill)`, from any thread, at any time: asks the process and its children to end (SIGTERM), or ends
   them at once (`kill`). Returns at once; `wait` then returns.
6. `destroy(handle)`: removes everything that the task alone used but its outputs. Safe to call twice, and after a
   failed wait.
7. `teardown()`, once, after the last task: removes what `prepare` and the tasks together made for this run only, and
   sees to it that what they left in the storage belongs to the caller. Safe without `prepare`.

`doorway()`, after `prepare`, from any thread, at any time: how tasks reach this machine, if they can.

`adopt(launch, job)`, in place of `start`, where the `wf` that had started the same task as `job` of the run in `launch`
was killed: a handle as `start` gives it, if the process still runs or has succeeded. Nothing else of it is left then.

Any verb may raise `EngineGone`. `await_engine(patience, given_up)` then waits until what runs tasks answers again;
after that the caller adopts the task, or destroys the handle that it has and starts it once more.

`sweep(runs)` stands outside of a run: it removes what runs of a killed `wf`, or of an engine that was away, have left,
none of whose tasks goes on. So does `known_digest(task)`, which says what `image_digest` would, as far as that is known
without making or fetching anything.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from wf.control.control import Doorway
from wf.events import Emit
from wf.plan import Plan, Task


class NotWantedError(Exception):
    """A task was given up before its turn."""


class Turn:
    """When the process of a task may start: tasks are made ready while others still run."""

    def __init__(self, follows: "Handle | None" = None) -> None:
        self.follows = follows
        """Whose end is likely to make room for the task, if there is none yet."""
        self._decided = threading.Event()
        self._is_wanted = True

    @property
    def is_given_up(self) -> bool:
        """Whether the process is not to start."""
        return not self._is_wanted

    def give(self) -> None:
        """The process may start."""
        self._decided.set()

    def give_up(self) -> None:
        """The process is not to start, unless that is too late."""
        self._is_wanted = False
        self._decided.set()

    def wait(self) -> None:
        """Wait until the process may start; raises `NotWantedError` if it is not to."""
        self._decided.wait()
        if not self._is_wanted:
            raise NotWantedError


class Launch(Struct, frozen=True):
    """A task with everything that is only known when it starts. All paths are of this machine and exist."""

    run: int
    task: Task
    env: Mapping[str, str]
    """The whole environment of the task, secrets included: never stored, never printed."""
    inputs: Mapping[str, Path]
    """What to show at `/inputs/NAME`: a folder, or a file for a string. Nothing here is ever changed: what a task
    writes there either fails or goes to a view, as its `inputs_mode` says."""
    outputs: Path
    """The folder that is `/outputs` for the task; declared output folders exist in it."""
    scratch: Path
    """An empty folder for the backend's own use, gone after the task."""
    network: bool
    code: Path | None = None
    """For a step: a read-only folder that holds `steps/`."""
    state: Path | None = None
    cache: Path | None = None
    storage: Path | None = None
    """For other tasks than steps: a writable folder that outlives all runs of the project."""


class Exit(Struct, frozen=True):
    """How a process ended."""

    code: int
    out_of_memory: bool = False
    error: str = ""
    """What the engine says went wrong, where the process itself is not to blame."""
    most_processes: int | None = None
    """How many processes and threads it was allowed at once, where the backend limits them."""


class Handle(Protocol):
    """One started task. What it holds is its backend's own business."""


class Adopted(Struct, frozen=True):
    """A task that another process had started."""

    handle: Handle
    age: float
    """Seconds since its start."""
    ended: bool = False
    """Whether it has ended by itself: what it prints while its engine is away, that engine never hears."""


class Backend(Protocol):
    """See the module's docstring for who calls what, and when."""

    name: str

    def prepare(self, plan: Plan, emit: Emit) -> None:
        """1. Make sure that every task can start."""

    def image_digest(self, task: Task) -> str:
        """What identifies the software that the task will run in. Valid after `prepare`."""

    def doorway(self) -> Doorway | None:
        """How tasks with a network reach this machine; nothing where they cannot."""

    def known_digest(self, task: Task) -> str | None:
        """The same before `prepare`, and without it; nothing where the image is not there yet."""

    def start(self, launch: Launch, turn: Turn) -> Handle:
        """2. Start a task; raises `EnvironmentProblem` if the engine cannot."""

    def adopt(self, launch: Launch, job: str) -> Adopted | None:
        """2. Carry on with what a killed `wf` has started; its log begins where the engine still has it."""

    def await_engine(self, patience: float, given_up: threading.Event) -> bool:
        """Whether the engine answers again within so many seconds, and before it was given up."""

    def logs(self, handle: Handle) -> Iterator[bytes]:
        """3. Everything that the task prints."""

    def watch(self, handle: Handle, gone: Callable[[], None]) -> None:
        """3. Tell when no process of it is left, if that can be seen sooner than by `wait`; returns at once."""

    def wait(self, handle: Handle) -> Exit:
        """4. How it ended."""

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """5. End it early."""

    def destroy(self, handle: Handle) -> None:
        """6. Remove its traces."""

    def teardown(self) -> None:
        """7. Remove what the run needed."""

    def sweep(self, runs: Collection[int]) -> int:
        """Remove what these runs, whose `wf` is dead, have left behind; returns how many things that were."""
