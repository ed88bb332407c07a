"""Whether everything that the history names is in the store and whole, and nothing else is; and what to do about it.

Content is read whole, whatever was remembered of it. A repair puts damaged artifacts aside, so that nothing uses them:
whoever needs one then runs the job that makes it. It imports again what still lies where it came from, makes links
again, and clears away what nothing refers to.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from msgspec import Struct

from wf.errors import WfError
from wf.store.artifacts import Artifacts, UnkeepableFileError, read_manifest
from wf.store.database import Connection, Row, transaction
from wf.store.layout import JobFolder, Layout, locked, remove_tree, unused
from wf.store.records import Record
from wf.store.snapshot import code_digest
from wf.store.transfer import stage


class Finding(Record, frozen=True):
    """Something that is not as it should be."""

    what: str
    remedy: str
    """What was done about it, or what can be."""
    repaired: bool = False
    """Whether all is well again."""


class Report(Struct):
    """What a check has seen."""

    findings: list[Finding] = []
    artifacts: int = 0
    bytes: int = 0
    running: tuple[int, ...] = ()
    """Runs that go on: what they alone may be about to name was not looked at."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong now."""
        return all(finding.repaired for finding in self.findings)


def check(
    connection: Connection, layout: Layout, artifacts: Artifacts, *, repair: bool, tell: Callable[[str], None]
) -> Report:
    """Look through the whole store, and repair it if asked to. `tell` hears what is being read."""
    return _Check(connection, layout, artifacts, repair=repair, tell=tell).run()


