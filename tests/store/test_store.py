"""`wf.store`: the folder, the database, runs and datasets."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Project, job
from wf.errors import EnvironmentProblem, InvalidWorkflow
from wf.store import Store
from wf.store.database import SCHEMA
from wf.store.layout import Layout, remove_tree
from wf.store.owner import is_dead, this_process
from wf.store.provenance import Commit, read_commit

ROOT = Path(__file__).parents[2]


def test_new_store(tmp_path: Path) -> None:
    """A new store explains itself and keeps itself out of git; opening it again changes nothing."""
    Store.open(tmp_path).close()
    (tmp_path / ".wf" / "README.txt").write_text("mine")
    Store.open(tmp_path).close()

    names = sorted(path.name for path in (tmp_path / ".wf").iterdir())
    folders = ["artifacts", "cache", "claims", "code", "runs", "state", "storage", "tmp"]
    assert names == [".gitignore", "README.txt", *folders, "wf.db"]
    assert (tmp_path / ".wf" / ".gitignore").read_text() == "*\n"
    assert (tmp_path / ".wf" / "README.txt").read_text() == "mine"


def test_parts_may_be_deleted(project: Project) -> None:
    """After its artifacts were deleted by hand, a project runs on; a dataset whose files are gone is named."""
    writer = job(outputs={"x": "ratings"}, leaves={"x": "1"})
    project.run("a", a=writer)
    ref = project.store.datasets.find("ratings").ref
    remove_tree(project.store.layout.artifacts)
    project.store = Store.open(project.root)

    with pytest.raises(EnvironmentProblem, match=f"the files of dataset `{ref}` are gone"):
        project.store.datasets.find("ratings")
    project.run("a", a=writer)

    assert project.store.datasets.find("ratings").ref != ref


def test_newer_store_is_refused(tmp_path: Path) -> None:
    """The store of a newer wf is left alone, and the message says what to do."""
    Store.open(tmp_path).close()
    database = tmp_path / ".wf" / "wf.db"
    with sqlite3.connect(database) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")

    with pytest.raises(EnvironmentProblem) as caught:
        Store.open(tmp_path)

    assert str(caught.value) == (f"{database} was written by a newer wf (schema {SCHEMA + 1}, this one knows {SCHEMA})")
    assert caught.value.hint == "Update wf to use this project."


def test_damaged_store(tmp_path: Path) -> None:
    """A file that is no database is an error that names it."""
    Layout(tmp_path).create()
    (tmp_path / ".wf" / "wf.db").write_text("x" * 5000)

    with pytest.raises(EnvironmentProblem, match=r"wf\.db cannot be used: file is not a database"):
        Store.open(tmp_path)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A project whose store cannot be made is an error that names the folder."""
    (tmp_path / ".wf").write_text("in the way")

    with pytest.raises(EnvironmentProblem, match=r"\.wf cannot be written: Not a directory"):
        Store.open(tmp_path)


def test_opened_by_many_at_once(tmp_path: Path) -> None:
    """Several processes may open, and so make, a new store at the same time."""
    code = "import sys; from pathlib import Path; from wf.store import Store; Store.open(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path)]

    children = [subprocess.Popen(command, cwd=ROOT) for _ in range(6)]

    assert [child.wait() for child in children] == [0] * 6


def test_job_names_stay_in_their_folder(tmp_path: Path) -> None:
    """No name of a job leads out of the run's folder, and different names have different folders."""
    layout = Layout(tmp_path)
    names = ["a", "A b", "../x", "..", ".", ".hidden", "a/b", "a%2Fb", "é"]

    folders = [layout.job(1, name).path for name in names]

    assert {folder.parent for folder in folders} == {layout.run(1) / "jobs"}
    assert len({folder.resolve() for folder in folders}) == len(names)


# History


def test_run_record(project: Project) -> None:
    """A run's record says what ran, when, where and with which inputs; as JSON it is plain data."""
    project.run("a")

    run = project.store.history.run()
    assert (run.id, run.workflow, run.state, run.backend, run.inputs) == (1, "flow.yaml", "succeeded", "fake", {})
    assert run.finished is not None
    assert run.started <= run.finished
    assert json.loads(json.dumps(run.to_json()))["workflow"] == "flow.yaml"


def test_job_record_as_json(project: Project) -> None:
    """A job's record as JSON holds its inputs, outputs, metrics and the key of its execution."""
    project.run(
        "a -> b",
        a=job(outputs={"x": "ratings"}, leaves={"x": "1"}),
        b=job(inputs={"x": "a.outputs.x", "word": "hi"}, env={"SEED": "1"}),
    )

    first, second = (json.loads(json.dumps(project.job(name).to_json())) for name in "ab")

    output = first["outputs"][0]
    assert output["dataset"].startswith("ratings:")
    assert output["path"] == str(project.store.artifacts.path(output["digest"]))
    assert second["inputs"][0] == {"name": "word", "source": "", "digest": second["inputs"][0]["digest"]}
    assert second["inputs"][1] == {"name": "x", "source": "a.outputs.x", "digest": output["digest"]}
    assert second["key"]["env"] == {"SEED": "1"}
    assert second["key"]["inputs"]["x"] == output["digest"]


