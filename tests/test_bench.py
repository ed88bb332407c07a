"""The benchmark's own arithmetic and files; what it measures is for a quiet machine."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench import bare, floor
from bench.peers import PEERS
from bench.projects import make_project
from bench.runner import table
from bench.timing import Contender, Result, compare
from wf.backends.engine import find_engine
from wf.compile import compile_file


def test_a_table_compares_with_its_first_row() -> None:
    """Least, median, CPU time, and the median's ratio to the floor; a failure is told in its row."""
    loop = Result("loop", walls=[2.0, 1.0, 4.0], cpus=[0.1, 0.2, 0.3])
    slow = Result("peer", walls=[3.0], cpus=[1.0])
    broken = Result("other", failure="no such program")
    assert table("jobs", [loop, slow, broken]) == [
        "| jobs | loop | 1.00 | 2.00 | 0.10 | 1.00 |",
        "| jobs | peer | 3.00 | 3.00 | 1.00 | 1.50 |",
        "| jobs | other | failed: no such program | | | |",
    ]


def test_contenders_take_turns(tmp_path: Path) -> None:
    """Each runs once in each round, and one that fails takes part no more."""
    write = "open('turns', 'a').write({!r})"
    contenders = [
        Contender("a", [sys.executable, "-c", write.format("a")], tmp_path),
        Contender("b", [sys.executable, "-c", f"{write.format('b')}; raise SystemExit('broken')"], tmp_path),
    ]
    results = compare(contenders, 3)
    assert (tmp_path / "turns").read_text() == "abaa"
    assert [len(result.walls) for result in results] == [3, 0]
    assert results[1].failure == "broken"


def test_a_contender_may_be_timed_until_it_prints_something(tmp_path: Path) -> None:
    """Its end is waited for, and not counted."""
    program = "import time; print('reached', flush=True); time.sleep(1); open('ended', 'w').write('x')"
    started = time.perf_counter()
    (result,) = compare([Contender("a", [sys.executable, "-c", program], tmp_path, until="reached")], 1)
    assert (tmp_path / "ended").exists()
    assert result.median < time.perf_counter() - started


@pytest.mark.docker
def test_the_floor_runs_as_many_containers_as_asked(base_image: str) -> None:
    """Each lane has a holder of its own, and nothing is left."""
    since = str(time.time())
    bare.run(find_engine(), base_image, jobs=3, lanes=2)
    events = ["docker", "events", "--since", since, "--until", str(time.time()), "--filter", f"label={bare.LABEL}"]
    told = subprocess.run([*events, "--format", "{{.Action}}"], capture_output=True, text=True, check=True).stdout
    actions = Counter(told.split())
    assert (actions["start"], actions["destroy"]) == (3 + 2, 3 + 2)


def test_the_workflows_are_valid(tmp_path: Path) -> None:
    """What is measured compiles without a warning."""
    make_project(tmp_path, "image")
    for name in ("docker-chain", "docker-flat", "docker-one", "process-chain", "process-flat"):
        plan, warnings = compile_file(tmp_path / f"{name}.yaml", tmp_path)
        assert (len(plan.tasks), warnings) == (1 if name == "docker-one" else 20, [])


def test_peers_get_their_files(tmp_path: Path) -> None:
    """Each writes something for both shapes."""
    for name, peer in PEERS.items():
        (tmp_path / name).mkdir()
        peer.write(tmp_path / name, "chain", "image")
        peer.write(tmp_path / name, "flat", "image")
        assert any((tmp_path / name).iterdir())


def test_the_floor_of_static_predictions_is_that_of_additive_effects() -> None:
    """Ratings that are sums of a user's and a title's effect are told apart, but for the damping."""
    of_users, of_titles = np.array([-1.0, 0.0, 1.0]), np.array([-0.5, 0.5])
    user, title = np.repeat(np.arange(3), 2000), np.tile(np.arange(2), 3000)
    rows = floor.Rows(user, title, 3.0 + of_users[user] + of_titles[title])

    effects = floor.fit(rows, users=3, titles=2)

    np.testing.assert_allclose(effects.users, of_users, atol=0.01)
    np.testing.assert_allclose(effects.titles, of_titles, atol=0.01)
