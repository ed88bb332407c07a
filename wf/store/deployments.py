"""Deployments as the store keeps them: what each is to be, every revision of it, and every change with its reason.

What runs is not here: that is asked of the engine.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from wf.errors import EnvironmentProblem
from wf.events import as_text, now
from wf.store.database import Connection, Row, transaction
from wf.store.layout import Layout, locked

Outcome = Literal["under way", "succeeded", "failed", "rolled back"]


class RevisionRecord(Struct, frozen=True):
    """A spec that a deployment had at some time."""

    number: int
    spec: Mapping[str, Any]
    image: str
    models: tuple[str, ...]
    created: str
    by: str
    why: str


class ChangeRecord(Struct, frozen=True):
    """An entry of the history."""

    id: int
    at: str
    action: str
    revision: int
    by: str
    why: str
    outcome: Outcome
    detail: str


class DeploymentRecord(Struct, frozen=True):
    """A deployment with its past."""

    id: str
    name: str
    port: int
    grpc_port: int
    revision: int
    """The one that serves; 0 until the first one does."""
    shadow: int
    """The one that gets copies of requests; 0 where none does."""
    replicas: int
    enabled: bool
    created: str
    revisions: tuple[RevisionRecord, ...]
    changes: tuple[ChangeRecord, ...]

    def number(self, revision: int) -> RevisionRecord:
        """One of its revisions."""
        return next(each for each in self.revisions if each.number == revision)


class DeploymentRecords:
    """The deployments of one project."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection = connection
        self._layout = layout

    def all(self) -> tuple[DeploymentRecord, ...]:
        """Every deployment, by name."""
        rows = self._connection.execute("SELECT * FROM deployments ORDER BY name").fetchall()
        return tuple(map(self._record, rows))

    def find(self, ref: str) -> DeploymentRecord | None:
        """A deployment by its id or name."""
        row = self._connection.execute(
            "SELECT * FROM deployments WHERE :ref IN (id, name) ORDER BY id = :ref DESC", {"ref": ref}
        ).fetchone()
        return self._record(row) if row else None

    def insert(
        self,
        deployment: str,
        name: str,
        ports: tuple[int, int],
        spec: Mapping[str, Any],
        image: str,
        models: Sequence[str],
        *,
        by: str,
        why: str,
    ) -> int:
        """Record a deployment whose first revision does not serve yet; returns the number of the change.

        Raises:
            EnvironmentProblem: the name is taken.
        """
        values = (deployment, name, *ports, spec["replicas"], spec["enabled"], as_text(now()))
        with locked(self._layout.artifacts), transaction(self._connection) as db:
            if db.execute("SELECT 1 FROM deployments WHERE name = ?", (name,)).fetchone():
                hint = f"`wf deployments update {name}` changes it."
                raise EnvironmentProblem(f"there is a deployment `{name}` already", hint=hint)
            db.execute(
                "INSERT INTO deployments (id, name, port, grpc_port, revision, replicas, enabled, created) "
                "VALUES (?, ?, ?, ?, 0, ?, ?, ?)",
                values,
            )
            _add_revision(db, deployment, 1, spec, image, models, by, why)
            return _add_change(db, deployment, "create", 0, by, why)

    def add_revision(
        self, deployment: str, spec: Mapping[str, Any], image: str, models: Sequence[str], *, by: str, why: str
    ) -> int:
        """Record a revision and return its number. The content of its models stays in the store with it."""
        with locked(self._layout.artifacts), transaction(self._connection) as db:
            (last,) = db.execute(
                "SELECT max(number) FROM deployment_revisions WHERE deployment = ?", (deployment,)
            ).fetchone()
            _add_revision(db, deployment, last + 1, spec, image, models, by, why)
        return int(last) + 1

    def set(self, deployment: str, **values: object) -> None:
        """Record what it is to be from now on: `revision`, `shadow`, `replicas`, `enabled`, `port`, `grpc_port`."""
        names = ", ".join(f"{name} = ?" for name in values)
        with transaction(self._connection) as db:
            db.execute(f"UPDATE deployments SET {names} WHERE id = ?", (*values.values(), deployment))  # noqa: S608

    def begin_change(self, deployment: str, action: str, revision: int, by: str, why: str) -> int:
        """Record a change that begins; returns its number."""
        with transaction(self._connection) as db:
            return _add_change(db, deployment, action, revision, by, why)

    def end_change(self, change: int, outcome: Outcome, revision: int, detail: str = "") -> None:
        """Record how it went, and which revision serves after it."""
        with transaction(self._connection) as db:
            db.execute(
                "UPDATE deployment_changes SET outcome = ?, revision = ?, detail = ? WHERE id = ?",
                (outcome, revision, detail, change),
            )

    def delete(self, deployment: str) -> None:
        """Forget all of it. Its models are ordinary content of the store again."""
        with transaction(self._connection) as db:
            db.execute("DELETE FROM deployments WHERE id = ?", (deployment,))

    def _record(self, row: Row) -> DeploymentRecord:
        key = (row["id"],)
        models: dict[int, list[str]] = {}
        for each in self._connection.execute(
            "SELECT * FROM deployment_models WHERE deployment = ? ORDER BY revision, position", key
        ):
            models.setdefault(each["revision"], []).append(each["digest"])
        revisions = self._connection.execute(
            "SELECT * FROM deployment_revisions WHERE deployment = ? ORDER BY number", key
        )
        changes = self._connection.execute("SELECT * FROM deployment_changes WHERE deployment = ? ORDER BY id", key)
        return DeploymentRecord(
            id=row["id"],
            name=row["name"],
            port=row["port"],
            grpc_port=row["grpc_port"],
            revision=row["revision"],
            shadow=row["shadow"],
            replicas=row["replicas"],
            enabled=bool(row["enabled"]),
            created=row["created"],
            revisions=tuple(
                RevisionRecord(
                    number=each["number"],
                    spec=json.loads(each["spec"]),
                    image=each["image"],
                    models=tuple(models.get(each["number"], ())),
                    created=each["created"],
                    by=each["author"],
                    why=each["why"],
                )
                for each in revisions
            ),
            changes=tuple(
                ChangeRecord(
                    id=each["id"],
                    at=each["at"],
                    action=each["action"],
                    revision=each["revision"],
                    by=each["author"],
                    why=each["why"],
                    outcome=each["outcome"],
                    detail=each["detail"],
                )
                for each in changes
            ),
        )


def _add_revision(
    db: Connection,
    deployment: str,
    number: int,
    spec: Mapping[str, Any],
    image: str,
    models: Sequence[str],
    by: str,
    why: str,
) -> None:
    db.execute(
        "INSERT INTO deployment_revisions (deployment, number, spec, image, created, author, why) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (deployment, number, json.dumps(spec), image, as_text(now()), by, why),
    )
    db.executemany(
        "INSERT INTO deployment_models (deployment, revision, position, digest) VALUES (?, ?, ?, ?)",
        [(deployment, number, position, digest) for position, digest in enumerate(models)],
    )


def _add_change(db: Connection, deployment: str, action: str, revision: int, by: str, why: str) -> int:
    cursor = db.execute(
        "INSERT INTO deployment_changes (deployment, at, action, revision, author, why, outcome, detail) "
        "VALUES (?, ?, ?, ?, ?, ?, 'under way', '')",
        (deployment, as_text(now()), action, revision, by, why),
    )
    return int(cursor.lastrowid or 0)
