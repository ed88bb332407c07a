"""Datasets: names whose versions are artifacts.

A name is `NAME` or `NAMESPACE/NAME`. Wherever one is asked for, the dataset's id and its aliases serve as well.
"""

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from wf.errors import EnvironmentProblem, InvalidWorkflow, Problem
from wf.events import as_text, now
from wf.references import LATEST, parse_dataset
from wf.store.artifacts import Artifact, Artifacts
from wf.store.database import Connection, Row, transaction
from wf.store.ids import new_id
from wf.store.layout import Layout, in_use, remove_tree
from wf.store.records import Dataset, DatasetVersion
from wf.store.removal import removing
from wf.store.transfer import stage, stage_archive
from wf.store.unknown import unknown_dataset, unknown_version


class Imported(Struct, frozen=True):
    """What came of an import."""

    version: DatasetVersion
    same_as: str
    """What had this content before, if anything: it takes no space of its own then."""
    outward: tuple[str, ...]
    """Links that lead out of what was imported: they stay links."""


class Datasets:
    """The datasets of one project."""

    def __init__(self, connection: Connection, layout: Layout, artifacts: Artifacts) -> None:
        self._connection = connection
        self._layout = layout
        self._artifacts = artifacts

    # Reading

    def all(self) -> tuple[Dataset, ...]:
        """Every dataset, by name."""
        rows = self._connection.execute("SELECT name FROM datasets ORDER BY name").fetchall()
        return tuple(self.get(row["name"]) for row in rows)

    def get(self, name: str) -> Dataset:
        """A dataset with all its versions."""
        known = _known_name(self._connection, name)
        if known is None:
            raise unknown_dataset(self._connection, name)
        db = self._connection
        row = db.execute("SELECT * FROM datasets WHERE name = ?", (known,)).fetchone()
        aliases = db.execute("SELECT alias FROM dataset_aliases WHERE dataset = ? ORDER BY alias", (known,))
        versions = db.execute(f"{_VERSIONS} WHERE dataset = ? ORDER BY number DESC", (known,)).fetchall()
        return Dataset(
            name=row["name"],
            id=row["id"],
            created=row["created"],
            aliases=tuple(each["alias"] for each in aliases),
            versions=tuple(map(_version, versions)),
        )

    def exists(self, name: str) -> bool:
        """Whether there is a dataset of that name, id or alias."""
        return _known_name(self._connection, name) is not None

    def find(self, ref: str) -> DatasetVersion:
        """The version that a reference names at this moment; its files are there."""
        version = resolve(self._connection, ref)
        path = self._artifacts.path(version.digest)
        if not path.exists():
            raise EnvironmentProblem(
                f"the files of dataset `{version.ref}` are gone from {path}",
                hint="Run what wrote it again, or import it: "
                f"`wf datasets import {version.dataset} PATH`. `wf fsck` knows more.",
            )
        return version

    def find_all(self, refs: Iterable[str]) -> dict[str, DatasetVersion]:
        """Each reference with its version, all of one moment; one error tells of all that cannot be found."""
        found = {}
        problems = []
        with transaction(self._connection):
            for ref in dict.fromkeys(refs):
                try:
                    found[ref] = self.find(ref)
                except EnvironmentProblem as problem:
                    problems.append(problem)
        if problems:
            hints = dict.fromkeys(problem.hint for problem in problems)
            raise EnvironmentProblem("\n".join(map(str, problems)), hint="\n".join(hints))
        return found

    def selected(self, ref: str) -> tuple[DatasetVersion, ...]:
        """The one version that a reference names; all of the dataset where none is written."""
        return (resolve(self._connection, ref),) if ":" in ref else self.get(ref).versions

    # Writing

    def create(self, name: str) -> Dataset:
        """Make a dataset without versions; the first one that is written does so as well."""
        _check_name(name)
        with transaction(self._connection) as db:
            if _known_name(db, name):
                raise InvalidWorkflow([Problem(f"there is a dataset `{name}` already")])
            _create(db, name)
        return self.get(name)

    def import_path(self, name: str, path: Path, message: str = "", *, unpack: bool = False) -> Imported:
        """Copy a file or folder, or what an archive holds, into the store as a new version of the dataset."""
        _check_name(name)
        with in_use(self._layout.temporary):
            return self._import(name, path, message, unpack)

    def _import(self, name: str, path: Path, message: str, unpack: bool) -> Imported:
        staged, outward = (stage_archive(path, self._layout), ()) if unpack else stage(path, self._layout)
        try:
            with in_use(self._layout.artifacts):  # from here to the record, nobody may remove the same content
                artifact = self._artifacts.commit(staged)
                with transaction(self._connection, durable=True) as db:
                    known = _holder(db, artifact.digest)
                    version = add_version(db, name, artifact, origin=str(path.resolve()), message=message)
        finally:
            remove_tree(staged)
        return Imported(version, known, outward)

    def add_folder(self, name: str, folder: Path, version: str, message: str = "") -> DatasetVersion:
        """Move a folder into the store as this version of the dataset."""
        with in_use(self._layout.artifacts):  # from here to the record, nobody may remove the same content
            artifact = self._artifacts.commit(folder)
            remove_tree(folder)
            with transaction(self._connection, durable=True) as db:
                return add_version(db, name, artifact, message=message, version=version)

    def tag(self, ref: str, tag: str) -> DatasetVersion:
        """Give a version a name beside its own. The same tag at another version of the dataset moves."""
        with transaction(self._connection) as db:
            version = resolve(db, ref)
            named = parse_dataset(f"{version.dataset}:{tag}")
            if named is None or tag == LATEST:
                hint = "use letters, digits, `.`, `-` and `_`, and not `latest`"
                raise InvalidWorkflow([Problem(f"`{tag}` cannot be a tag", hint=hint)])
            if tag in _version_names(db, version.dataset):
                raise InvalidWorkflow([Problem(f"`{tag}` is a version of `{version.dataset}`, and no tag can hide it")])
            db.execute("INSERT OR REPLACE INTO dataset_tags VALUES (?, ?, ?)", (version.dataset, tag, version.version))
        return self.find(version.ref)

    def untag(self, name: str, tag: str) -> None:
        """Forget a tag."""
        dataset = self.get(name).name
        gone = self._connection.execute("DELETE FROM dataset_tags WHERE dataset = ? AND name = ?", (dataset, tag))
        if not gone.rowcount:
            raise InvalidWorkflow([Problem(f"dataset `{dataset}` has no tag `{tag}`")])

    def alias(self, alias: str, name: str) -> Dataset:
        """Let another name, such as an id in a service that is closed, mean the dataset. An alias moves."""
        _check_name(alias)
        dataset = self.get(name).name
        with transaction(self._connection) as db:
            if db.execute("SELECT 1 FROM datasets WHERE ? IN (name, id)", (alias,)).fetchone():
                raise InvalidWorkflow([Problem(f"`{alias}` is a dataset itself", hint="an alias needs a free name")])
            db.execute("INSERT OR REPLACE INTO dataset_aliases VALUES (?, ?)", (alias, dataset))
        return self.get(dataset)

    def unalias(self, alias: str) -> None:
        """Forget an alias."""
        gone = self._connection.execute("DELETE FROM dataset_aliases WHERE alias = ?", (alias,))
        if not gone.rowcount:
            raise InvalidWorkflow([Problem(f"there is no alias `{alias}`")])

    def delete(self, ref: str) -> tuple[Artifact, ...]:
        """Forget the versions that `selected` gives, and the dataset if they are all.

        Returns the content that was removed because nothing else refers to it.
        """
        with removing(self._connection, self._layout, self._artifacts) as removal:
            versions = self.selected(ref)
            for each in versions:
                removal.db.execute(
                    "DELETE FROM dataset_versions WHERE (dataset, version) = (?, ?)", (each.dataset, each.version)
                )
            if ":" not in ref:
                removal.db.execute("DELETE FROM datasets WHERE name = ?", (self.get(ref).name,))
            removal.drop({each.digest for each in versions})
        return removal.removed


