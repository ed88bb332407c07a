"""What a task is given, and what it leaves, in the fake backend."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Project, job, tree
from wf.backends.base import Launch
from wf.errors import EnvironmentProblem
from wf.events import JobLog

ROOT = Path(__file__).parents[1]


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
    together = threading.Barrier(2)

    def meet(_: Launch) -> None:
        together.wait(60)

    project.run("a, b", a=job(state=True, does=meet), b=job(state=True, does=meet))

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
