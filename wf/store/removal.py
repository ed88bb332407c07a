"""Taking content out of the store when nothing refers to it any more."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wf.errors import EnvironmentProblem
from wf.store.artifacts import Artifact, Artifacts
from wf.store.database import Connection, transaction
from wf.store.layout import Layout, locked, move, remove_tree

_REFERRING = ("outputs", "dataset_versions", "models", "deployment_models")
"""The tables whose rows keep content in the store."""


@dataclass
class Removal:
    """One deletion: its records go in `db`, then `drop` takes away what they alone referred to."""

    db: Connection
    layout: Layout
    artifacts: Artifacts
    removed: tuple[Artifact, ...] = ()
    moved: list[tuple[Path, Path]] = field(default_factory=list)
    """Where content lay, and where it waits for the end of the transaction."""

    def drop(self, digests: Iterable[str]) -> None:
        """Forget those of the artifacts that nothing refers to."""
        for digest in digests:
            if is_referred_to(self.db, digest):
                continue
            row = self.db.execute("SELECT * FROM artifacts WHERE digest = ?", (digest,)).fetchone()
            self.db.execute("DELETE FROM artifacts WHERE digest = ?", (digest,))
            self.removed += (Artifact(**dict(row)),)
            self._move_away(self.artifacts.path(digest))
            self.artifacts.stamps(digest).unlink(missing_ok=True)

    def _move_away(self, place: Path) -> None:
        if place.exists():
            away = removed_content(self.layout, place.name)
            remove_tree(away)  # of a deletion that was killed at its very end
            move(place, away)
            self.moved.append((place, away))


@contextmanager
def removing(connection: Connection, layout: Layout, artifacts: Artifacts) -> Iterator[Removal]:
    """All of a deletion or nothing of it. While a run goes on, which may use any content, there is none."""
    with locked(layout.artifacts):  # imports wait: they may be about to record the same content
        removal = Removal(connection, layout, artifacts)
        try:
            with transaction(connection) as db:  # runs that begin wait, too
                _forbid_while_running(db)
                yield removal
        except BaseException:
            for place, away in removal.moved:
                move(away, place)
            raise
    for _, away in removal.moved:
        remove_tree(away)


def removed_content(layout: Layout, digest: str) -> Path:
    """Where the content of an artifact waits for the end of its deletion."""
    return layout.temporary / f"removed-{digest}"


def is_referred_to(db: Connection, digest: str) -> bool:
    """Whether an output of a run, a version of a dataset, a model or a deployment has this content."""
    return any(
        db.execute(f"SELECT 1 FROM {table} WHERE digest = ? LIMIT 1", (digest,)).fetchone()  # noqa: S608
        for table in _REFERRING
    )


def _forbid_while_running(db: Connection) -> None:
    running = [str(row[0]) for row in db.execute("SELECT id FROM runs WHERE state = 'running' ORDER BY id")]
    if running:
        which = f"run {running[0]} goes" if len(running) == 1 else f"runs {', '.join(running)} go"
        hint = "It may use what would be deleted: wait for its end."
        raise EnvironmentProblem(f"nothing can be deleted while {which} on", hint=hint)
