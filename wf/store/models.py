"""Models: content of the store under an id, with a type that says what can serve it. Nothing is copied."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from wf.events import as_text, now
from wf.plan import ModelType
from wf.references import JobOutput, parse_input
from wf.store.artifacts import Artifact, Artifacts
from wf.store.database import Connection, Row, transaction
from wf.store.datasets import add_artifact, resolve
from wf.store.ids import new_id
from wf.store.layout import Layout, in_use, remove_tree
from wf.store.records import Model
from wf.store.removal import removing
from wf.store.unknown import unknown_model

METADATA = "gradient-model-metadata.json"
"""A file at the top of a model that says more about it."""

_METADATA_LIMIT = 1 << 20  # bytes


class NewModel(Struct, frozen=True):
    """A model that has its id, and is not in the store yet."""

    id: str
    name: str
    type: ModelType
    digest: str
    source: str
    """`JOB.outputs.NAME` or `DATASET:VERSION`; nothing where it comes from neither."""
    metadata: Mapping[str, Any]


class Models:
    """The models of one project."""

    def __init__(self, connection: Connection, layout: Layout, artifacts: Artifacts) -> None:
        self._connection = connection
        self._layout = layout
        self._artifacts = artifacts

    def all(self) -> tuple[Model, ...]:
        """Every model, newest first."""
        return tuple(map(_model, self._connection.execute(f"{_MODELS} ORDER BY number DESC")))

    def find(self, ref: str) -> Model:
        """A model by its id, or the newest of that name."""
        row = self._connection.execute(
            f"{_MODELS} WHERE :ref IN (id, name) ORDER BY id = :ref DESC, number DESC", {"ref": ref}
        ).fetchone()
        if row is None:
            raise unknown_model(self._connection, ref)
        return _model(row)

    def create(
        self, name: str, model_type: ModelType, dataset: str, *, run: int | None = None, job: str | None = None
    ) -> Model:
        """Register the version that a dataset reference names now. Metadata that cannot be read is left out."""
        with transaction(self._connection, durable=True) as db:
            version = resolve(db, dataset)
            metadata, _ = read_metadata(self._artifacts.path(version.digest))
            model = new_model(name, model_type, version.digest, version.ref, metadata)
            add_model(db, model, run, job)
        return self.find(model.id)

    def add_folder(
        self, ident: str, name: str, model_type: ModelType, folder: Path, *, run: int | None, job: str | None
    ) -> Model:
        """Move a folder into the store as a model with this id."""
        metadata, _ = read_metadata(folder)
        with in_use(self._layout.artifacts):  # from here to the record, nobody may remove the same content
            artifact = self._artifacts.commit(folder)
            remove_tree(folder)
            with transaction(self._connection, durable=True) as db:
                add_artifact(db, artifact)
                add_model(db, NewModel(ident, name, model_type, artifact.digest, "", metadata), run, job)
        return self.find(ident)

    def delete(self, ref: str) -> tuple[Artifact, ...]:
        """Forget a model. Returns the content that was removed because nothing else refers to it."""
        with removing(self._connection, self._layout, self._artifacts) as removal:
            model = self.find(ref)
            removal.db.execute("DELETE FROM models WHERE id = ?", (model.id,))
            removal.drop({model.digest})
        return removal.removed


def new_model(name: str, model_type: ModelType, digest: str, source: str, metadata: Mapping[str, Any]) -> NewModel:
    """A model with an id of its own."""
    return NewModel(new_id(12, "mo"), name, model_type, digest, source, metadata)


def add_model(db: Connection, model: NewModel, run: int | None, job: str | None) -> None:
    """Put a model into the store. To be called in a transaction."""
    db.execute(
        "INSERT INTO models (id, name, type, digest, dataset, run, job, metadata, created) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            model.id, model.name, model.type, model.digest, _dataset(db, model), run, job,
            json.dumps(model.metadata), as_text(now()),
        ),
    )  # fmt: skip


def read_metadata(folder: Path) -> tuple[dict[str, Any], str]:
    """What a model says about itself, and what is wrong with it if it cannot be used."""
    path = folder / METADATA
    if not path.is_file() or path.is_symlink():
        return {}, ""
    if path.stat().st_size > _METADATA_LIMIT:
        return {}, f"ignored {METADATA}: it has more than 1 MiB"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        return {}, f"ignored {METADATA}: {error}"
    return (metadata, "") if isinstance(metadata, dict) else ({}, f"ignored {METADATA}: it does not hold an object")


def _dataset(db: Connection, model: NewModel) -> str | None:
    """The version that the source is. The output of a job is one if it is a dataset."""
    output = parse_input(model.source)
    if not isinstance(output, JobOutput):
        return model.source or None
    row = db.execute(
        "SELECT dataset || ':' || version FROM dataset_versions WHERE (digest, job, output) = (?, ?, ?) "
        "ORDER BY id DESC",
        (model.digest, output.job, output.name),
    ).fetchone()
    return row[0] if row else None


_MODELS = "SELECT models.*, bytes, files FROM models JOIN artifacts USING (digest)"


def _model(row: Row) -> Model:
    return Model(
        id=row["id"],
        name=row["name"],
        type=row["type"],
        dataset=row["dataset"],
        digest=row["digest"],
        bytes=row["bytes"],
        files=row["files"],
        created=row["created"],
        run=row["run"],
        job=row["job"],
        metadata=json.loads(row["metadata"]),
    )
