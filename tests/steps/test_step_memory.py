"""Memory of the steps that prepare data: it does not grow with the table."""

import subprocess
import sys
from pathlib import Path

import polars as pl

from tests.projects import REPOSITORY

SMALL_PARTS = """
import re, sys
from importlib import import_module
from pathlib import Path
from steps import partitions, row_batches
row_batches.BATCH, partitions.ROWS = 2**14, 2**16
code = import_module(f"steps.{sys.argv[1]}").main(sys.argv[2:])
print("peak:", re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
raise SystemExit(code)
"""
"""Runs a step that sees smaller parts of its table than it would, so that fewer rows show whether memory grows."""


def write_ratings(folder: Path, rows: int) -> None:
    """Raw ratings of which some repeat others."""
    folder.mkdir(parents=True)
    number = pl.int_range(rows)
    frame = pl.select(
        user_id=pl.format("user number {}", number * 7919 % 1000),
        item_id=(number // 1000 % 50).cast(pl.String),
        rating=(number % 5 + 1).cast(pl.Float64),
        timestamp=number % (rows // 2) + 1,
        unparsed=pl.lit(None, pl.String),
    )
    frame.write_parquet(folder / "ratings.parquet", row_group_size=2**14)
    (folder / "dataset.json").write_text('{"name": "made up", "rating_min": 1, "rating_max": 5}')


def peak_of(step: str, folder: Path, *flags: str) -> int:
    """The peak of a step's resident memory in MiB; its inputs and outputs are in the same folder."""
    finished = subprocess.run(
        [sys.executable, "-c", SMALL_PARTS, step, *flags, f"--inputs-dir={folder}", f"--outputs-dir={folder / 'out'}"],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return int(finished.stdout.rpartition("peak:")[2]) >> 10


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """Six times as many rows take the same memory within 50 MiB; held whole, tables would take 70 to 100 more."""
    few, many = tmp_path / "few", tmp_path / "many"
    write_ratings(few / "ratings", 100_000)
    write_ratings(many / "ratings", 600_000)
    for step, *flags in (("clean", "--conflicting-ratings=keep"), ("split",), ("split", "--method=leave_last_n")):
        assert peak_of(step, many, *flags) - peak_of(step, few, *flags) < 50, (step, *flags)
