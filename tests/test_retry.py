"""`retry:` of jobs: when they are tried again, and what is kept of each attempt."""

from pathlib import Path
from typing import Any

import pytest

from tests.harness import Clock, Project, job, tree
from tests.projects import compile_text
from wf.cli import main
from wf.events import AttemptFailed, Event, JobFinished, JobStarted
from wf.plan import Retry


@pytest.mark.parametrize(
    ("written", "retry"),
    [
        ("3", Retry(3)),
        ("{attempts: 3, backoff: 10}", Retry(3, 10)),
        ("{attempts: 3, backoff: 2m}", Retry(3, 120)),
        ("{attempts: 2, on: [timeout, oom]}", Retry(2, 0, ("timeout", "oom"))),
    ],
)
def test_retries_are_understood(tmp_path: Path, written: str, retry: Retry) -> None:
    """A number of attempts, or more."""
    plan = compile_text(tmp_path, f"jobs: {{A: {{uses: container@v1, with: {{image: x}}, retry: {written}}}}}")

    assert plan.task("A").retry == retry


def test_pauses_grow_but_not_for_ever() -> None:
    """Each is twice as long as the one before, up to an hour."""
    retry = Retry(100, 10)

    assert [retry.pause(attempt) for attempt in (1, 2, 3, 9, 10, 99)] == [10, 20, 40, 2560, 3600, 3600]


def fails(times: int) -> Any:
    """What a job does that fails so often, and leaves something each time."""
    left = [times]

    def act(launch: Any) -> int:
        left[0] -= 1
        (launch.outputs / "half").write_text("from a failed attempt" if left[0] >= 0 else "whole")
        return 1 if left[0] >= 0 else 0

    return act


def test_a_job_is_tried_until_it_succeeds(project: Project) -> None:
    """Its failed attempts are told and kept, and nothing that they left is seen."""
    again = job(log="hello\n", does=fails(2), retry=Retry(3), outputs={"half": "string"})

    result = project.run("a -> b", a=again)

    assert result.state == "succeeded"
    assert [
        (each.attempt, each.attempts, each.error) for each in project.events if isinstance(each, AttemptFailed)
    ] == [
        (1, 3, "exited with code 1"),
        (2, 3, "exited with code 1"),
    ]
    assert [each.attempt for each in project.events if isinstance(each, JobStarted)] == [1, 2, 3, 1]
    record = project.job("a")
    assert record.outputs[0].path.read_text() == "whole"
    assert [(each.attempt, each.exit_code, each.error) for each in record.attempts] == [
        (1, 1, "exited with code 1"),
        (2, 1, "exited with code 1"),
    ]
    assert tree(record.log.parent) == dict.fromkeys(["log", "log.1", "log.2"], "hello\n")


def test_after_the_last_attempt_it_has_failed(project: Project) -> None:
    """With the error of that one."""
    project.run("a -> b", a=job(exit=3, retry=Retry(2)))

    assert project.story() == ["a failed: exited with code 3", "b skipped: it needs `a`, which failed"]
    assert len(project.job("a").attempts) == 1


@pytest.mark.parametrize(
    ("on", "how", "attempts"),
    [
        (("error",), {"exit": 1}, 2),
        (("timeout", "oom"), {"exit": 1}, 1),
        (("oom",), {"oom": True}, 2),
        (("error",), {"oom": True}, 1),
        (("timeout",), {"sleep": 9, "timeout": 0.1}, 2),
        (("error",), {"sleep": 9, "timeout": 0.1}, 1),
        (("error",), {"start_fail": "no such image"}, 2),
        (("error",), {"outputs": {"x": "string"}}, 2),
    ],
)
def test_only_some_failures_are_tried_again(project: Project, on: Any, how: dict[str, Any], attempts: int) -> None:
    """By their causes."""
    project.run("a", a=job(retry=Retry(2, 0, on), **how))

    assert len(project.job("a").attempts) + 1 == attempts


def test_other_jobs_run_in_a_pause(project: Project, clock: Clock) -> None:
    """A job that waits for its next attempt takes no room."""

    def listen(event: Event) -> None:
        if isinstance(event, JobFinished) and event.job == "b":
            clock.move_on(60)

    project.emit = listen

    project.run("a, b", at_once=1, a=job(does=fails(1), retry=Retry(2, 60)))

    assert project.starts_and_ends() == ["+a", "+b", "-b", "+a", "-a"]


@pytest.mark.docker
def test_attempts_are_told_apart(
    base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the report, in `wf show` and in `wf logs`."""
    compile_text(
        tmp_path,
        f"""
        jobs:
          Flaky:
            uses: script@v1
            retry: 3
            with:
              image: {base_image}
              script: |-
                echo "try $(ls /storage | wc -l), found $(ls /outputs/left | wc -l)"
                touch /outputs/left/file /storage/$(ls /storage | wc -l)
                test -e /storage/1
            outputs: {{left: {{type: volume}}}}
        """,
    )
    monkeypatch.chdir(tmp_path)

    assert main(["run", "workflow.yaml", "--backend", "docker", "--output", "plain"]) == 0
    out = capsys.readouterr().out
    assert "Flaky ↻ attempt 1 of 3 failed after " in out
    assert "Flaky ▶ started, attempt 2 of 3\n" in out
    assert main(["logs", "1", "Flaky", "--attempt", "1"]) == 0
    assert main(["logs", "1", "Flaky"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "try 0, found 0\ntry 1, found 0\n"
    assert printed.err == "this was attempt 2; `--attempt 1` prints the one before\n"
    main(["show", "1"])
    assert "  attempt  1 failed after " in capsys.readouterr().out
    assert main(["logs", "1", "Flaky", "--attempt", "7"]) == 2
