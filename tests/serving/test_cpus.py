"""How many processors there are, by what the control group says."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from serving.engines.cpus import available_cpus

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, ALL),
        ({"cpu.max": "max 100000\n"}, ALL),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": f"{ALL}99999 100000\n"}, ALL),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, ALL),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_a_limit_of_processor_time_counts(files: Mapping[str, str], cpus: int, tmp_path: Path) -> None:
    """Both versions of control groups can have one; part of a processor does not count, but there is always one."""
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    assert available_cpus(tmp_path) == cpus