class _Check:
    def __init__(
        self,
        connection: Connection,
        layout: Layout,
        artifacts: Artifacts,
        *,
        repair: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._db = connection
        self._layout = layout
        self._artifacts = artifacts
        self._repair = repair
        self._tell = tell
        self._report = Report()

    def run(self) -> Report:
        """Everything; what depends on nothing else first."""
        self._check_database()
        self._report.running = tuple(
            row[0] for row in self._db.execute("SELECT id FROM runs WHERE state = 'running' ORDER BY id")
        )
        for row in self._db.execute("SELECT * FROM artifacts ORDER BY digest").fetchall():
            self._check_artifact(row)
        self._check_models()
        self._check_links()
        if not self._report.running:
            self._check_unnamed()
            self._check_leftovers()
            self._check_code()
        return self._report

    def _found(self, what: str, remedy: str, *, repaired: bool = False) -> None:
        self._report.findings.append(Finding(what, remedy, repaired))

    def _fix(self, what: str, done: str, do: Callable[[], object]) -> None:
        """A finding with one remedy, which is carried out if repairs are wanted."""
        if not self._repair:
            self._found(what, "`wf fsck --repair` mends it")
            return
        do()
        self._found(what, done, repaired=True)

    def _check_database(self) -> None:
        told = [str(row[0]) for row in self._db.execute("PRAGMA integrity_check")]
        if told != ["ok"]:
            hint = "put a copy of it back; `sqlite3 wf.db .recover` may save what is left"
            self._found(f"{self._layout.database} is damaged: {told[0]}", hint)
        for row in self._db.execute("PRAGMA foreign_key_check"):
            self._found(f"a row of `{row['table']}` names one of `{row['parent']}` that is gone", "nothing uses it")

    # Artifacts that the history names

    def _check_artifact(self, row: Row) -> None:
        digest = row["digest"]
        self._tell(f"{digest[:12]} ({row['files']} files)")
        self._report.artifacts += 1
        self._report.bytes += row["bytes"]
        if self._artifacts.check(digest):
            return
        named = f"artifact {digest[:12]}, which is {', '.join(_uses(self._db, digest)) or 'used by nothing'},"
        if not self._artifacts.path(digest).exists():
            what = f"{named} is gone"
            remedy = ""
        elif self._repair:
            what = f"{named} is damaged"
            aside = self._artifacts.quarantine(digest)
            remedy = f"put aside as {aside.relative_to(self._layout.root)}; "
        else:
            what = f"{named} is damaged"
            remedy = "`wf fsck --repair` puts it aside; "
        if self._repair and (source := self._fetch(row)):
            self._found(what, f"{remedy}fetched from {source}", repaired=True)
        else:
            self._found(what, remedy + (_maker(self._db, digest) or "nothing can make it again"))

    def _fetch(self, row: Row) -> str:
        """Where the content was had from, if it could be."""
        for origin in self._db.execute(
            "SELECT DISTINCT origin FROM dataset_versions WHERE digest = ? AND origin != ''", (row["digest"],)
        ).fetchall():
            with suppress(WfError):
                copy, _ = stage(Path(origin["origin"]), self._layout)
                try:
                    if read_manifest(copy, normalise=True).artifact.digest == row["digest"]:
                        self._artifacts.commit(copy)
                        return str(origin["origin"])
                finally:
                    remove_tree(copy)
        return ""

    def _check_models(self) -> None:
        for row in self._db.execute(
            "SELECT id, dataset FROM models WHERE dataset IS NOT NULL AND NOT EXISTS "
            "(SELECT 1 FROM dataset_versions AS each WHERE each.dataset || ':' || version = models.dataset)"
        ).fetchall():
            self._fix(
                f"model {row['id']} names the version {row['dataset']}, which was deleted",
                "it stands for itself now: its content is there",
                partial(self._write, "UPDATE models SET dataset = NULL WHERE id = ?", row["id"]),
            )

    def _check_links(self) -> None:
        for row in self._db.execute("SELECT run, job, name, digest FROM outputs").fetchall():
            place = self._layout.output(row["run"], row["job"], row["name"])
            if place.is_symlink() and str(place.readlink()) == self._layout.to_artifact(row["digest"]):
                continue
            self._fix(
                f"{place.relative_to(self._layout.root)} does not lead to the output",
                "made again",
                partial(self._relink, *row),
            )

    def _relink(self, run: int, job: str, output: str, digest: str) -> None:
        remove_tree(self._layout.output(run, job, output))
        self._layout.link_output(run, job, output, digest)

    # What the history does not name

    def _check_unnamed(self) -> None:
        with locked(self._layout.artifacts), transaction(self._db):  # no import and no run begins meanwhile
            named = {row[0] for row in self._db.execute("SELECT digest FROM artifacts")}
            for digest in sorted(self._artifacts.stored() - named):
                self._fix(
                    f"artifact {digest[:12]} belongs to no run, dataset or model",
                    "removed",
                    partial(_remove, self._artifacts.path(digest), self._artifacts.stamps(digest)),
                )

    def _check_leftovers(self) -> None:
        left: list[Path] = []
        for row in self._db.execute("SELECT run, name FROM jobs JOIN runs ON id = run WHERE swept").fetchall():
            folder: JobFolder = self._layout.job(row["run"], row["name"])
            left += [each for each in folder.parts if each.exists()]
        with unused(self._layout.temporary) as free:
            if free:
                left += self._layout.temporary.iterdir()
            for path in sorted(left):
                what = f"{path.relative_to(self._layout.root)} was left by a wf that was killed"
                self._fix(what, "removed", partial(_remove, path))

    def _check_code(self) -> None:
        for folder in sorted(self._layout.code.iterdir()):
            self._tell(f"code {folder.name[:12]}")
            if _code_digest(folder) != folder.name:
                what = f"the copy of steps/ in {folder.relative_to(self._layout.root)} is damaged"
                self._fix(what, "removed: the next run makes one", partial(_remove, folder))

    def _write(self, statement: str, *values: object) -> None:
        with transaction(self._db) as db:
            db.execute(statement, values)


def _remove(*paths: Path) -> None:
    for path in paths:
        remove_tree(path)


def _code_digest(folder: Path) -> str:
    """Of the code that lies there, if it can be read."""
    try:
        return code_digest(folder)
    except (OSError, UnkeepableFileError):
        return ""


def _uses(db: Connection, digest: str) -> Iterable[str]:
    """What an artifact is to those who use it; one run stands for all that have the same output."""
    for row in db.execute("SELECT dataset || ':' || version FROM dataset_versions WHERE digest = ?", (digest,)):
        yield f"dataset {row[0]}"
    for row in db.execute("SELECT id FROM models WHERE digest = ?", (digest,)):
        yield f"model {row[0]}"
    deployed = "SELECT name FROM deployments WHERE id IN (SELECT deployment FROM deployment_models WHERE digest = ?)"
    for row in db.execute(deployed, (digest,)):
        yield f"deployment `{row[0]}`"
    for row in db.execute(
        "SELECT job, name, max(run) AS run FROM outputs WHERE digest = ? GROUP BY job, name", (digest,)
    ):
        yield f"`{row['job']}.{row['name']}` of run {row['run']}"


def _maker(db: Connection, digest: str) -> str:
    """What to do to have it again."""
    job = db.execute(
        "SELECT workflow, job FROM outputs JOIN runs ON id = run WHERE digest = ? ORDER BY run DESC", (digest,)
    ).fetchone()
    if job is not None:
        return f"`wf run {job['workflow']}` runs `{job['job']}` again"
    version = db.execute(
        "SELECT dataset, origin FROM dataset_versions WHERE digest = ? AND origin != ''", (digest,)
    ).fetchone()
    if version is not None:
        return f"import it again: `wf datasets import {version['dataset']} {version['origin']}`"
    return ""
