"""`wf run`, and `wf runs`, `show` and `logs` afterwards: the true program on a small project, as processes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.projects import REPOSITORY
from wf.backends.local import _processes_with

STEP = """
import time
from pathlib import Path
from steps.entry import Step, StepError, StepInputs, run_step

class Inputs(StepInputs):
    word: str = "hello"
    seconds: float = 0
    path: Path | None = None

STEP = Step("say", "Say a word.", inputs=Inputs, reads={"before": "words"}, writes={"after": "words"},
            optional=frozenset({"before"}))

def run(inputs, work):
    print(inputs.word, flush=True)
    end = time.monotonic() + inputs.seconds
    while time.monotonic() < end:
        time.sleep(0.05)  # a signal that comes in the moment before does not end a sleep
    if inputs.word == "no":
        raise StepError("it said no")
    text = inputs.path.read_text() if inputs.path else inputs.word
    (work.output("after") / "word.txt").write_text(text)
    work.record({"letters": len(text)})

def main(argv=None):
    return run_step(STEP, run, argv)

if __name__ == "__main__":
    raise SystemExit(main())
"""
NO_DOCKER = "no Docker engine answers at unix:///nowhere.sock: nothing listens there"
WORKFLOW = """
inputs: {word: {type: string, with: {value: hello}}, seconds: {type: string, with: {value: 0}}}
jobs:
  First:
    uses: ./steps/say
    with: {word: workflow.inputs.word, seconds: workflow.inputs.seconds}
    outputs: {after: {type: dataset, with: {ref: words}}}
  Second:
    needs: [First]
    uses: ./steps/say
    with: {word: bye}
    inputs: {before: First.outputs.after}
    outputs: {after: {type: volume}}
"""


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str


class Small:
    """A project with one step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "wf.toml").touch()
        steps = folder / "steps"
        steps.mkdir()
        shutil.copy(REPOSITORY / "steps" / "entry.py", steps)
        (steps / "__init__.py").write_text('STEPS = {"say": "steps.say"}\n')
        (steps / "say.py").write_text(STEP)
        (folder / "say.yaml").write_text(WORKFLOW)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "wf", *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DOCKER_HOST": "unix:///nowhere.sock"},
        )

    def wf(self, *words: str) -> Ended:
        """Run a command, without Docker; times that differ from run to run are shown as `0.0 s`."""
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, re.sub(r"\d+\.\d s\b", "0.0 s", out), err)


@pytest.fixture(name="small")
def _small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def test_a_run_tells_what_happens_and_what_came_out(small: Small) -> None:
    """Plain lines where there is no terminal, then the summary."""
    ended = small.wf("run", "say.yaml")

    assert (ended.code, ended.err) == (0, "")
    lines = [re.sub(r"^\d\d:\d\d:\d\d", "12:00:00", line) for line in ended.out.splitlines()]
    version = re.search(r"words:(\w{7})", ended.out)
    assert version
    assert lines == [
        f"12:00:00  run 1 of say.yaml in process: {NO_DOCKER}",
        "12:00:00  First  ▶ started",
        "12:00:00  First  │ hello",
        "12:00:00  First  ✓ succeeded in 0.0 s",
        "12:00:00  Second ▶ started",
        "12:00:00  Second │ bye",
        "12:00:00  Second ✓ succeeded in 0.0 s",
        "",
        "run 1 succeeded in 0.0 s",
        "",
        "✓ First   0.0 s",
        "✓ Second  0.0 s",
        "",
        "outputs",
        f"  First.after   words:{version[1]}  5 B  .wf/runs/1/outputs/First/after",
        "  Second.after                 3 B  .wf/runs/1/outputs/Second/after",
        "",
        "metrics",
        "  First.letters   5",
        "  Second.letters  3",
        "",
        "next: wf show 1",
    ]
    assert (small.folder / ".wf/runs/1/outputs/First/after/word.txt").read_text() == "hello"


def test_a_second_run_does_nothing_again(small: Small) -> None:
    """What has run before with all the same is taken from the store; a change says what it makes run."""
    small.wf("run", "say.yaml")

    again = small.wf("run", "say.yaml").out
    changed = small.wf("run", "say.yaml", "--set", "word=hi").out
    forced = small.wf("run", "say.yaml", "--force", "Second").out

    assert [line[10:] for line in again.splitlines()[1:3]] == [
        "First  ✓ cached from run 1",
        "Second ✓ cached from run 1",
    ]
    assert "✓ First   cached from run 1\n✓ Second  cached from run 1\n" in again
    assert '  First  ▶ started: with.word "hello" -> "hi"\n' in changed
    assert "  Second ▶ started: input before changed\n" in changed
    assert "  Second ▶ started: forced\n" in forced


