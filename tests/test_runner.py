"""`wf.runner`, with its scheduler and workers, in the fake backend."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Project, ScriptedBackend, job, plan, tree
from wf.backends.base import Launch
from wf.errors import EnvironmentProblem
from wf.events import Event, JobLog, JobStarted, RunFinished, RunStarted
from wf.runner import run_plan
from wf.secrets import Secrets
from wf.store import Store

ROOT = Path(__file__).parents[1]


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    return Project(tmp_path)


# Order


def test_jobs_follow_what_they_need(project: Project) -> None:
    """Each job starts after all that it needs, and the run succeeds when all have."""
    result = project.run("a -> b -> d, a -> c -> d")

    assert result.state == "succeeded"
    assert result.jobs == dict.fromkeys("abdc", "succeeded")
    order = project.starts_and_ends()
    for before, after in ("ab", "ac", "bd", "cd"):
        assert order.index(f"-{before}") < order.index(f"+{after}")


def test_at_most_so_many_at_once(project: Project) -> None:
    """No more jobs run at once than were asked for, and no fewer while there are enough that are ready."""
    busy = job(sleep=0.05)

    project.run("a, b, c, d, e", at_once=2, a=busy, b=busy, c=busy, d=busy, e=busy)

    assert project.backend.most_at_once == 2


def test_ready_jobs_start_in_the_order_of_the_plan(project: Project) -> None:
    """One at a time, independent jobs run in the order in which the workflow has them."""
    project.run("d, b, c, a", at_once=1)

    assert project.starts_and_ends() == ["+d", "-d", "+b", "-b", "+c", "-c", "+a", "-a"]


def test_no_barrier(project: Project) -> None:
    """A job starts when its own needs are done, while a slow job of their level still runs."""
    project.run("a -> b, slow", slow=job(sleep=0.5))

    assert project.starts_and_ends()[-1] == "-slow"
    assert "+b" in project.starts_and_ends()


# Failure


def test_failure_stops_dependents_only(project: Project) -> None:
    """A failed job's dependents are skipped, near and far, and say why; its siblings go on."""
    result = project.run("bad -> b -> c, sibling -> d", bad=job(exit=3), sibling=job(sleep=0.1))

    assert result.state == "failed"
    assert project.story() == [
        "bad failed: exited with code 3",
        "b skipped: it needs `bad`, which failed",
        "c skipped: it needs `b`, which was skipped",
        "sibling succeeded",
        "d succeeded",
    ]


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (job(exit=1), "exited with code 1"),
        (job(exit=139), "exited with code 139 (SIGSEGV)"),
        (job(exit=255), "exited with code 255"),
        (job(oom=True), "ran out of memory"),
        (job(oom=True, memory=2 << 30), "ran out of memory at 2048 MiB: raise `resources.memory`"),
        (job(error="the engine lost it"), "the engine lost it"),
        (job(start_fail="no such image"), "no such image"),
    ],
)
def test_failures_say_why(project: Project, what: job, error: str) -> None:
    """Each way to fail has its sentence, in the events and in the history."""
    project.run("a", a=what)

    assert project.story() == [f"a failed: {error}"]
    assert (project.job("a").state, project.job("a").error) == ("failed", error)


def test_a_bug_fails_its_job_only(project: Project) -> None:
    """An unexpected exception becomes the failure of one job; its task is destroyed and the others run."""

    def crash(_launch: Launch) -> None:
        raise ZeroDivisionError("oh")

    project.run("a, b", at_once=1, a=job(does=crash))

    assert project.story()[-2:] == ["a failed: a bug in wf: ZeroDivisionError: oh", "b succeeded"]
    assert 'raise ZeroDivisionError("oh")' in project.story()[0]


def test_timeout(project: Project) -> None:
    """A task that runs too long is stopped, has failed, and its dependents are skipped."""
    result = project.run("a -> b, c", a=job(sleep=30, timeout=0.1))

    assert result.state == "failed"
    assert project.story() == [
        "c succeeded",
        "a failed: timed out after 0.1 s",
        "b skipped: it needs `a`, which failed",
    ]


