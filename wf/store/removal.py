"""Taking content out of the store when nothing refers to it any more."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from msgspec import Struct

from wf.errors import EnvironmentProblem
from wf.store.artifacts import Artifact, Artifacts
from wf.store.database import Connection, transaction
from wf.store.layout import JobFolder, Layout, in_use, locked, move, remove_tree

_REFERRING = ("outputs", "dataset_versions", "models", "deployment_models")
"""The tables whose rows keep content in the store."""


class Removal(Struct):
    """One deletion: its records go in `db`, then `drop` takes away what they alone referred to."""

    db: Connection
    removed: tuple[Artifact, ...] = ()

    def drop(self, digests: Iterable[str]) -> None:
        """Forget those of the artifacts that nothing refers to."""
        for digest in digests:
            if is_referred_to(self.db, digest):
                continue
            row = self.db.execute("SELECT * FROM artifacts WHERE digest = ?", (digest,)).fetchone()
            self.db.execute("DELETE FROM artifacts WHERE digest = ?", (digest,))
            self.removed += (Artifact(**dict(row)),)


@contextmanager
def removing(
    connection: Connection, layout: Layout, artifacts: Artifacts, *, beside_runs: bool = False
) -> Iterator[Removal]:
    """All of a deletion or nothing of it: first its records go, at once, and then the content that has none any more.

    Whoever is about to record content that is in the store already waits meanwhile: see `in_use` of `layout.artifacts`.

    Args:
        connection: to the database.
        layout: of the store.
        artifacts: of the store.
        beside_runs: whether it takes nothing that a run which goes on may read; otherwise none may go on.
    """
    with in_use(layout.temporary), locked(layout.artifacts):
        removal = Removal(connection)
        with transaction(connection) as db:  # runs that begin wait, too
            if not beside_runs:
                _forbid_while_running(db)
            yield removal
        away = [put_aside(layout, artifacts.path(each.digest)) for each in removal.removed]
        for each in removal.removed:
            artifacts.stamps(each.digest).unlink(missing_ok=True)
    for path in away:
        remove_tree(path)


def put_aside(layout: Layout, path: Path) -> Path:
    """Take something out of its place in the store at once, to be removed at leisure; returns where it is then."""
    away = layout.temporary / f"removed-{uuid4().hex}"
    with suppress(FileNotFoundError):
        move(path, away)
    return away


def remove_runs(
    connection: Connection, layout: Layout, artifacts: Artifacts, runs: Collection[int]
) -> tuple[Artifact, ...]:
    """Forget runs that are over and not pinned, with their logs and outputs.

    What a version of a dataset, a model or another run has of their outputs stays. So does the log of a job whose
    outputs stand for those of a job in a run that stays.

    Returns:
        The content that was removed because nothing else refers to it.

    Raises:
        EnvironmentProblem: one of the runs goes on, or is pinned.
    """
    with removing(connection, layout, artifacts, beside_runs=True) as removal:
        db = removal.db
        _forbid_needed(db, runs)
        digests: set[str] = set()
        for run in runs:
            digests.update(row[0] for row in db.execute("SELECT DISTINCT digest FROM outputs WHERE run = ?", (run,)))
            heirs = db.execute("SELECT run, name FROM jobs WHERE cached_from = ?", (run,)).fetchall()
            for heir in (row for row in heirs if row["run"] not in runs):
                _bequeath(layout.job(run, heir["name"]), layout.job(heir["run"], heir["name"]))
        db.executemany("DELETE FROM runs WHERE id = ?", [(run,) for run in runs])
        removal.drop(sorted(digests))
    for run in runs:
        remove_tree(layout.run(run))
    return removal.removed


def _bequeath(folder: JobFolder, heir: JobFolder) -> None:
    """Give the log of a job to one that was reused from it."""
    if folder.log.exists() and not heir.log.exists():
        heir.path.mkdir(parents=True, exist_ok=True)
        heir.log.hardlink_to(folder.log)


def is_referred_to(db: Connection, digest: str) -> bool:
    """Whether an output of a run, a version of a dataset, a model or a deployment has this content."""
    return any(
        db.execute(f"SELECT 1 FROM {table} WHERE digest = ? LIMIT 1", (digest,)).fetchone()  # noqa: S608
        for table in _REFERRING
    )


def digests_in_use(db: Connection, without_runs: Collection[int] = ()) -> set[str]:
    """The content that something refers to, other than outputs of these runs."""
    digests = {row["digest"] for row in db.execute("SELECT run, digest FROM outputs") if row["run"] not in without_runs}
    for table in _REFERRING:
        if table != "outputs":
            digests.update(row[0] for row in db.execute(f"SELECT digest FROM {table}"))  # noqa: S608
    return digests


def _forbid_needed(db: Connection, runs: Collection[int]) -> None:
    for run in runs:
        row = db.execute("SELECT state, pinned FROM runs WHERE id = ?", (run,)).fetchone()
        if row and row["state"] == "running":
            raise EnvironmentProblem(f"run {run} cannot be deleted while it goes on", hint="Wait for its end.")
        if row and row["pinned"]:
            raise EnvironmentProblem(f"run {run} is pinned", hint=f"`wf runs unpin {run}` lets it go.")


def _forbid_while_running(db: Connection) -> None:
    running = [str(row[0]) for row in db.execute("SELECT id FROM runs WHERE state = 'running' ORDER BY id")]
    if running:
        which = f"run {running[0]} goes" if len(running) == 1 else f"runs {', '.join(running)} go"
        hint = "It may use what would be deleted: wait for its end."
        raise EnvironmentProblem(f"nothing can be deleted while {which} on", hint=hint)
