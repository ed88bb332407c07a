"""A sample of what `make together` does at length."""

from pathlib import Path

from tests.concurrency.together import play


def test_runs_at_once_do_each_job_once(tmp_path: Path) -> None:
    """Five runs of overlapping workflows: no job is done twice, none waits for ever, nothing is left."""
    assert play(0, 7, tmp_path, at_once=5) == ""
