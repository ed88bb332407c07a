"""Which runs a rule lets go, and that nothing goes which something needs."""

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.harness import Project, job, tree
from wf.errors import EnvironmentProblem
from wf.store import Store
from wf.store.artifacts import read_manifest
from wf.store.garbage import Garbage, Retention
from wf.store.snapshot import snapshot_steps

ROOT = Path(__file__).parents[2]


def _job(text: str, kind: str = "volume") -> job:
    return job(outputs={"x": kind}, leaves={"x": text}, reuse=True)


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """Five runs: 1 to 4 succeeded with 1, 2, 2 and 3 as their output, 5 failed."""
    project = Project(tmp_path)
    for text in ("1", "2", "2", "3"):
        project.run("a", a=_job(text))
    project.run("a", a=replace(_job("4"), exit=1))
    return project


def _gc(project: Project, **rules: object) -> Garbage:
    garbage = project.store.garbage.survey(Retention(**rules))  # type: ignore[arg-type]
    assert project.store.garbage.collect(garbage) == garbage.bytes
    return garbage


def _runs(project: Project) -> list[int]:
    return [run.id for run in project.store.history.runs()]


def test_without_a_rule_no_run_goes(project: Project) -> None:
    """There is nothing to remove then, where nothing was killed."""
    assert not _gc(project)
    assert _runs(project) == [5, 4, 3, 2, 1]


def test_the_last_runs_of_each_workflow_stay(project: Project) -> None:
    """So does the last that succeeded, with what it left; what nobody else has goes."""
    contents = {run: project.store.history.jobs(run)[0].outputs[0].path for run in (1, 2, 3, 4)}

    garbage = _gc(project, keep_last=1)

    assert garbage.runs == (1, 2, 3)
    assert _runs(project) == [5, 4]
    assert tree(contents[4]) == {"data": "3"}
    assert not any(contents[run].exists() for run in (1, 2, 3))
    assert not (project.root / ".wf/runs/1").exists()
    assert not project.store.garbage.survey(Retention())


def test_a_run_that_can_be_resumed_stays_until_it_is(project: Project) -> None:
    """The last of its workflow only: whoever ran something else after it has given it up."""
    assert _gc(project, keep_last=0, older_than=timedelta(days=1)).runs == ()
    project.store.history._connection.execute("UPDATE runs SET started = '2020-01-01T00:00:00.000Z'")

    assert _gc(project, older_than=timedelta(days=1)).runs == (1, 2, 3)
    assert _runs(project) == [5, 4]
    project.run("a", a=_job("5"))
    project.store.history._connection.execute("UPDATE runs SET started = '2020-01-01T00:00:00.000Z'")
    assert _gc(project, older_than=timedelta(days=1)).runs == (4, 5)


def test_none_at_all_is_kept_if_asked_for(project: Project) -> None:
    """Then the store is empty."""
    _gc(project, keep_last=0)

    assert _runs(project) == []
    assert [path for path in project.store.layout.artifacts.rglob("*") if path.is_file()] == []


def test_pinned_runs_stay(project: Project) -> None:
    """And deleting one by name is refused."""
    project.store.history.pin(2, pinned=True)

    _gc(project, keep_last=0)

    assert _runs(project) == [2]
    with pytest.raises(EnvironmentProblem) as caught:
        project.store.history.remove([2])
    assert (str(caught.value), caught.value.hint) == ("run 2 is pinned", "`wf runs unpin 2` lets it go.")
    assert _runs(project) == [2]


def test_only_old_runs_go(project: Project) -> None:
    """Both rules together: what either keeps stays."""
    connection = project.store.history._connection
    connection.execute("UPDATE runs SET started = '2020-01-01T00:00:00.000Z' WHERE id IN (1, 2, 4)")

    garbage = _gc(project, older_than=timedelta(days=30))

    assert garbage.runs == (1, 2)  # 4 is the last that succeeded
    assert not _gc(project, older_than=timedelta(days=30), keep_last=2)


def test_the_oldest_go_until_the_rest_is_small_enough(project: Project) -> None:
    """Content that a later run has too frees nothing; logs count."""
    everything = project.store.garbage.survey(Retention())
    assert everything.kept_bytes == 3  # three contents of one byte; nothing was printed

    assert project.store.garbage.survey(Retention(max_bytes=3)).runs == ()
    assert project.store.garbage.survey(Retention(max_bytes=2)).runs == (1,)
    assert project.store.garbage.survey(Retention(max_bytes=1)).runs == (1, 2, 3)
    assert project.store.garbage.survey(Retention(max_bytes=0)).kept_bytes == 1  # the last that succeeded


def test_what_a_dataset_or_model_has_stays(tmp_path: Path) -> None:
    """The runs that wrote it may go."""
    project = Project(tmp_path)
    project.run("a", a=_job("1", "numbers"))
    project.run("a", a=_job("2", "numbers"))
    first, second = project.store.datasets.get("numbers").versions[::-1]
    model = project.store.models.create("m", "Custom", first.ref)
    project.store.datasets.delete(first.ref)

    _gc(project, keep_last=0)

    assert _runs(project) == []
    assert tree(project.store.artifacts.path(project.store.datasets.find(second.ref).digest)) == {"data": "2"}
    assert tree(project.store.artifacts.path(model.digest)) == {"data": "1"}


def test_a_reused_job_keeps_its_outputs_and_its_log(tmp_path: Path) -> None:
    """When the run that really ran goes. A later run names the one that is left."""
    project = Project(tmp_path)
    made = replace(_job("1"), log="hello")
    project.run("a", a=made)
    project.run("a", a=made)

    _gc(project, keep_last=1)

    (left,) = project.store.history.jobs(2)
    assert left.log.read_text() == "hello\n"
    assert tree(left.outputs[0].link.resolve()) == {"data": "1"}
    project.run("a", a=made)
    assert project.decisions() == ["a from 2"]


