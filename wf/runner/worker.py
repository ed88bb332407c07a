"""One task, carried out in a thread of its own.

A worker changes nothing but its job's folder and the artifacts, and tells the runner's thread the rest in messages.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from wf.backends.base import Exit, Handle, Launch, NotWantedError, Turn
from wf.cache import CacheKey
from wf.errors import EngineGone, WfError
from wf.logs import SHORTEST_SECRET, LineSplitter
from wf.plan import MODEL_INPUT, Task
from wf.project import project_id
from wf.runner.causes import why_failed
from wf.runner.gather import gather
from wf.runner.messages import Closed, Ended, Exited, Gone, Lines, Note, Started, Undone
from wf.runner.outputs import Collected, collect, create_output_folders
from wf.runner.results import Given, StoredInput
from wf.runner.shared import PATIENCE, Shared
from wf.store.claims import Claim, Holder
from wf.store.joblog import LogWriter
from wf.store.layout import JobFolder, in_use
from wf.store.state import StateFolder

ENGINE_PATIENCE = 120.0
"""Seconds that an engine which went away is waited for: restarting one, or a new version of it, takes that long."""

MOST_OUTAGES = 3
"""How often a job goes on after an engine went away."""

_ENDED_UNHEARD = "has ended well meanwhile; the engine keeps nothing that was printed while it was away"


class Worker:
    """Starts one task, reads its log, waits for it, removes its traces and stores what it has left."""

    def __init__(
        self,
        shared: Shared,
        task: Task,
        inputs: Mapping[str, Given],
        key: CacheKey,
        attempt: int = 1,
        claim: Claim | None = None,
        follows: Handle | None = None,
    ) -> None:
        self.turn = Turn(follows)
        """Given by the runner when there is room for the process."""
        self.told_to_end = threading.Event()
        """Set by the runner before it stops the task: whatever the task does then, it has not succeeded."""
        self.recorded = threading.Event()
        """Set by the runner once the history holds how the task ended."""
        self.left_traces = False
        """Whether something of it may be left in the backend, once it is joined."""
        self._held: ExitStack | None = None
        """What nobody else may remove before the history holds that this job left it."""
        self._shared = shared
        self._task = task
        self._inputs = inputs
        self._key = key
        self._attempt = attempt
        self._claim = claim
        self._folder: JobFolder = shared.layout.job(shared.run, task.id)
        self._outputs = self._folder.outputs
        self._splitter = LineSplitter(shared.masker)
        self._told = 0
        """Lines that were passed on."""
        self._known = 0
        """Lines that come once more, as the log is read from its beginning."""
        self._state: StateFolder | None = None
        self._handle: Handle | None = None
        self._thread = threading.Thread(target=self._work, name=f"job {task.id}", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own: all is made ready, and waits for its turn."""
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait until its traces are removed too, which is after `Ended`; whether they are in time."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        exit_, collected, error = None, None, ""
        try:
            self._folder.create(self._attempt)
            with LogWriter(self._folder.log, self._shared.log_limit) as log:
                exit_, collected, error = self._carry_out(log)
            for note in collected.notes if collected else ():
                self._note(note)
        except NotWantedError:
            pass  # nothing of it is there
        except WfError as problem:
            error = " ".join(filter(None, [str(problem), problem.hint]))
        except OSError as problem:
            error = ": ".join(str(part) for part in (problem.strerror or problem, problem.filename) if part)
        except Exception as bug:  # noqa: BLE001 -- one job's failure, whatever it is, must not take the run with it
            import traceback

            self._note("".join(traceback.format_exception(bug)))
            error = f"a bug in wf: {type(bug).__name__}: {bug}"
        if collected is None and self._held is not None:  # there is nothing to be recorded
            self._held.close()
            self._held = None
        if self.turn.is_given_up:
            self._remove_traces()
            self._undo_folder()
            self._shared.mailbox.tell(Undone(self._task.id))
        else:
            self._shared.mailbox.tell(Ended(self._task.id, exit_, collected, error, time.monotonic()))
            self._remove_traces()  # while the jobs that waited for this one start

    def _undo_folder(self) -> None:
        try:
            self._folder.undo()
        except OSError as problem:
            self._note(f"{problem.filename} could not be removed: {problem.strerror}")

    def _remove_traces(self) -> None:
        try:
            if self._handle is not None:
                self._shared.backend.destroy(self._handle)
        except Exception as problem:  # noqa: BLE001 -- the job has ended well or not: this is for the next `wf`
            self.left_traces = True
            self._note(f"something of it may be left: {problem}")
        if self._held is not None:
            with self._held:
                self.recorded.wait(PATIENCE)
        try:
            if self._state is not None:
                # Until the history holds what they led to, the checkpoints are all that a crash would leave.
                self._state.release(keep=not self.recorded.is_set())
            self._folder.clean()
        except OSError as problem:
            self._note(f"{problem.filename} could not be removed: {problem.strerror}")

    def _carry_out(self, log: LogWriter) -> tuple[Exit, Collected | None, str]:
        if self._task.model is not None:
            self.turn.wait()
            self._hold_content()
            return Exit(0), self._register_model(log), ""
        inputs = self._place_inputs()
        state = self._acquire_state()
        try:
            exit_ = self._through_outages(self._launch(inputs, state), state, log)
            if self.told_to_end.is_set() or (error := why_failed(exit_, self._task, self._folder.log)):
                return exit_, None, "" if self.told_to_end.is_set() else error
            self._shared.mailbox.tell(Exited(self._task.id))
            self._hold_content()
            collected = collect(self._task, self._outputs, self._shared.artifacts)
            self._state, state = state, None
            return exit_, collected, ""
        finally:
            if state is not None:
                state.release(keep=True)

    def _hold_content(self) -> None:
        """Let nobody remove what the store has already before it is recorded that this job left the same."""
        self._held = ExitStack()
        self._held.enter_context(in_use(self._shared.layout.artifacts))

    def _register_model(self, log: LogWriter) -> Collected:
        from wf.runner.register import register_model

        self._shared.mailbox.tell(Started(self._task.id, None, time.monotonic()))
        given = self._inputs[MODEL_INPUT]
        assert isinstance(given, StoredInput), "the compiler lets no text be a model"
        outputs, artifacts = self._folder.outputs, self._shared.artifacts
        collected, line = register_model(self._task, given.source, given.digest, outputs, artifacts)
        self._log([self._shared.masker.mask(line)], log)
        return collected

    def _through_outages(self, launch: Launch, state: StateFolder | None, log: LogWriter) -> Exit:
        """Execute it. An engine that goes away meanwhile is waited for, which is no failure of the job."""
        for outage in range(MOST_OUTAGES + 1):
            try:
                if outage:
                    return self._go_on_after_outage(launch, state, log)
                return self._go_on(launch, log) or self._execute(launch, log)
            except EngineGone as gone:
                self.left_traces = True
                if outage == MOST_OUTAGES:
                    raise
                self._note(f"{gone}: waiting for it, up to {ENGINE_PATIENCE:g} s")
                if not self._shared.backend.await_engine(ENGINE_PATIENCE, self.told_to_end):
                    raise
        raise AssertionError("the last outage raises")

    def _go_on_after_outage(self, launch: Launch, state: StateFolder | None, log: LogWriter) -> Exit:
        """Carry on with the process if it outlived its engine, or succeeded; else begin once more."""
        log.restart()
        self._splitter = LineSplitter(self._shared.masker)
        self._known = self._told
        if exit_ := self._go_on(launch, log):
            return exit_
        adopted = self._shared.backend.adopt(launch, self._task.id)
        if adopted is not None:
            self._note(f"the engine is back, and the job {_ENDED_UNHEARD if adopted.ended else 'outlived it'}")
            return self._follow(adopted.handle, time.monotonic() - adopted.age, log)
        self._note("the engine is back: the job starts once more")
        if self._handle is not None:
            self._shared.backend.destroy(self._handle)
            self._handle = None
        self._folder.renew()
        self._told = self._known = 0
        return self._execute(self._launch(self._place_inputs(), state), log)

    def _go_on(self, launch: Launch, log: LogWriter) -> Exit | None:
        """Carry on with what a killed `wf` had started for the same job, if that still runs or has succeeded."""
        left_by = self._claim.left_by if self._claim else None
        if left_by is None:
            return None
        self.turn.wait()
        left = self._shared.layout.job(left_by.run, left_by.job)
        started_then = replace(launch, run=left_by.run, outputs=left.outputs, scratch=left.scratch)
        adopted = self._shared.backend.adopt(started_then, left_by.job)
        if adopted is None:
            return None
        self._note(f"goes on where run {left_by.run} started it, whose wf was killed")
        exit_ = self._follow(adopted.handle, time.monotonic() - adopted.age, log)
        if all((left.outputs / output.name).exists() for output in self._task.outputs):
            self._outputs = left.outputs
            return exit_
        # What it left was on its way into the store.
        self._shared.backend.destroy(adopted.handle)
        self._splitter = LineSplitter(self._shared.masker)
        return None

    def _execute(self, launch: Launch, log: LogWriter) -> Exit:
        if self._claim is not None and self._claim.left_by is not None:
            self._claim.name(Holder(launch.run, launch.task.id))
        try:
            handle = self._shared.backend.start(launch, self.turn)
        except NotWantedError:
            raise
        except BaseException:
            self.left_traces = True  # an engine that is gone cannot take back what it had begun with
            raise
        return self._follow(handle, time.monotonic(), log)

    def _follow(self, handle: Handle, started: float, log: LogWriter) -> Exit:
        backend = self._shared.backend
        self._handle = handle
        self._shared.mailbox.tell(Started(self._task.id, handle, started))
        backend.watch(handle, lambda: self._shared.mailbox.tell(Gone(self._task.id, handle)))
        try:
            for chunk in backend.logs(handle):
                self._log(self._splitter.feed(chunk), log)
            self._log(self._splitter.finish(), log)
            self._shared.mailbox.tell(Closed(self._task.id))
        except EngineGone:
            raise
        except BaseException:
            backend.stop(handle, kill=True)
            backend.wait(handle)
            raise
        return backend.wait(handle)

    def _log(self, lines: list[str], log: LogWriter) -> None:
        if lines:
            log.write(lines)
            news = lines[self._known :]
            self._known -= len(lines) - len(news)
            if news:
                self._told += len(news)
                self._shared.mailbox.tell(Lines(self._task.id, news))

    def _note(self, message: str) -> None:
        self._shared.mailbox.tell(Note(self._task.id, message))

    def _place_inputs(self) -> dict[str, Path]:
        paths = {}
        for name, given in self._inputs.items():
            if isinstance(given, StoredInput):
                paths[name] = given.path
                continue
            self._folder.inputs.mkdir(exist_ok=True)
            paths[name] = self._folder.inputs / name
            if isinstance(given, str):
                paths[name].write_bytes(given.encode())
            else:
                gather({entry: part.path for entry, part in given.parts.items()}, given.index, paths[name])
        return paths

    def _acquire_state(self) -> StateFolder | None:
        if not self._task.state:
            return None
        state = StateFolder.acquire(self._shared.layout, self._key.digest)
        if state is None:
            self._note("the same job runs elsewhere and holds its checkpoints: this one starts from the beginning")
        return state

    def _launch(self, inputs: Mapping[str, Path], state: StateFolder | None) -> Launch:
        task, shared = self._task, self._shared
        values = {
            variable: shared.secrets[ref.name] for variable, ref in task.secrets.items() if ref.name in shared.secrets
        }
        for variable, value in values.items():
            if len(value) < SHORTEST_SECRET:
                self._note(f"the secret in {variable} has less than {SHORTEST_SECRET} characters: its log shows it")
        given = shared.control.environment(task.id, project_id(shared.layout.root)) if task.control else {}
        env = {**given, **task.env, **values}
        create_output_folders(task, self._folder.outputs)
        if task.state and state is None:
            self._folder.state.mkdir()
        return Launch(
            run=shared.run,
            task=task,
            env=env,
            inputs=inputs,
            outputs=self._folder.outputs,
            scratch=self._folder.scratch,
            network=task.network or any(variable in env for variable in task.network_with),
            code=shared.code.folder if task.is_step and shared.code else None,
            state=(state.path if state else self._folder.state) if task.state else None,
            cache=shared.layout.cache if task.cache else None,
            storage=None if task.is_step else shared.layout.storage,
        )
