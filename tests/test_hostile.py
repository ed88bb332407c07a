"""Files and jobs that mean harm, or do it by accident. Bombs of YAML are in tests/fuzz."""

import json
from pathlib import Path

import pytest

from tests.harness import Project, job, story
from tests.projects import compile_text, make_project, problems_of
from wf.backends.base import Launch
from wf.cli import main
from wf.errors import InvalidWorkflow
from wf.source import excerpt, load

ESCAPES = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\x9b1A\rover\u202ereversed"


def test_a_workflow_cannot_drive_the_terminal_through_its_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither with raw characters in the file, which YAML forbids, nor with escaped ones in names."""
    monkeypatch.chdir(tmp_path)
    for text in (
        "jobs: {A: \x1b[2J}",
        f"jobs: {json.dumps({ESCAPES: {'uses': ESCAPES, 'needs': [ESCAPES], ESCAPES: 1}})}",
    ):
        make_project(tmp_path, text)
        assert main(["validate", "workflow.yaml"]) == 2
        printed = "".join(capsys.readouterr())
        assert not set(printed) & set("\x1b\x07\x9b\r\u202e")


def test_a_job_cannot_drive_the_terminal(tmp_path: Path) -> None:
    """Not through its log, nor names of files that it leaves, nor what the engine says of it."""
    project = Project(tmp_path)

    def leave(launch: Launch) -> None:
        (launch.outputs / "\x1b[2Jname").mkdir()

    project.run("a, b", a=job(log=ESCAPES + "\n", does=leave), b=job(error=ESCAPES))

    told = "".join(str(event.to_json()) for event in project.events) + "".join(story(project.events))
    assert not set(told) & set("\x1b\x07\x9b\r\u202e")
    assert project.job("a").log.read_text() == "overreversed\n"
    assert project.job("b").error == "red1A overreversed"


@pytest.mark.parametrize("place", ["env: {X: %s}", "with: {image: x, args: [%s]}", "outputs: {%s: {type: volume}}"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('"a\\0b"', "the character U+0000 is not allowed in text"),
        ('"a\\ud800b"', "this is not valid YAML: found invalid Unicode character escape code"),
    ],
)
def test_what_no_program_can_take_is_refused(tmp_path: Path, place: str, value: str, message: str) -> None:
    """Zero bytes, and halves of characters."""
    text = problems_of(tmp_path, f"jobs: {{A: {{uses: container@v1, {place % value}}}}}")

    assert text.startswith(f"error: {message}\n")


@pytest.mark.parametrize(
    "job",
    [
        "timeout: 1e300",
        "timeout: .inf",
        "timeout: .nan",
        "resources: {memory: " + "9" * 300 + "}",
        "resources: {memory: " + "9" * 300 + "GiB}",
        "resources: {cpus: 1e300}",
        "resources: {gpus: " + "9" * 300 + "}",
        "resources: {pids: " + "9" * 300 + "}",
        "retry: " + "9" * 300,
        "retry: {attempts: 2, backoff: 1e300}",
        "strategy: {matrix: {a: [1]}, max-parallel: 0}",
    ],
)
def test_gigantic_values_are_refused(tmp_path: Path, job: str) -> None:
    """With the place of each."""
    text = problems_of(tmp_path, f"jobs:\n  A:\n    uses: container@v1\n    with: {{image: x}}\n    {job}\n")

    assert "--> workflow.yaml:5:" in text


@pytest.mark.parametrize("name", ["../../etc", "a/b", "..", "a\\nb", "*"])
def test_names_stay_in_their_folders(tmp_path: Path, name: str) -> None:
    """Jobs, inputs and outputs name files: nothing in a name leads elsewhere."""
    text = problems_of(
        tmp_path,
        f'jobs: {{"{name}": {{uses: container@v1, with: {{image: x}}, outputs: {{"{name}": {{type: volume}}}}}}}}',
    )

    assert "cannot name a job" in text
    assert "cannot name a output" in text or "cannot name an output" in text


def test_names_that_look_like_options_are_only_names(tmp_path: Path) -> None:
    """A job may be called `--force`: nothing passes its name to a program."""
    project = Project(tmp_path)
    plan = compile_text(
        tmp_path,
        "jobs: {--force: {uses: container@v1, with: {image: x, args: [--help]}, outputs: {-rf: {type: volume}}}}",
    )

    assert [task.id for task in plan.tasks] == ["--force"]
    assert project.run_plan(plan).state == "succeeded"


def test_links_out_of_an_output_are_kept_as_links(tmp_path: Path) -> None:
    """What they point to is neither read, nor changed, nor given to the next job as content."""
    secret = tmp_path / "secret"
    secret.write_text("mine")
    secret.chmod(0o600)
    project = Project(tmp_path)

    def leave(launch: Launch) -> None:
        (launch.outputs / "folder" / "link").symlink_to(secret)
        (launch.outputs / ".wf").symlink_to(tmp_path)

    project.run("a", a=job(does=leave, outputs={"folder": "volume"}))

    (output,) = project.job("a").outputs
    assert (output.path / "link").is_symlink()
    assert output.bytes == 0
    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["volume", "string"])
def test_an_output_that_is_a_link_is_refused(tmp_path: Path, kind: str) -> None:
    """It could be any file of the machine."""
    project = Project(tmp_path)

    def leave(launch: Launch) -> None:
        place = launch.outputs / "x"
        if place.is_dir():
            place.rmdir()
        place.symlink_to("/etc")

    project.run("a", a=job(does=leave, outputs={"x": kind}))

    assert project.job("a").state == "failed"
    assert project.job("a").error.startswith("/outputs/x is not a ")


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file, and on the command line."""
    path = make_project(tmp_path, "inputs: {x: {type: string}}\njobs: {A: {uses: container@v1, with: {image: x}}}")
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "workflow.yaml", "--set", "x=\udcff"]) == 2
    path.write_bytes(b"jobs: \xff")

    with pytest.raises(InvalidWorkflow) as raised:
        load(path)

    assert excerpt(raised.value.problems[0]).startswith("error: this is not UTF-8 text\n")
