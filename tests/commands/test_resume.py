"""`wf resume`: what a run had finished stays finished."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from wf.cli import main

WORKFLOW = """
jobs:
  Make:
    uses: script@v1
    with: {image: BASE, script: "date +%N > /outputs/x/file; echo made"}
    outputs: {x: {type: volume}}
  Wait:
    needs: [Make]
    uses: script@v1
    with:
      image: BASE
      script: |
        for i in 1 2 3 4 5 6; do echo tick $i; sleep 0.5; done
        test ! -e /storage/fail && cat /inputs/x/file > /outputs/y/file
    inputs: {x: Make.outputs.x}
    outputs: {y: {type: volume}}
"""


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base_image: str) -> Path:
    (tmp_path / "wf.toml").touch()
    (tmp_path / "flow.yaml").write_text(WORKFLOW.replace("BASE", base_image))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kill_when(text: str, project: Path, command: str = "run flow.yaml") -> None:
    """Start `wf`, and kill it when its second job prints a text."""
    words = [sys.executable, "-m", "wf", *command.split(), "--output", "plain"]
    with subprocess.Popen(words, cwd=project, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if text in line:
                child.send_signal(signal.SIGKILL)
                break


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed about jobs, without the times of day and the end."""
    return [line[10:] for line in capsys.readouterr().out.split("\n\n")[0].splitlines()[1:]]


def project_label() -> str:
    """By what the engine knows this project."""
    from hashlib import sha256

    return sha256(os.fsencode(Path.cwd())).hexdigest()[:12]


def containers() -> list[str]:
    """Those of this project that are left."""
    from wf.backends.engine import find_engine

    client = find_engine().connect()
    return [each["Id"] for each in client.containers(all=True, filters={"label": f"wf.project={project_label()}"})]


@pytest.mark.docker
def test_a_container_of_a_killed_wf_is_adopted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was never stopped, its log is whole, its result is stored; what had finished stays, and nothing is left."""
    kill_when("tick 2", project)
    (container,) = [each for each in containers() if "holder" not in each][:1] or [""]
    main(["runs"])
    assert "interrupted" in capsys.readouterr().out
    assert container in containers()

    assert main(["resume", "--output", "plain"]) == 0

    told = lines(capsys)
    assert told[:4] == [
        "run 1: goes on; finished there: `Make`; left to do: `Wait`",
        "Make ✓ cached from run 1",
        "Wait ! goes on where run 1 started it, whose wf was killed",
        "Wait ▶ started: it did not end in run 1",
    ]
    assert told[4:-1] == [f"Wait │ tick {number}" for number in range(1, 7)]
    log = project / ".wf/runs/2/jobs/Wait/log"
    assert log.read_text().splitlines() == [f"tick {number}" for number in range(1, 7)]
    outputs = project / ".wf/runs/2/outputs"
    assert (outputs / "Wait/y/file").read_text() == (outputs / "Make/x/file").read_text()
    assert containers() == []
    assert list((project / ".wf/claims").iterdir()) == []
    assert main(["fsck"]) == 0


@pytest.mark.docker
def test_a_container_that_ended_meanwhile_counts(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`wf run` takes it over as well: the job is the same."""
    kill_when("tick 5", project)
    its = ["--filter", f"label=wf.project={project_label()}", "--filter", "label=wf.job=Wait"]
    words = ["docker", "ps", "--all", "--quiet", *its, "--filter", "status=exited"]
    while not subprocess.run(words, capture_output=True, text=True, check=True).stdout:
        time.sleep(0.1)
    since = str(time.time())

    assert main(["run", "flow.yaml", "--output", "plain"]) == 0

    assert "Wait ! goes on where run 1 started it, whose wf was killed" in lines(capsys)
    words = ["docker", "events", "--since", since, "--until", str(time.time()), *its]
    told = subprocess.run([*words, "--format", "{{.Action}}"], capture_output=True, text=True, check=True).stdout
    assert set(told.split()) == {"destroy"}
    assert containers() == []


@pytest.mark.docker
def test_a_failed_run_goes_on(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What has changed since is said, and not taken; a resumed run is not resumed twice."""
    storage = project / ".wf/storage"
    storage.mkdir(parents=True)
    (storage / "fail").touch()
    assert main(["run", "flow.yaml", "--output", "plain"]) == 1
    (storage / "fail").unlink()
    (project / "flow.yaml").write_text((project / "flow.yaml").read_text().replace("tick", "tock"))
    capsys.readouterr()

    assert main(["resume", "flow.yaml", "--output", "plain"]) == 0
    out, err = capsys.readouterr()
    assert err == (
        "note: flow.yaml has changed since: run 1 goes on as it was; `wf run flow.yaml` takes what is there now\n"
    )
    assert "tick 1" in out

    main(["show"])
    assert capsys.readouterr().out.startswith("run      2  flow.yaml\nresumes  run 1\nstate    succeeded after ")
    main(["show", "--json"])
    assert json.loads(capsys.readouterr().out)["resumes"] == 1
    assert main(["resume", "1"]) == 2
    assert capsys.readouterr().err == dedent(
        """\
        error: run 1 was resumed as run 2
          `wf resume 2` goes on with that, if it is unfinished

        1 error
        """
    )


@pytest.mark.docker
def test_a_resumed_run_that_is_killed_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next one finds the container of the first, and takes over what any of them had finished."""
    kill_when("tick 1", project)
    kill_when("tick 2", project, "resume")

    assert main(["resume", "--output", "plain"]) == 0

    told = lines(capsys)
    assert told[:3] == [
        "run 2: goes on; finished there: `Make`; left to do: `Wait`",
        "Make ✓ cached from run 1",
        "Wait ! goes on where run 1 started it, whose wf was killed",
    ]
    assert containers() == []


@pytest.mark.parametrize(
    ("ref", "message", "hint"),
    [
        ((), "no run is unfinished", "`wf runs` lists them"),
        (("flow.yaml",), "no run of `flow.yaml` is unfinished", "`wf runs` lists them"),
        (("7",), "there is no run `7`", "`wf runs` lists them"),
        (("1",), "run 1 has succeeded", "`wf run flow.yaml` is quick"),
    ],
)
def test_what_cannot_be_resumed(
    ref: tuple[str, ...],
    message: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is said why."""
    from tests.harness import Project

    Project(tmp_path).run("a")
    monkeypatch.chdir(tmp_path)

    assert main(["resume", *ref]) == 2
    assert capsys.readouterr().err == f"error: {message}\n  {hint}\n\n1 error\n"
