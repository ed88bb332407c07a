"""What content was made from, and what became of it: read from the history."""

from collections.abc import Iterator
from typing import Literal

from wf.errors import InvalidWorkflow, Problem
from wf.store.database import Connection
from wf.store.records import Record

_SHORTEST_PREFIX = 4


class Use(Record, frozen=True):
    """Content at an end of a job."""

    run: int
    job: str
    name: str
    """Of the input or output."""
    source: str = ""
    """Of an input: `JOB.outputs.NAME` or `DATASET:VERSION`."""
    cached_from: int | None = None
    """Of an output: the run whose output stands for it."""


class Lineage(Record, frozen=True):
    """Where some content comes from, and where it went."""

    digest: str
    made_by: tuple[Use, ...]
    """Outputs that are this content, oldest first; those that an earlier one stood for too."""
    made_from: tuple[str, ...]
    """Datasets and imports that the job which first made it read, directly or through other jobs of its run."""
    read_by: tuple[Use, ...]
    """Inputs that are this content, oldest first."""
    led_to: tuple[str, ...]
    """Versions of datasets, and models, that jobs made which had read it, directly or through other jobs."""
    datasets: tuple[str, ...]
    """Versions that are this content."""
    models: tuple[str, ...]


def lineage(db: Connection, digest: str) -> Lineage:
    """All that the history knows of some content."""
    made_by = tuple(
        Use(row["run"], row["job"], row["name"], cached_from=row["cached_from"])
        for row in db.execute(
            "SELECT o.run, o.job, o.name, cached_from FROM outputs AS o "
            "JOIN jobs ON (jobs.run, jobs.name) = (o.run, o.job) WHERE digest = ? ORDER BY o.run, position",
            (digest,),
        )
    )
    read_by = tuple(
        Use(row["run"], row["job"], row["name"], row["source"])
        for row in db.execute("SELECT * FROM inputs WHERE digest = ? AND source != '' ORDER BY run, job", (digest,))
    )
    return Lineage(
        digest,
        made_by,
        tuple(dict.fromkeys(_origins(db, digest, made_by))),
        read_by,
        tuple(dict.fromkeys(_results(db, digest, read_by))),
        _column(db, "SELECT dataset || ':' || version FROM dataset_versions WHERE digest = ? ORDER BY id", digest),
        _column(db, "SELECT id FROM models WHERE digest = ? ORDER BY number", digest),
    )


class ListedArtifact(Record, frozen=True):
    """An artifact, and the shortest that says what it is."""

    digest: str
    kind: Literal["file", "folder"]
    bytes: int
    files: int
    made_by: Use | None
    """The first output that it was."""
    dataset: str | None
    """The newest version that it is."""
    model: str | None


def list_artifacts(db: Connection, run: int | None) -> tuple[ListedArtifact, ...]:
    """The artifacts that the history names, or those that a run left: the biggest first."""
    which = "" if run is None else "WHERE digest IN (SELECT digest FROM outputs WHERE run = ?)"
    rows = db.execute(f"{_LISTED} {which} ORDER BY bytes DESC, digest", () if run is None else (run,))
    return tuple(
        ListedArtifact(
            row["digest"],
            row["kind"],
            row["bytes"],
            row["files"],
            Use(row["run"], row["job"], row["name"]) if row["run"] is not None else None,
            row["dataset"],
            row["model"],
        )
        for row in rows
    )


_LISTED = """
    SELECT a.*, o.run, o.job, o.name,
        (SELECT dataset || ':' || version FROM dataset_versions AS v WHERE v.digest = a.digest ORDER BY v.id DESC)
            AS dataset,
        (SELECT id FROM models AS m WHERE m.digest = a.digest ORDER BY number DESC) AS model
    FROM artifacts AS a
    LEFT JOIN (SELECT digest, min(run) AS run, job, name FROM outputs GROUP BY digest) AS o USING (digest)
"""


def find_digest(db: Connection, ref: str) -> str:
    """The content that `RUN/JOB/OUTPUT` or the beginning of a digest names; RUN may be `latest`.

    Raises:
        InvalidWorkflow: nothing, or more than one content, is named so.
    """
    run, _, rest = ref.partition("/")
    job, _, output = rest.rpartition("/")
    if job:
        row = db.execute(
            "SELECT digest FROM outputs WHERE run = CASE ? WHEN 'latest' THEN (SELECT max(id) FROM runs) ELSE ? END "
            "AND lower(job) = lower(?) AND name = ?",
            (run, run, job, output),
        ).fetchone()
        if row is None:
            raise InvalidWorkflow([Problem(f"there is no output `{ref}`", hint=_outputs_of(db, run))])
        return str(row["digest"])
    found = _column(db, "SELECT digest FROM artifacts WHERE digest GLOB ? || '*' LIMIT 2", ref) if _is_hex(ref) else ()
    if len(found) == 1:
        return found[0]
    problem = f"more than one artifact begins with `{ref}`" if found else f"there is no artifact `{ref}`"
    hint = "write RUN/JOB/OUTPUT, or the beginning of a digest: `wf artifacts list` shows them"
    raise InvalidWorkflow([Problem(problem, hint=hint)])


def _is_hex(text: str) -> bool:
    return len(text) >= _SHORTEST_PREFIX and not text.strip("0123456789abcdef")


def _outputs_of(db: Connection, run: str) -> str:
    known = _column(db, "SELECT job || '/' || name FROM outputs WHERE run = ? ORDER BY job, name", run)
    return f"run {run} has {', '.join(f'`{each}`' for each in known)}" if known else "`wf runs` lists the runs"


def _origins(db: Connection, digest: str, made_by: tuple[Use, ...]) -> Iterator[str]:
    """Where the chain of jobs that first made it began."""
    yield from (
        f"import of {origin}"
        for origin in _column(
            db, "SELECT origin FROM dataset_versions WHERE digest = ? AND origin != '' ORDER BY id", digest
        )
    )
    if not made_by:
        return
    run, waiting, seen = made_by[0].run, [made_by[0].job], {made_by[0].job}
    while waiting:
        for row in db.execute(
            "SELECT source FROM inputs WHERE (run, job) = (?, ?) AND source != ''", (run, waiting.pop())
        ).fetchall():
            upstream, is_output, _ = row["source"].partition(".outputs.")
            if not is_output:
                yield row["source"]
            elif upstream not in seen:
                seen.add(upstream)
                waiting.append(upstream)


def _results(db: Connection, digest: str, read_by: tuple[Use, ...]) -> Iterator[str]:
    """What became of it through any number of jobs and runs."""
    seen = {digest}
    waiting = [(use.run, use.job) for use in read_by]
    done = set()
    while waiting:
        here = waiting.pop(0)
        if here in done:
            continue
        done.add(here)
        outputs = db.execute("SELECT digest FROM outputs WHERE (run, job) = (?, ?)", here).fetchall()
        for each in (row["digest"] for row in outputs):
            if each in seen:
                continue
            seen.add(each)
            yield from _column(db, "SELECT dataset || ':' || version FROM dataset_versions WHERE digest = ?", each)
            yield from (f"model {name}" for name in _column(db, "SELECT id FROM models WHERE digest = ?", each))
            waiting += [tuple(row) for row in db.execute("SELECT run, job FROM inputs WHERE digest = ?", (each,))]
    yield from (f"model {name}" for name in _column(db, "SELECT id FROM models WHERE digest = ?", digest))


def _column(db: Connection, query: str, value: str) -> tuple[str, ...]:
    return tuple(row[0] for row in db.execute(query, (value,)))
