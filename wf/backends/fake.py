"""A backend that runs nothing and insists on the contract: it makes the runner's tests quick and strict.

What a task does is said by its environment:

    FAKE_LOG=text              what it prints
    FAKE_OUTPUT_name=text      what it leaves at /outputs/name: a file, or `data` in it where that is a folder
    FAKE_SLEEP=seconds         how long it runs; `stop` cuts it short
    FAKE_STUBBORN=1            it ignores SIGTERM: only `kill` ends it
    FAKE_EXIT=code             its exit code
    FAKE_OOM=1                 it is killed for memory
    FAKE_ERROR=text            what the engine says went wrong
    FAKE_GONE=once             its engine goes away when it ends, and is back at once, or not (`forever`)
    FAKE_START_FAIL=text       the engine cannot start it, and says this

Whoever breaks the order of `wf.backends.base` gets an AssertionError that names the task and the rule.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from wf.backends.base import Adopted, Exit, Handle, Launch, Turn
from wf.control.control import LOOPBACK, Doorway
from wf.errors import EngineGone, EnvironmentProblem
from wf.events import Emit, Preparing
from wf.plan import Plan, RegistryImage, Task


@dataclass(eq=False)
class FakeHandle:
    """One started task, and how far its life has come."""

    launch: Launch
    thread: int = field(default_factory=threading.get_ident)
    started: float = field(default_factory=time.monotonic)
    ended: threading.Event = field(default_factory=threading.Event)
    signal: int = 0
    """The signal that ended it early, if one did."""
    logs_read: bool = False
    waited: bool = False
    destroyed: bool = False

    def setting(self, name: str) -> str:
        """What the task's environment says under `FAKE_` and `name`."""
        return self.launch.env.get(f"FAKE_{name}", "")

    def await_end(self) -> None:
        """Sleep as long as it runs."""
        self.ended.wait(max(0.0, self.started + float(self.setting("SLEEP") or 0) - time.monotonic()))


