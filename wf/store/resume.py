"""Runs that did not come to their end, and what a run that goes on with one takes over from it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import asdict

from wf import plan_text
from wf.errors import InvalidWorkflow, Problem
from wf.plan import InputsMode, Plan
from wf.store.artifacts import Artifact, Artifacts
from wf.store.database import Connection, Row
from wf.store.joblog import DEFAULT_LIMIT

CAN_BE_RESUMED: Final = (
    "(state IN ('failed', 'cancelled', 'interrupted')"
    " AND NOT EXISTS (SELECT 1 FROM runs AS later WHERE later.resumes = runs.id))"
)
"""Of a run, in SQL."""


class Settings(Struct, frozen=True):
    """What a run was started with beside its plan; a run that resumes it is given the same."""

    backend: Literal["auto", "docker", "process"] = "auto"
    jobs: int = 1
    reuse: bool = True
    forced: tuple[str, ...] = ()
    secrets: str = ""
    """The file that `--secrets` named."""
    inputs: str = ""
    """The file that `--inputs` named."""
    set: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    inputs_mode: InputsMode = "cow"
    keep_going: bool = False
    log_limit: int = DEFAULT_LIMIT


class LookedUp(Struct, frozen=True):
    """What a run looked up once, when it began."""

    code: str = ""
    """The digest of `steps/`."""
    datasets: Mapping[str, str] = {}
    """Reference as written -> `DATASET:VERSION`."""


class Unfinished(Struct, frozen=True):
    """A run that can be resumed."""

    id: int
    workflow: str
    state: str
    backend: str
    """Where it ran."""
    plan: Plan
    settings: Settings
    looked_up: LookedUp


class TakenOver(Struct, frozen=True):
    """A job that an earlier attempt has finished."""

    job: str
    origin: int
    """The run that carried it out."""
    outputs: Mapping[str, Artifact]
    metrics: Mapping[str, float]


def find_unfinished(db: Connection, ref: str = "") -> Unfinished:
    """A run to resume: by its number, the last one of a workflow given by its path in the project, or the last.

    Raises:
        InvalidWorkflow: there is none, or it cannot be resumed; it is said why.
    """
    if ref.isdecimal() and len(ref) < 19:
        row = db.execute("SELECT * FROM runs WHERE id = ?", (int(ref),)).fetchone()
        if row is None:
            raise InvalidWorkflow([Problem(f"there is no run `{ref}`", hint="`wf runs` lists them")])
        _check(db, row)
        return _unfinished(row)
    where, of = ("workflow = ?", f" of `{ref}`") if ref else ("? = ''", "")
    row = db.execute(
        f"SELECT * FROM runs WHERE {CAN_BE_RESUMED} AND {where} ORDER BY id DESC LIMIT 1",  # noqa: S608
        (ref,),
    ).fetchone()
    if row is None:
        raise InvalidWorkflow([Problem(f"no run{of} is unfinished", hint="`wf runs` lists them")])
    return _unfinished(row)


def ancestors(db: Connection, run: int) -> tuple[int, ...]:
    """The runs that a run goes on with, the last first, and itself before them."""
    found = [run]
    while (row := db.execute("SELECT resumes FROM runs WHERE id = ?", (found[-1],)).fetchone()) and row["resumes"]:
        found.append(row["resumes"])
    return tuple(found)


def finished_jobs(db: Connection, artifacts: Artifacts, run: int) -> tuple[TakenOver, ...]:
    """The jobs of a run that have succeeded, and whose outputs are there and whole."""
    found = []
    for job in db.execute(
        "SELECT name, COALESCE(cached_from, run) AS origin FROM jobs WHERE run = ? AND state = 'succeeded'", (run,)
    ).fetchall():
        outputs = {
            each["name"]: Artifact(each["digest"], each["kind"], each["bytes"], each["files"])
            for each in db.execute(
                "SELECT outputs.name, artifacts.* FROM outputs JOIN artifacts USING (digest) WHERE (run, job) = (?, ?)",
                (run, job["name"]),
            )
        }
        if all(artifacts.is_intact(artifact.digest) for artifact in outputs.values()):
            metrics = db.execute("SELECT name, value FROM metrics WHERE (run, job) = (?, ?)", (run, job["name"]))
            values = {each["name"]: each["value"] for each in metrics}
            found.append(TakenOver(job["name"], job["origin"], outputs, values))
    return tuple(found)


def take_over(db: Connection, run: int, resumes: int, jobs: Sequence[TakenOver]) -> None:
    """Let jobs of the resumed run stand for those of the new one. To be called in the transaction that begins it."""
    for job in jobs:
        db.execute(
            """
            UPDATE jobs SET (state, started, finished, exit_code, key, key_digest, cached_from) =
                (SELECT state, started, finished, exit_code, key, key_digest, ? FROM jobs WHERE (run, name) = (?, ?))
            WHERE (run, name) = (?, ?)
            """,
            (job.origin, resumes, job.job, run, job.job),
        )
    for table, columns in (
        ("inputs", "job, name, source, digest"),
        ("outputs", "job, name, type, format, digest"),
        ("metrics", "job, name, value"),
    ):
        db.executemany(
            f"INSERT INTO {table} (run, {columns}) SELECT ?, {columns} FROM {table} WHERE (run, job) = (?, ?)",  # noqa: S608
            [(run, resumes, job.job) for job in jobs],
        )


def check_not_resumed(db: Connection, run: int) -> None:
    """Refuse a run that another one goes on with already."""
    later = db.execute("SELECT id FROM runs WHERE resumes = ?", (run,)).fetchone()
    if later is not None:
        hint = f"`wf resume {later['id']}` goes on with that, if it is unfinished"
        raise InvalidWorkflow([Problem(f"run {run} was resumed as run {later['id']}", hint=hint)])


def _check(db: Connection, row: Row) -> None:
    check_not_resumed(db, row["id"])
    if row["state"] == "running":
        raise InvalidWorkflow([Problem(f"run {row['id']} goes on", hint="stop it with Ctrl-C where it runs")])
    if row["state"] == "succeeded":
        raise InvalidWorkflow([Problem(f"run {row['id']} has succeeded", hint=f"`wf run {row['workflow']}` is quick")])


def _unfinished(row: Row) -> Unfinished:
    try:
        plan = plan_text.decode(row["plan"])
        settings, looked_up = Settings(**json.loads(row["settings"])), LookedUp(**json.loads(row["looked_up"]))
    except (ValueError, TypeError):
        hint = f"`wf run {row['workflow']}` takes from it what is still the same"
        problem = Problem(f"run {row['id']} was started by another version of wf: it cannot be resumed", hint=hint)
        raise InvalidWorkflow([problem]) from None
    return Unfinished(row["id"], row["workflow"], row["state"], row["backend"], plan, settings, looked_up)


def to_json(record: Settings | LookedUp) -> str:
    """How the history keeps it."""
    value: dict[str, Any] = asdict(record)
    return json.dumps(value)