def test_plan_is_recorded(project: Project) -> None:
    """The plan of a run is kept as JSON that says of each record what it is."""
    project.run("a", a=job(inputs={"x": "text"}, secrets={"KEY": "KEY?"}))

    with sqlite3.connect(project.store.layout.database) as connection:
        (text,) = connection.execute("SELECT plan FROM runs").fetchone()
    (task,) = json.loads(text)["tasks"]
    assert task["inputs"][0]["source"] == {"record": "Text", "value": "text"}
    assert task["secrets"] == {"KEY": {"record": "SecretRef", "name": "KEY", "optional": True}}


def test_runs_newest_first(project: Project) -> None:
    """Runs are listed from the newest."""
    for _ in range(3):
        project.run("a")

    assert [run.id for run in project.store.history.runs()] == [3, 2, 1]


def test_finding_a_run(project: Project) -> None:
    """A run is found by its number as number or text, or as the latest."""
    project.run("a")
    project.run("a")

    found = [project.store.history.run(ref).id for ref in (1, "1", "2", "latest")]

    assert found == [1, 1, 2, 2]


@pytest.mark.parametrize("ref", ["3", "x", "-1", "9" * 30])
def test_unknown_run(project: Project, ref: str) -> None:
    """A run that is not there is an error that says which one is the last."""
    project.run("a")

    with pytest.raises(InvalidWorkflow) as caught:
        project.store.history.run(ref)

    (problem,) = caught.value.problems
    assert (problem.message, problem.hint) == (f"there is no run `{ref}`", "the last one is 1")


def test_no_runs_yet(project: Project) -> None:
    """In a new project the error says how to start."""
    with pytest.raises(InvalidWorkflow, match="this project has no runs yet"):
        project.store.history.run()


# Datasets


def test_every_output_is_a_version(project: Project) -> None:
    """Each success makes a version with a name of its own, even of equal content; latest is the last."""
    for _ in range(2):
        project.run("a", a=job(outputs={"x": "team/ratings"}, leaves={"x": "same"}))

    refs = [project.store.history.jobs(run)[0].outputs[0].dataset for run in (1, 2)]
    versions = [project.store.datasets.find(ref or "") for ref in refs]

    assert len(set(refs)) == 2
    assert versions[0].digest == versions[1].digest
    assert (
        project.store.datasets.find("team/ratings") == project.store.datasets.find("team/ratings:latest") == versions[1]
    )
    assert len(versions[0].version) == 7
    assert (versions[0].run, versions[0].job) == (1, "a")


def test_unknown_version(project: Project) -> None:
    """A version that is not there is an error with those that are; a dataset that is not, with a near name."""
    project.run("a", a=job(outputs={"x": "ratings"}))
    version = project.store.datasets.find("ratings").version

    with pytest.raises(EnvironmentProblem) as no_version:
        project.store.datasets.find("ratings:v1")
    with pytest.raises(EnvironmentProblem) as no_dataset:
        project.store.datasets.find("rating")

    assert str(no_version.value) == "dataset `ratings` has no version `v1`"
    assert no_version.value.hint == f"Its newest versions: {version}."
    assert str(no_dataset.value) == "there is no dataset `rating` in this project"
    assert no_dataset.value.hint == ("Did you mean `ratings`? If not, import it: `wf datasets import rating PATH`.")


# Provenance and owners


def _git(root: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *words], check=True, capture_output=True)


def test_commit(tmp_path: Path) -> None:
    """The commit is known in full, dirty when a tracked file differs; outside of a repository there is none."""
    assert read_commit(tmp_path) == Commit(None)

    _git(tmp_path, "init")
    (tmp_path / "file").write_text("1")
    _git(tmp_path, "add", "file")
    _git(tmp_path, "commit", "-m", "first")
    _git(tmp_path, "tag", "v1")
    clean = read_commit(tmp_path)
    (tmp_path / "file").write_text("2")
    dirty = read_commit(tmp_path)

    assert clean.id is not None
    assert len(clean.id) == 40
    assert (clean.dirty, dirty) == (False, Commit(clean.id, dirty=True))


def test_owner() -> None:
    """This process lives; one that has ended, a later one with its number, and one of an earlier boot do not."""
    owner = this_process()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child.kill()
    child.wait()

    assert not is_dead(owner)
    assert is_dead(type(owner)(owner.host, owner.boot, child.pid, "1"))
    assert is_dead(type(owner)(owner.host, owner.boot, owner.pid, "1"))
    assert is_dead(type(owner)(owner.host, "another", owner.pid, owner.start))
    assert not is_dead(type(owner)("another", owner.boot, child.pid, "1"))