class FakeBackend:
    """See the module's docstring. `handles` holds everything that was ever started, for tests to look at."""

    name = "fake"

    def __init__(self, prepare_error: str = "") -> None:
        self.handles: list[FakeHandle] = []
        self.most_at_once = 0
        self.swept: list[int] = []
        self._prepare_error = prepare_error
        self._plan: Plan | None = None
        self._torn_down = False
        self._gone: dict[str, str] = {}
        """Tasks that an outage of the engine took along, with what they said of it."""
        self._lock = threading.Lock()

    def prepare(self, plan: Plan, emit: Emit) -> None:
        """Accept every plan, unless the test asked for a refusal."""
        assert self._plan is None, "prepare: called twice"
        assert not self._torn_down, "prepare: called after teardown"
        if self._prepare_error:
            raise EnvironmentProblem(self._prepare_error)
        emit(Preparing(what="fake", line="nothing to prepare"))
        self._plan = plan

    def image_digest(self, task: Task) -> str:
        """The same for every image of the same name."""
        assert self._plan is not None, f"image_digest({task.id}): called before prepare"
        return f"fake:{task.image}"

    def doorway(self) -> Doorway:
        """The machine itself: nothing runs elsewhere."""
        assert self._plan is not None, "doorway: called before prepare"
        return LOOPBACK

    def known_digest(self, task: Task) -> str | None:
        """Every image is there, but those whose name begins with `missing`."""
        return (
            None
            if isinstance(task.image, RegistryImage) and task.image.ref.startswith("missing")
            else f"fake:{task.image}"
        )

    def start(self, launch: Launch, turn: Turn) -> FakeHandle:
        """Note that it runs, once it is its turn."""
        name = f"start({launch.task.id})"
        assert self._plan is not None, f"{name}: called before prepare"
        assert launch.task in self._plan.tasks, f"{name}: a task of another plan"
        for folder in (launch.outputs, launch.scratch, launch.code, launch.state, launch.cache):
            assert folder is None or folder.is_dir(), f"{name}: {folder} is not a folder"
        for path in launch.inputs.values():
            assert path.exists(), f"{name}: there is no {path}"
        assert not any(launch.scratch.iterdir()), f"{name}: the scratch folder is not empty"
        turn.wait()
        handle = FakeHandle(launch)
        if problem := handle.setting("START_FAIL"):
            raise EnvironmentProblem(problem)
        with self._lock:
            assert not self._torn_down, f"{name}: called after teardown"
            self.handles.append(handle)
            self.most_at_once = max(self.most_at_once, sum(not each.waited for each in self.handles))
        return handle

    def adopt(self, launch: Launch, job: str) -> Adopted | None:
        """Nothing: a fake task dies with its process."""
        assert self._plan is not None, f"adopt({launch.task.id}): called before prepare"
        return None

    def await_engine(self, patience: float, given_up: threading.Event) -> bool:
        """It is back at once, unless a task said `forever`."""
        return "forever" not in self._gone.values()

    def logs(self, handle: Handle) -> Iterator[bytes]:
        """What `FAKE_LOG` says, then nothing until the task ends."""
        fake = self._known(handle, "logs")
        assert not fake.logs_read, f"logs({fake.launch.task.id}): called twice"
        assert fake.thread == threading.get_ident(), f"logs({fake.launch.task.id}): not from the thread that started it"
        fake.logs_read = True
        return self._run(fake)

    def watch(self, handle: Handle, gone: Callable[[], None]) -> None:
        """It says that with how they ended."""
        self._known(handle, "watch")

    def wait(self, handle: Handle) -> Exit:
        """How the environment says that it ended, or by which signal."""
        fake = self._known(handle, "wait")
        assert not fake.destroyed, f"wait({fake.launch.task.id}): called after destroy"
        fake.await_end()
        fake.waited = True
        name, gone = fake.launch.task.id, fake.setting("GONE")
        if gone and name not in self._gone:
            self._gone[name] = gone
            raise EngineGone("no engine answers")
        if fake.signal:
            return Exit(128 + fake.signal)
        if fake.setting("OOM"):
            return Exit(137, out_of_memory=True)
        return Exit(int(fake.setting("EXIT") or 0), error=fake.setting("ERROR"))

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """End its sleep."""
        fake = self._known(handle, "stop")
        if fake.waited or (fake.setting("STUBBORN") and not kill):
            return
        fake.signal = 9 if kill else 15
        fake.ended.set()

    def destroy(self, handle: Handle) -> None:
        """Note that it is gone."""
        fake = self._known(handle, "destroy")
        assert fake.waited, f"destroy({fake.launch.task.id}): called before wait"
        fake.destroyed = True

    def teardown(self) -> None:
        """Nothing may follow, and nothing may be left."""
        left = [handle.launch.task.id for handle in self.handles if not handle.destroyed]
        assert not left, f"teardown: called before destroy of {', '.join(left)}"
        self._torn_down = True

    def sweep(self, runs: Collection[int]) -> int:
        """Note which runs were asked for."""
        self.swept.extend(runs)
        return 0

    def _known(self, handle: Handle, verb: str) -> FakeHandle:
        assert isinstance(handle, FakeHandle), f"{verb}: a handle of another backend"
        assert handle in self.handles, f"{verb}: a handle of another backend"
        assert not self._torn_down, f"{verb}({handle.launch.task.id}): called after teardown"
        return handle

    @staticmethod
    def _run(fake: FakeHandle) -> Iterator[bytes]:
        if text := fake.setting("LOG"):
            yield text.encode()
        fake.await_end()
        if fake.signal:
            return
        for key, text in fake.launch.env.items():
            if key.startswith("FAKE_OUTPUT_"):
                place = fake.launch.outputs / key.removeprefix("FAKE_OUTPUT_")
                (place / "data" if place.is_dir() else place).write_text(text)