def add_version(
    db: Connection,
    name: str,
    artifact: Artifact,
    *,
    run: int | None = None,
    job: str | None = None,
    output: str | None = None,
    origin: str = "",
    message: str = "",
    version: str = "",
) -> DatasetVersion:
    """Make the content a new version of the dataset, which from now on is its latest. To be called in a transaction."""
    dataset = _known_name(db, name) or _create(db, name)
    add_artifact(db, artifact)
    version = version or new_version()
    db.execute(
        "INSERT INTO dataset_versions (dataset, version, digest, run, job, output, created, message, origin) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (dataset, version, artifact.digest, run, job, output, as_text(now()), message, origin),
    )
    return resolve(db, f"{dataset}:{version}")


def add_artifact(db: Connection, artifact: Artifact) -> None:
    """Record content that something is about to refer to. To be called in a transaction."""
    db.execute(
        "INSERT OR IGNORE INTO artifacts (digest, kind, bytes, files) VALUES (?, ?, ?, ?)",
        (artifact.digest, artifact.kind, artifact.bytes, artifact.files),
    )


def new_version() -> str:
    """A name for a version that is to come."""
    return new_id(7)


def is_latest(db: Connection, name: str, digest: str) -> bool:
    """Whether the content is what the dataset's latest version holds."""
    row = db.execute(
        "SELECT digest FROM dataset_versions WHERE dataset = ? ORDER BY id DESC LIMIT 1", (_known_name(db, name),)
    ).fetchone()
    return row is not None and row["digest"] == digest