def test_a_job_that_is_not_there_cannot_be_forced(small: Small) -> None:
    """With the jobs that are."""
    ended = small.wf("run", "say.yaml", "--force", "Third")

    assert ended.code == 2
    assert ended.err == ("error: the workflow has no job `Third` to force\n  it has `First`, `Second`\n\n1 error\n")


def test_a_failed_job_shows_the_end_of_its_log_and_where_the_rest_is(small: Small) -> None:
    """Exit code 1; what needs the job is skipped."""
    ended = small.wf("run", "say.yaml", "--set", "word=no")

    assert (ended.code, ended.err) == (1, "")
    assert ended.out.split("\n\n", 1)[1] == (
        "run 1 failed after 0.0 s\n"
        "\n"
        "✗ First   0.0 s  exited with code 1\n"
        "- Second         it needs `First`, which failed\n"
        "\n"
        "First ended with\n"
        "  │ no\n"
        "  │ error: it said no\n"
        "its whole log: wf logs 1 First\n"
        "\n"
        "next: wf show 1\n"
    )


def test_json_is_one_event_a_line(small: Small) -> None:
    """For programs: nothing else is printed."""
    ended = small.wf("run", "say.yaml", "--output", "json")

    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [event["event"] for event in events if event["event"] != "Preparing"] == [
        "RunStarted",
        *["JobStarted", "JobLog", "JobFinished"] * 2,
        "RunFinished",
    ]
    assert events[-1]["state"] == "succeeded"


def test_wrong_parameters_end_before_anything_starts(small: Small) -> None:
    """Exit code 2, and no run is recorded."""
    ended = small.wf("run", "say.yaml", "--set", "seconds=soon")

    assert ended.code == 2
    assert ended.err == (
        "error: job `First`: `with.seconds` must be a valid number, not `soon`\n"
        " --> say.yaml:6:49\n"
        "  |\n"
        "6 |     with: {word: workflow.inputs.word, seconds: workflow.inputs.seconds}\n"
        "  |                                                 ^^^^^^^^^^^^^^^^^^^^^^^\n"
        "\n"
        "1 error\n"
    )
    assert not (small.folder / ".wf").exists()


def test_docker_that_is_asked_for_and_not_there_ends_with_3(small: Small) -> None:
    """With what to do."""
    ended = small.wf("run", "say.yaml", "--backend", "docker")

    assert ended.code == 3
    assert ended.err == (
        f"error: {NO_DOCKER}\n"
        "  Start Docker, or set DOCKER_HOST to where it listens. Steps also run without: `--backend process`.\n"
    )


def test_actions_that_need_an_image_say_so_without_docker(small: Small) -> None:
    """All of them together, with exit code 3, and the run is recorded."""
    (small.folder / "images.yaml").write_text(
        "jobs: {A: {uses: container@v1, with: {image: x}}, B: {uses: container@v1, with: {image: x}}}"
    )

    ended = small.wf("run", "images.yaml")

    assert ended.code == 3
    assert ended.err == (
        "error: job `A` uses `container@v1`, which needs an image and so Docker\n"
        "job `B` uses `container@v1`, which needs an image and so Docker\n"
        "  `wf doctor` says what Docker lacks here.\n"
    )
    assert "run 1 failed before its first job\n" in ended.out


def test_missing_secrets_are_named_together(small: Small) -> None:
    """Before anything starts."""
    (small.folder / "say.yaml").write_text(
        "jobs: {A: {uses: ./steps/say, env: {X: 'secret:ONE', Y: 'secret:TWO', Z: 'secret:THREE?'}, "
        "outputs: {after: {type: volume}}}}"
    )

    ended = small.wf("run", "say.yaml")

    assert ended.code == 3
    assert ended.err.startswith("error: secrets `ONE`, `TWO` are not set\n")


def test_ctrl_c_stops_within_seconds_and_leaves_a_clear_record(small: Small) -> None:
    """Exit code 130; the running job and the waiting one are cancelled."""
    process = small.start("run", "say.yaml", "--set", "seconds=60")
    assert process.stdout
    while "First  │ hello" not in process.stdout.readline():
        pass

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert err == "error: stopped\n"
    assert "run 1 cancelled after" in out
    shown = json.loads(small.wf("show", "--json").out)
    assert [(job["name"], job["state"]) for job in shown["jobs"]] == [("First", "cancelled"), ("Second", "cancelled")]
    assert shown["jobs"][0]["exit_code"] == 143  # it was not waited for until it had to be killed


