"""Limits of what a job may take, in Docker."""

from pathlib import Path

import pytest

from tests.projects import make_project
from wf.cli import main

pytestmark = pytest.mark.docker


def test_a_job_starts_no_more_processes_than_it_may(
    base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system refuses the next one, the machine goes on, and the run says which limit it was."""
    workflow = f"""
        jobs:
          Bomb:
            uses: script@v1
            with: {{image: "{base_image}", script: "exec sh -c 'for n in $(seq 50); do sleep 20 & done'"}}
            resources: {{pids: 20}}
        """
    make_project(tmp_path, workflow)
    monkeypatch.chdir(tmp_path)

    assert main(["run", "workflow.yaml", "--backend", "docker"]) == 1
    told = capsys.readouterr().out
    assert (
        "exited with code 2; its log says that it could start no more than its 20 processes and threads: "
        "raise `resources.pids`"
    ) in told


def test_a_log_is_cut_at_its_limit(
    base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`wf logs` says so, and shows the end."""
    make_project(tmp_path, f"jobs: {{Talk: {{uses: script@v1, with: {{image: '{base_image}', script: seq 100000}}}}}}")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "workflow.yaml", "--backend", "docker", "--log-limit", "100KiB", "--output", "json"]) == 0
    capsys.readouterr()

    main(["logs", "1", "Talk"])

    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith(" lines before this one were cut: the log reached its limit, see `wf run --log-limit`]")
    assert lines == [str(number) for number in range(100001 - len(lines), 100001)]
    assert len(first) + sum(len(line) + 1 for line in lines) <= 102_400