def resolve(db: Connection, ref: str) -> DatasetVersion:
    """The version that a reference names at this moment: by its name, by a tag, or as the latest."""
    named = parse_dataset(ref)
    if named is None:
        hint = "write `NAME` or `NAMESPACE/NAME`, either with `:VERSION`"
        raise InvalidWorkflow([Problem(f"`{ref}` cannot name a dataset", hint=hint)])
    dataset = _known_name(db, named.dataset)
    if dataset is None:
        raise unknown_dataset(db, named.dataset)
    which = "" if named.version == LATEST else "AND (v.version = :version OR v.version = (SELECT version FROM tag))"
    row = db.execute(
        "WITH tag AS (SELECT version FROM dataset_tags WHERE dataset = :dataset AND name = :version) "  # noqa: S608
        f"{_VERSIONS} WHERE dataset = :dataset {which} ORDER BY v.version = :version DESC, number DESC LIMIT 1",
        {"dataset": dataset, "version": named.version},
    ).fetchone()
    if row is None:
        raise unknown_version(db, dataset, named.version)
    return _version(row)


_VERSIONS = """
    SELECT v.*, v.id AS number, bytes, files,
        (SELECT group_concat(t.name) FROM dataset_tags t WHERE (t.dataset, t.version) = (v.dataset, v.version)) AS tags
    FROM dataset_versions v JOIN artifacts USING (digest)
"""


def _version(row: Row) -> DatasetVersion:
    return DatasetVersion(
        dataset=row["dataset"],
        version=row["version"],
        digest=row["digest"],
        bytes=row["bytes"],
        files=row["files"],
        created=row["created"],
        run=row["run"],
        job=row["job"],
        origin=row["origin"],
        message=row["message"],
        tags=tuple(sorted((row["tags"] or "").split(","))) if row["tags"] else (),
    )


def _known_name(db: Connection, written: str) -> str | None:
    """The name of the dataset that a name, an id or an alias means."""
    row = db.execute(
        "SELECT name FROM datasets WHERE :written IN (name, id) "
        "UNION ALL SELECT dataset FROM dataset_aliases WHERE alias = :written",
        {"written": written},
    ).fetchone()
    return row[0] if row else None


def _version_names(db: Connection, dataset: str) -> set[str]:
    return {row[0] for row in db.execute("SELECT version FROM dataset_versions WHERE dataset = ?", (dataset,))}


def _holder(db: Connection, digest: str) -> str:
    row = db.execute(
        "SELECT dataset || ':' || version FROM dataset_versions WHERE digest = :digest "
        "UNION ALL SELECT 'run ' || run || ', ' || job || '.' || name FROM outputs WHERE digest = :digest",
        {"digest": digest},
    ).fetchone()
    return row[0] if row else ""


def _create(db: Connection, name: str) -> str:
    db.execute("INSERT INTO datasets (name, id, created) VALUES (?, ?, ?)", (name, new_id(13, "ds"), as_text(now())))
    return name


def _check_name(name: str) -> None:
    named = parse_dataset(name)
    if named is None or named.dataset != name:
        hint = "write `NAME` or `NAMESPACE/NAME`, of letters, digits, `.`, `-` and `_`"
        raise InvalidWorkflow([Problem(f"`{name}` cannot name a dataset", hint=hint)])