def test_runs_are_listed_newest_first(small: Small) -> None:
    """With their state; also as JSON."""
    small.wf("run", "say.yaml")
    small.wf("run", "say.yaml", "--set", "word=no")

    listed = small.wf("runs").out.splitlines()

    assert listed[0].split() == ["run", "workflow", "state", "started", "took"]
    assert [line.split()[:3] for line in listed[1:]] == [["2", "say.yaml", "failed"], ["1", "say.yaml", "succeeded"]]
    assert [run["state"] for run in json.loads(small.wf("runs", "--json", "-n", "1").out)] == ["failed"]


def test_a_run_is_shown_with_what_it_read_and_left(small: Small) -> None:
    """Inputs, lineage, outputs, metrics."""
    small.wf("run", "say.yaml", "--set", "word=hi")

    shown = small.wf("show", "1").out

    version = re.search(r"words:\w{7}", shown)
    assert version
    assert re.sub(r"started  .*", "started  ...", shown) == (
        "run      1  say.yaml\n"
        "state    succeeded after 0.0 s\n"
        "started  ...\n"
        "backend  process\n"
        "inputs   seconds=0, word=hi\n"
        "\n"
        "First: succeeded after 0.0 s\n"
        f"  left     after = {version[0]}  2 B in 1 file  .wf/runs/1/outputs/First/after\n"
        "  metric   letters = 2\n"
        "\n"
        "Second: succeeded after 0.0 s\n"
        "  read     before <- First.outputs.after\n"
        "  left     after  3 B in 1 file  .wf/runs/1/outputs/Second/after\n"
        "  metric   letters = 3\n"
    )


def test_logs_of_one_job_and_of_all(small: Small) -> None:
    """One job's lines as they are; of all jobs each line with its job's name."""
    small.wf("run", "say.yaml")

    assert small.wf("logs", "1", "second").out == "bye\n"
    assert small.wf("logs").out == "First  | hello\nSecond | bye\n"
    assert small.wf("logs", "latest", "First", "--tail", "0").out == ""
    assert json.loads(small.wf("logs", "1", "Second", "--json").out) == {
        "run": 1,
        "jobs": [{"name": "Second", "state": "succeeded", "lines": ["bye"]}],
    }


def test_logs_can_be_followed_while_the_job_runs(small: Small) -> None:
    """The first line is there before the job ends, and following ends with it."""
    run = small.start("run", "say.yaml", "--set", "seconds=300")
    while not (small.folder / ".wf/runs/1/jobs/First/log").exists():
        time.sleep(0.05)

    followed = small.start("logs", "1", "First", "--follow")
    assert followed.stdout
    first = followed.stdout.readline()
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)

    assert first == "hello\n"
    assert followed.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "7"), "error: there is no run `7`\n  the last one is 1\n\n1 error\n"),
        (("logs", "1", "--follow"), "error: `--follow` needs a job\n  write `wf logs RUN JOB --follow`\n\n1 error\n"),
        (("logs", "1", "Third"), "error: run 1 has no job `Third`\n  it has `First`, `Second`\n\n1 error\n"),
    ],
)
def test_what_is_not_there_is_told(small: Small, words: tuple[str, ...], message: str) -> None:
    """Runs and jobs by the wrong name."""
    small.wf("run", "say.yaml")

    ended = small.wf(*words)

    assert (ended.code, ended.err) == (2, message)


@pytest.mark.parametrize("command", ["runs", "show", "logs"])
def test_a_project_where_nothing_has_run(small: Small, command: str) -> None:
    """Looking back leaves no trace, and says how to start."""
    ended = small.wf(command)

    assert ended.code == 2
    assert ended.err == (f"error: nothing has run in `{small.folder}` yet\n  start with `wf run FILE`\n\n1 error\n")
    assert not (small.folder / ".wf").exists()


def test_a_killed_wf_is_noticed_by_the_next_command(small: Small) -> None:
    """Its run is marked as interrupted and its process is gone."""
    process = small.start("run", "say.yaml", "--set", "seconds=60")
    assert process.stdout
    while "First  │ hello" not in process.stdout.readline():
        pass

    mark = b"WF_OUTPUTS=%s/" % os.fsencode(small.folder)
    assert _processes_with(mark)

    process.kill()
    process.communicate()

    assert small.wf("runs").out.splitlines()[1].split()[:3] == ["1", "say.yaml", "interrupted"]
    deadline = time.monotonic() + 60
    while _processes_with(mark):  # its guardian may still be at it
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_file_of_this_machine_reaches_the_step(small: Small) -> None:
    """A parameter that is a path, relative to the project."""
    (small.folder / "mine.txt").write_text("from a file")
    (small.folder / "say.yaml").write_text(
        "jobs: {A: {uses: ./steps/say, with: {path: mine.txt}, outputs: {after: {type: volume}}}}"
    )

    assert small.wf("run", "say.yaml").code == 0
    assert (small.folder / ".wf/runs/1/outputs/A/after/word.txt").read_text() == "from a file"
