"""Sentences about how a process ended."""

from pathlib import Path

import pytest

from tests.harness import job
from wf.backends.base import Exit
from wf.runner.causes import why_failed

TASK = job().task("a", ())


@pytest.mark.parametrize(
    "line",
    [
        "/script: fork: retry: Resource temporarily unavailable",
        "/script: 3: Cannot fork",
        "RuntimeError: can't start new thread",
        "OpenBLAS blas_thread_init: pthread_create failed for thread 3 of 8: Resource temporarily unavailable",
        "runtime: failed to create new OS thread (have 9 already; errno=11)",
        "java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory",
    ],
)
def test_the_limit_of_processes_is_named_where_the_log_tells_of_it(line: str, tmp_path: Path) -> None:
    """In the words of shells, Python, C, Go and Java; with the number, and what to raise."""
    log = tmp_path / "log"
    log.write_text(f"begins\n{line}\nends\n")

    assert why_failed(Exit(2, most_processes=64), TASK, log) == (
        "exited with code 2; its log says that it could start no more than its 64 processes and threads: "
        "raise `resources.pids`"
    )
    assert why_failed(Exit(2), TASK, log) == "exited with code 2"
    assert why_failed(Exit(0, most_processes=64), TASK, log) == ""


def test_a_signal_has_its_name(tmp_path: Path) -> None:
    """As a shell reports it: 128 and its number."""
    assert why_failed(Exit(139, most_processes=64), TASK, tmp_path / "none") == "exited with code 139 (SIGSEGV)"
    assert why_failed(Exit(255, most_processes=64), TASK, tmp_path / "none") == "exited with code 255"