def test_timeout_kills_the_stubborn(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that ignores being asked to end is killed after the grace period."""
    monkeypatch.setattr("wf.runner.ending.GRACE", 0.1)

    project.run("a", a=job(sleep=30, timeout=0.1, stubborn=True))

    assert project.story() == ["a failed: timed out after 0.1 s"]
    assert project.job("a").exit_code == 137


def test_given_up(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose engine does not answer is given up after a while, the run ends, and the next `wf` sweeps."""
    monkeypatch.setattr("wf.runner.ending.GRACE", 0.05)
    monkeypatch.setattr("wf.runner.ending.PATIENCE", 0.05)
    freed = threading.Event()
    backend = ScriptedBackend({"a": lambda _launch: int(freed.wait(20))})
    backend.teardown = lambda: None  # type: ignore[method-assign] # the real one could not clean up either

    project.run_plan(plan("a", project.root, a=job(timeout=0.05)), backend=backend)
    freed.set()

    assert [run.id for run in project.store.history.recover()] == [1]
    assert project.story() == ["a failed: timed out after 0.05 s; it did not end when it was killed"]


def test_a_workflow_that_takes_too_long_is_stopped(project: Project) -> None:
    """What runs is stopped, what waits never starts, what has succeeded stays so, and the run says why it failed."""
    result = project.run("done -> slow -> late", timeout=0.3, slow=job(sleep=60))

    why = "the workflow timed out after 0.3 s"
    assert project.story() == ["done succeeded", f"late skipped: {why}", f"slow failed: {why}"]
    assert (result.state, project.store.history.run().error) == ("failed", why)


def test_a_workflow_that_ends_in_time_succeeds(project: Project) -> None:
    """Its timeout leaves no trace."""
    assert project.run("a -> b", timeout=60).state == "succeeded"
    assert project.store.history.run().error == ""


def test_history_that_cannot_be_written(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the history breaks in the middle of a run, what runs is killed, and the error is the run's."""

    def full(*_: object) -> None:
        raise EnvironmentProblem("disk full")

    monkeypatch.setattr(project.store.history, "finish_job", full)
    with pytest.raises(EnvironmentProblem, match="disk full"):
        project.run("a, b, c", a=job(sleep=0.3), b=job(sleep=60), c=job(sleep=60, stubborn=True))

    assert all(handle.destroyed for handle in project.backend.handles)
    run = project.store.history.run()
    assert (run.state, run.error) == ("failed", "disk full")
    assert {(each.state, each.error) for each in project.store.history.jobs(run.id)} == {
        ("cancelled", "the run broke off")
    }


# Preparing


def test_run_that_cannot_be_prepared_is_recorded(project: Project) -> None:
    """What the backend lacks is raised, and the history says that the run failed and why."""
    backend = ScriptedBackend(prepare_error="no Docker here")

    with pytest.raises(EnvironmentProblem, match="no Docker here"):
        project.run_plan(plan("a -> b", project.root), backend=backend)

    run = project.store.history.run()
    assert (run.state, run.error) == ("failed", "no Docker here")
    assert [(each.name, each.state) for each in project.store.history.jobs(run.id)] == [
        ("a", "skipped"),
        ("b", "skipped"),
    ]
    started, finished = project.events
    assert isinstance(started, RunStarted)
    assert (started.run, started.workflow, started.jobs) == (1, "flow.yaml", ("a", "b"))
    assert isinstance(finished, RunFinished)
    assert finished.state == "failed"


def test_missing_secrets_together(project: Project) -> None:
    """All secrets that are not set are named before anything starts; optional ones may be missing."""
    with pytest.raises(EnvironmentProblem, match=r"^secrets `KEY`, `TOKEN` are not set$"):
        project.run("a, b", a=job(secrets={"X": "TOKEN", "Z": "MAYBE?"}), b=job(secrets={"Y": "KEY"}))

    assert project.backend.handles == []


def test_unknown_dataset(project: Project) -> None:
    """A dataset that is not there fails the run before anything starts, and the message says how to make it."""
    with pytest.raises(EnvironmentProblem) as caught:
        project.run("a", a=job(inputs={"x": "dataset ratings"}))

    assert str(caught.value) == "there is no dataset `ratings` in this project"
    assert caught.value.hint == "Import it: `wf datasets import ratings PATH`."
    assert project.backend.handles == []


# What a task is given


def test_environment_and_secrets(project: Project) -> None:
    """A task's environment holds its variables and secrets; an optional secret that is not set leaves no variable."""
    project.run(
        "a",
        a=job(env={"A": "1"}, secrets={"KEY": "KEY", "NONE": "NONE?"}),
        secrets={"KEY": "hunter2"},
    )

    assert project.backend.launch("a").env == {"A": "1", "KEY": "hunter2"}


@pytest.mark.parametrize(
    ("what", "network"),
    [
        (job(), True),
        (job(network=False), False),
        (job(network=False, network_with=("KEY",)), False),
        (job(network=False, network_with=("KEY",), env={"KEY": "x"}), True),
        (job(network=False, network_with=("KEY",), secrets={"KEY": "S?"}), False),
    ],
)
def test_network(project: Project, what: job, network: bool) -> None:
    """A task has the network if it asks for it, or if a variable is set for which it wants it."""
    project.run("a", a=what)

    assert project.backend.launch("a").network is network


def test_inputs(project: Project) -> None:
    """Text arrives as a file of exactly its bytes; what another job wrote, as its artifact."""
    seen: dict[str, object] = {}

    def look(launch: Launch) -> None:
        seen["text"] = launch.inputs["text"].read_bytes()
        seen["word"] = launch.inputs["word"].read_bytes()
        seen["model"] = tree(launch.inputs["model"])

    project.run(
        "a -> b",
        a=job(outputs={"model": "volume", "word": "string"}, leaves={"model": "weights", "word": "yes\n"}),
        b=job(does=look, inputs={"text": "no newline, ü", "model": "a.outputs.model", "word": "a.outputs.word"}),
    )

    assert seen == {"text": "no newline, ü".encode(), "word": b"yes\n", "model": {"data": "weights"}}
    assert [(each.name, each.source) for each in project.job("b").inputs] == [
        ("model", "a.outputs.model"),
        ("text", ""),
        ("word", "a.outputs.word"),
    ]


def test_datasets_pass_between_runs(project: Project) -> None:
    """A dataset output becomes a version, which the next run reads by the dataset's name or by the version."""
    project.run("a", a=job(outputs={"out": "ratings"}, leaves={"out": "first"}))
    first = project.job("a").outputs[0].dataset
    project.run("a", a=job(outputs={"out": "ratings"}, leaves={"out": "second"}))
    seen: dict[str, dict[str, str]] = {}

    project.run(
        "a",
        a=job(
            inputs={"latest": "dataset ratings:latest", "bare": "dataset ratings", "old": f"dataset {first}"},
            does=lambda launch: seen.update({name: tree(path) for name, path in launch.inputs.items()}),
        ),
    )

    assert seen == {"latest": {"data": "second"}, "bare": {"data": "second"}, "old": {"data": "first"}}
    assert {each.name: each.source for each in project.job("a").inputs}["old"] == first


def test_code_of_steps(project: Project) -> None:
    """A step gets a snapshot of `steps/` with room for new bytecode; an edit makes a new one, no edit reuses it."""
    steps = project.root / "steps"
    (steps / "__pycache__").mkdir(parents=True)
    (steps / "__pycache__" / "x.pyc").write_text("")
    (steps / "train.py").write_text("first")

    def snapshot() -> Path:
        project.run("a, b", a=job(is_step=True), b=job())
        assert project.backend.launch("b").code is None
        code = project.backend.launch("a").code
        assert code is not None
        return code

    first, again = snapshot(), snapshot()
    (steps / "train.py").write_text("second")
    second = snapshot()

    assert first == again != second
    assert tree(first) == {"steps": "/", "steps/__pycache__": "/", "steps/train.py": "first"}
    assert tree(second) == {"steps": "/", "steps/__pycache__": "/", "steps/train.py": "second"}


def test_state_outlives_failure(project: Project) -> None:
    """A state folder is kept when the job fails, found again by the same job, and removed when it succeeds."""
    seen: list[dict[str, str]] = []

    def attempt(launch: Launch) -> int:
        assert launch.state is not None
        seen.append(tree(launch.state))
        (launch.state / "checkpoint").write_text("epoch 3")
        return 1 if len(seen) == 1 else 0

    for _ in range(3):
        project.run("a", a=job(state=True, does=attempt))

    assert seen == [{}, {"checkpoint": "epoch 3"}, {}]


def test_state_is_held_by_one(project: Project) -> None:
    """Of two equal jobs at the same time one gets the checkpoints and the other is told that it starts afresh."""
    project.run("a, b", a=job(state=True, sleep=0.2), b=job(state=True, sleep=0.2))

    assert project.backend.launch("a").state != project.backend.launch("b").state
    assert sum("holds its checkpoints" in line for line in project.story()) == 1


def test_cache_folder(project: Project) -> None:
    """A task that asks for it gets the project's folder for downloads."""
    project.run("a, b", a=job(cache=True))

    assert project.backend.launch("a").cache == project.store.layout.cache
    assert project.backend.launch("b").cache is None


# What a task leaves


def test_outputs_are_stored(project: Project) -> None:
    """Declared outputs lie in the store, a link leads to them, and the job's folder holds only its log."""
    project.run("a", a=job(outputs={"model": "volume"}, leaves={"model": "weights"}, log="hello\n"))

    (output,) = project.job("a").outputs
    assert tree(output.path) == {"data": "weights"}
    assert output.link.resolve() == output.path.resolve()
    assert (output.kind, output.bytes, output.files) == ("folder", 7, 1)
    assert tree(project.store.layout.run(1) / "jobs") == {"a": "/", "a/log": "hello\n"}


def test_missing_output(project: Project) -> None:
    """A job that does not write a declared string has failed, and stores nothing else either."""
    project.run("a", a=job(outputs={"model": "volume", "word": "string"}, leaves={"model": "x"}))

    assert project.story() == ["a failed: it did not write the file /outputs/word, which it declares as an output"]
    assert project.job("a").outputs == ()
    assert tree(project.store.layout.artifacts) == {}


def test_output_of_the_wrong_kind(project: Project) -> None:
    """A folder where a string was declared, or a link where a folder was, fails the job."""

    def link(launch: Launch) -> None:
        (launch.outputs / "x").rmdir()
        (launch.outputs / "x").symlink_to("/etc")

    project.run(
        "a, b",
        at_once=1,
        a=job(outputs={"x": "string"}, does=lambda launch: (launch.outputs / "x").mkdir()),
        b=job(outputs={"x": "volume"}, does=link),
    )

    assert project.story() == [
        "a failed: /outputs/x is not a file, as its type `string` demands",
        "b failed: /outputs/x is not a folder, as its type `volume` demands",
    ]


def test_undeclared_outputs_are_noted(project: Project) -> None:
    """What nobody declared is dropped, with a note; its name cannot drive the terminal."""
    project.run("a", a=job(leaves={"b": "x", "a\x1b[2J": "y"}))

    assert project.story() == ["a note: dropped /outputs/a, /outputs/b: not among the job's `outputs`", "a succeeded"]


def test_failed_jobs_leave_nothing(project: Project) -> None:
    """Nothing that a failed job wrote is kept, but its log."""
    project.run("a", a=job(exit=1, outputs={"model": "ratings"}, leaves={"model": "half"}, log="oops"))

    assert tree(project.store.layout.artifacts) == {}
    assert tree(project.store.layout.run(1)) == {"jobs": "/", "jobs/a": "/", "jobs/a/log": "oops\n"}
    with pytest.raises(EnvironmentProblem):
        project.store.datasets.find("ratings")


def _record(text: str) -> Callable[[Launch], None]:
    def write(launch: Launch) -> None:
        (launch.outputs / ".wf").mkdir()
        (launch.outputs / ".wf" / "metrics.json").write_text(text)

    return write


def test_metrics(project: Project) -> None:
    """The figures that a step records are in the history."""
    project.run("a", a=job(does=_record(json.dumps({"rmse": 1.03, "epochs": 5}))))

    assert project.story() == ["a succeeded"]
    assert project.job("a").metrics == {"epochs": 5.0, "rmse": 1.03}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": NaN}', "`a` is not a finite number"),
        ('{"a": true}', "`a` is not a finite number"),
        ('{"a": {"b": 1}}', "`a` is not a finite number"),
        ('{"a": 1' + "0" * 400 + "}", "`a` is not a finite number"),
        ("[1]", "metrics.json does not hold an object"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_useless_metrics_are_noted(project: Project, text: str, problem: str) -> None:
    """Metrics that are not numbers are dropped with a note that says what is wrong; the job has succeeded."""
    project.run("a", a=job(does=_record(text)))

    assert project.story() == [f"a note: dropped its metrics: {problem}", "a succeeded"]
    assert project.job("a").metrics == {}


# Logs


def test_log(project: Project) -> None:
    """Every line is in the events and in the log file, masked, without control characters, the last one too."""
    project.run(
        "a",
        a=job(log="one\r\n\x1b[31mtwo\x1b[0m hunter2\n\nlast", secrets={"KEY": "KEY"}),
        secrets={"KEY": "hunter2"},
    )

    lines = ["one", "two ***", "", "last"]
    assert [line for event in project.events if isinstance(event, JobLog) for line in event.lines] == lines
    assert project.job("a").log.read_text() == "\n".join(lines) + "\n"


def test_short_secret_is_warned_about(project: Project) -> None:
    """A secret too short to mask is not masked, and the user is told."""
    project.run("a", a=job(log="abc", secrets={"KEY": "KEY"}), secrets={"KEY": "abc"})

    assert project.story()[0] == "a note: the secret in KEY has less than 4 characters: its log shows it"


def test_secrets_are_nowhere(project: Project) -> None:
    """No file of the store holds the value of a secret, whatever the job does with it."""

    def leave_it_everywhere(launch: Launch) -> None:
        value = launch.env["KEY"]
        (launch.outputs / value).touch()
        _record(json.dumps({value: 1}))(launch)

    project.run(
        "a, b",
        a=job(secrets={"FAKE_LOG": "KEY", "FAKE_ERROR": "KEY"}),
        b=job(secrets={"KEY": "KEY"}, does=leave_it_everywhere),
        secrets={"KEY": "hunter2"},
    )
    project.store.close()

    for path in project.store.layout.folder.rglob("*"):
        assert b"hunter2" not in (path.read_bytes() if path.is_file() else str(path).encode())
    assert "hunter2" not in repr(project.events)


def test_broken_report_changes_nothing(tmp_path: Path) -> None:
    """A report that raises is left out; the run goes on, and the result says so."""
    calls: list[Event] = []

    def broken(event: Event) -> None:
        calls.append(event)
        if isinstance(event, JobStarted):
            raise BrokenPipeError("nobody reads")

    result = run_plan(
        plan("a -> b", tmp_path),
        backend=ScriptedBackend(),
        store=Store.open(tmp_path),
        secrets=Secrets(),
        emit=broken,
        jobs=2,
    )

    assert result.state == "succeeded"
    assert isinstance(calls[-1], JobStarted)
    assert result.warnings == ("the report broke and was left out: BrokenPipeError: nobody reads",)


def test_failing_teardown_is_a_warning(project: Project) -> None:
    """What cannot be removed after a run does not change how it went; it is said, and swept by the next `wf`."""

    def fails() -> None:
        raise EnvironmentProblem("the engine is gone")

    backend = ScriptedBackend()
    backend.teardown = fails  # type: ignore[method-assign]
    result = project.run_plan(plan("a", project.root), backend=backend)

    assert result.state == "succeeded"
    assert result.warnings == ("something of the run may be left in fake: the engine is gone",)
    assert [run.id for run in project.store.history.recover()] == [1]


# Signals

_CHILD = """
import signal
import sys
from pathlib import Path
from tests.harness import Project, job

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, wf ignores it as it should

class Loud(list):
    def append(self, event):
        print(type(event).__name__, getattr(event, "job", ""), flush=True)

root, graph, *words = sys.argv[1:]
project = Project(Path(root), events=Loud())
result = project.run(graph, at_once=2, a=job(sleep=60, stubborn="stubborn" in words))
print(result.state, dict(result.jobs), flush=True)
"""


def _start_child(root: Path, graph: str, *words: str) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(root), graph, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line == "JobStarted a\n":
            return child
    raise AssertionError("the child ended early")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_cancels(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM or a closed terminal end the run soon, and the history says that it was cancelled."""
    child = _start_child(tmp_path, "a -> b")
    began = time.monotonic()

    child.send_signal(number)
    output, _ = child.communicate(timeout=20)

    assert output.splitlines()[-1] == "cancelled {'a': 'cancelled', 'b': 'cancelled'}"
    assert time.monotonic() - began < 3
    history = Store.open(tmp_path).history
    assert history.run().state == "cancelled"
    assert [(each.state, each.error) for each in history.jobs(1)] == [("cancelled", "stopped by the user")] * 2


def test_second_signal_kills(tmp_path: Path) -> None:
    """A task that ignores the first Ctrl-C is killed by the second one at once."""
    child = _start_child(tmp_path, "a", "stubborn")
    began = time.monotonic()

    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)

    assert time.monotonic() - began < 3
    (record,) = Store.open(tmp_path).history.jobs(1)
    assert (record.state, record.exit_code) == ("cancelled", 137)


def test_signal_while_preparing(project: Project) -> None:
    """Ctrl-C while the backend prepares cancels the run before it starts anything."""
    backend = ScriptedBackend()

    def prepare(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    backend.prepare = prepare  # type: ignore[method-assign,assignment]
    result = project.run_plan(plan("a", project.root), backend=backend)

    assert (result.state, result.jobs) == ("cancelled", {"a": "cancelled"})
    assert project.store.history.run().state == "cancelled"
    assert project.job("a").state == "cancelled"


def test_killed_wf_is_noticed(tmp_path: Path) -> None:
    """After `kill -9` the run counts as interrupted, its leftovers are to be swept once, and only its log stays."""
    child = _start_child(tmp_path, "a -> b")
    assert Store.open(tmp_path).history.recover() == ()  # it still runs
    child.kill()
    child.communicate()
    store = Store.open(tmp_path)
    outputs = store.layout.job(1, "a").outputs
    assert outputs.is_dir()

    (left,) = store.history.recover()
    assert store.history.recover() == (store.history.run(1),)
    store.history.mark_swept([left.id])

    assert store.history.recover() == ()
    assert (left.id, left.backend) == (1, "fake")
    run = store.history.run(1)
    assert (run.state, run.error) == ("interrupted", "wf was killed")
    assert {(each.state, each.error) for each in store.history.jobs(1)} == {("cancelled", "wf was killed")}
    assert tree(store.layout.run(1)) == {"jobs": "/", "jobs/a": "/", "jobs/a/log": ""}


def test_two_runs_at_once(tmp_path: Path) -> None:
    """Two processes run in one project at the same time, with numbers and records of their own."""
    children = [_start_child(tmp_path, "a -> b") for _ in range(2)]

    project = Project(tmp_path)
    result = project.run("a")
    for child in children:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)

    assert result.run == 3
    assert [run.state for run in project.store.history.runs()] == ["succeeded", "cancelled", "cancelled"]