def test_what_no_record_names_goes(project: Project) -> None:
    """Content, folders of runs and half-made things that a kill has left."""
    layout = project.store.layout
    made = project.root / "made"
    made.mkdir()
    stray = project.store.artifacts.path(project.store.artifacts.commit(made).digest)
    (layout.runs / "99" / "jobs").mkdir(parents=True)
    (layout.temporary / "removed-x").mkdir()

    garbage = _gc(project)

    assert {path.name for path in garbage.strays.paths} == {stray.name, f"{stray.name}.stamps", "99", "removed-x"}
    assert not any(path.exists() for path in garbage.strays.paths)


def test_checkpoints_go_with_the_last_run_that_could_use_them(tmp_path: Path) -> None:
    """Not while one is there that failed."""
    project = Project(tmp_path)
    project.run("a", a=replace(_job("1"), state=True, exit=1))
    (checkpoints,) = project.store.layout.state.iterdir()

    assert not _gc(project)
    garbage = _gc(project, keep_last=0)

    assert garbage.checkpoints.paths == (checkpoints,)
    assert not checkpoints.exists()


def test_old_copies_of_the_code_go(tmp_path: Path) -> None:
    """An hour after their last use."""
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "a.py").write_text("x = 1")
    project = Project(tmp_path)
    _, place = snapshot_steps(project.store.layout)
    assert not _gc(project)

    os.utime(place, (0, 0))
    assert snapshot_steps(project.store.layout)[1] == place
    assert not _gc(project)
    os.utime(place, (0, 0))
    assert _gc(project).code.paths == (place,)
    assert not place.exists()


def test_a_run_that_goes_on_keeps_what_it_has(tmp_path: Path) -> None:
    """Collections beside it take nothing of it, and nothing that it is about to reuse."""
    project = Project(tmp_path)
    project.run("a -> b", a=_job("1"), b=_job("2"))
    seen = []

    def collect(_: object) -> None:
        other = Store.open(project.root)  # in the thread of the job
        seen.append(other.garbage.survey(Retention(keep_last=0)).runs)
        other.garbage.collect(other.garbage.survey(Retention(keep_last=0)))

    project.run("a -> b -> c", a=_job("1"), b=replace(_job("2"), does=collect, env={"NEW": "1"}), c=_job("3"))

    assert seen == [(1,)]
    assert [run.id for run in project.store.history.runs()] == [2]
    for left in project.store.history.jobs(2):
        assert read_manifest(left.outputs[0].path).artifact.digest == left.outputs[0].digest


_RUNS = """
import sys
from pathlib import Path
from tests.harness import Project, job

def look(launch):
    for name, path in launch.inputs.items():
        assert (path / "data").read_text() == name

project = Project(Path(sys.argv[1]))
names = "abcdef"
each = {name: job(outputs={"x": "volume"}, leaves={"x": name}, reuse=True) for name in names}
last = job(inputs={name: f"{name}.outputs.x" for name in names}, does=look)
for _ in range(int(sys.argv[2])):
    result = project.run(" -> ".join([*each, "z"]), **each, z=last)
    assert result.state == "succeeded", project.story()
"""


def test_collections_beside_many_runs(tmp_path: Path) -> None:
    """All runs make or reuse the same content, which collections want to remove all the time: no run misses any."""
    Project(tmp_path)
    children = [subprocess.Popen([sys.executable, "-c", _RUNS, str(tmp_path), "8"], cwd=ROOT) for _ in range(2)]
    store = Store.open(tmp_path)

    collections = 0
    while any(child.poll() is None for child in children):
        garbage = store.garbage.survey(Retention(keep_last=0))
        store.garbage.collect(garbage)
        collections += len(garbage.runs)

    assert [child.returncode for child in children] == [0, 0]
    assert collections > 0


_COLLECT = """
import sys
from pathlib import Path
from wf.store import Store
from wf.store.garbage import Retention

store = Store.open(Path(sys.argv[1]))
print("ready", flush=True)
store.garbage.collect(store.garbage.survey(Retention(keep_last=1)))
"""


def test_a_collection_that_is_killed_leaves_a_whole_store(tmp_path: Path) -> None:
    """At any moment: what the history names is there, and the next collection removes the rest."""
    project = Project(tmp_path)
    for kill_after in (0.004, 0.012, 0.03):
        for number in range(6):
            project.run("a", a=_job(f"{kill_after} {number}"))
        with subprocess.Popen(
            [sys.executable, "-c", _COLLECT, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(kill_after)
            child.kill()
        for run in project.store.history.runs():
            for record in project.store.history.jobs(run.id):
                for output in record.outputs:
                    assert read_manifest(output.path).artifact.digest == output.digest

    project.store.garbage.collect(project.store.garbage.survey(Retention(keep_last=1)))

    assert len(list(project.store.layout.artifacts.glob("??/*"))) == 2  # the one content, and its stamps
    assert [path.name for path in project.store.layout.runs.iterdir()] == [str(_runs(project)[0])]
    assert list(project.store.layout.temporary.iterdir()) == []


def test_two_collections_at_once(project: Project) -> None:
    """The second finds done what both had seen."""
    garbage = project.store.garbage.survey(Retention(keep_last=1))

    def collect() -> None:
        Store.open(project.root).garbage.collect(garbage)

    threads = [threading.Thread(target=collect) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert _runs(project) == [5, 4]
