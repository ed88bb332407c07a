"""Stores that an older wf wrote are brought up to date where they are."""

import sqlite3
import subprocess
import sys
from pathlib import Path

from wf.store import Store
from wf.store.database import SCHEMA
from wf.store.layout import Layout

_HERE = Path(__file__).parent


def _old_store(root: Path) -> Path:
    layout = Layout(root)
    layout.create()
    with sqlite3.connect(layout.database) as connection:
        connection.executescript((_HERE / "version-1.sql").read_text())
    return layout.database


def test_datasets_of_version_1(tmp_path: Path) -> None:
    """Runs and versions stay; each dataset gets an id, and the time of its first version."""
    database = _old_store(tmp_path)

    store = Store.open(tmp_path)

    scores, ratings = store.datasets.all()
    assert [(each.name, len(each.versions)) for each in (scores, ratings)] == [("scores", 2), ("team/ratings", 2)]
    assert scores.id != ratings.id
    assert all(len(each.id) == 15 and each.id.startswith("ds") for each in (scores, ratings))
    assert ratings.created == ratings.versions[-1].created
    assert [(each.run, each.job, each.origin, each.message) for each in ratings.versions] == [
        (2, "a", "", ""),
        (1, "a", "", ""),
    ]
    assert [run.state for run in store.history.runs()] == ["succeeded", "succeeded"]
    assert store.history.jobs(2)[0].outputs[0].dataset == ratings.versions[0].ref
    assert store.models.all() == ()
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_old_store_opened_by_many_at_once(tmp_path: Path) -> None:
    """Several processes that find an old store leave it once migrated."""
    _old_store(tmp_path)
    code = "import sys; from pathlib import Path; from wf.store import Store; Store.open(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path)]

    children = [subprocess.Popen(command, cwd=_HERE.parents[1]) for _ in range(4)]

    assert [child.wait() for child in children] == [0] * 4
    assert len(Store.open(tmp_path).datasets.all()) == 2
