"""Runs and their jobs: written by the runner's thread as they happen, read by commands and reports."""

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import asdict

from wf import __version__, plan_text
from wf.cache import CacheKey
from wf.errors import InvalidWorkflow, Problem
from wf.events import RunState, as_text, now
from wf.plan import Plan
from wf.store.artifacts import Artifact, Artifacts
from wf.store.claims import Claims
from wf.store.database import Connection, Row, transaction
from wf.store.job_rows import JobEnd, ReusedJob, write_ends, write_starts
from wf.store.layout import Layout, below, remove_tree, unused
from wf.store.owner import Owner, is_dead, this_process
from wf.store.provenance import read_changes, read_commit
from wf.store.records import AttemptRecord, InputRecord, JobRecord, OutputRecord, RunRecord
from wf.store.resume import (
    LookedUp,
    Settings,
    TakenOver,
    Unfinished,
    ancestors,
    check_not_resumed,
    find_unfinished,
    finished_jobs,
    take_over,
    to_json,
)

if TYPE_CHECKING:
    from wf.store.search import RunFilter

KILLED = "wf was killed"


class History:
    """The runs of one project."""

    def __init__(self, connection: Connection, layout: Layout, artifacts: Artifacts) -> None:
        self._connection = connection
        self._layout = layout
        self._artifacts = artifacts

    # Writing

    def begin_run(
        self,
        plan: Plan,
        backend: str,
        settings: Settings = Settings(),  # noqa: B008 - it is frozen
        resumes: int | None = None,
        taken_over: Sequence[TakenOver] = (),
    ) -> int:
        """Record a run that starts now, with all its jobs waiting but those that it takes over; returns its number."""
        commit = read_commit(plan.root)
        values = {
            "workflow": recorded_name(plan),
            "state": "running",
            "started": as_text(now()),
            "backend": backend,
            "inputs": json.dumps(dict(plan.inputs), sort_keys=True),
            "plan": plan_text.encode(plan),
            "settings": to_json(settings),
            "resumes": resumes,
            "wf_version": __version__,
            "git_commit": commit.id,
            "git_dirty": commit.dirty,
            "owner": json.dumps(asdict(this_process())),
        }
        with transaction(self._connection) as db:
            if resumes is not None:
                check_not_resumed(db, resumes)
            run = int(_insert(db, "runs", values))
            remove_tree(self._layout.run(run))  # of one whose record a power cut took
            db.executemany(
                "INSERT INTO jobs (run, name, position, state) VALUES (?, ?, ?, 'waiting')",
                [(run, task.id, position) for position, task in enumerate(plan.tasks)],
            )
            if resumes is not None:
                take_over(db, run, resumes, taken_over)
        for job in taken_over:
            for output, artifact in job.outputs.items():
                self._layout.link_output(run, job.job, output, artifact.digest)
        return run

    def keep_changes(self, run: int, mask: Callable[[str], str]) -> None:
        """Keep the changes that the project has beside its commit, if there are any, masked."""
        if self.run(run).git_dirty:
            place = self._layout.changes(run)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(mask(read_changes(self._layout.root)), encoding="utf-8")

    def keep_looked_up(self, run: int, looked_up: LookedUp) -> None:
        """Record what the run looked up when it began, for a run that resumes it."""
        self._connection.execute("UPDATE runs SET looked_up = ? WHERE id = ?", (to_json(looked_up), run))

    def start_job(self, run: int, job: str, key: CacheKey, inputs: Iterable[InputRecord], reason: str = "") -> None:
        """Record that a job's process runs, why it does, and what it was given."""
        with transaction(self._connection) as db:
            write_starts(db, run, [(job, key, inputs)], reason)

    def reuse_jobs(self, run: int, jobs: Sequence[ReusedJob]) -> None:
        """Record that jobs did not have to run, with what stands for what they would have left, at once."""
        for each in jobs:
            self._link_outputs(run, each.job, each.end)
        with transaction(self._connection) as db:
            write_starts(db, run, [(each.job, each.key, each.inputs) for each in jobs])
            write_ends(db, run, [(each.job, each.end) for each in jobs])

    def fail_attempt(self, run: int, job: str, attempt: int, end: JobEnd) -> None:
        """Record an attempt that failed, after which the job is tried again."""
        with transaction(self._connection) as db:
            db.execute("DELETE FROM inputs WHERE run = ? AND job = ?", (run, job))
            db.execute("UPDATE jobs SET state = 'waiting' WHERE run = ? AND name = ?", (run, job))
            values = (run, job, attempt, end.seconds, end.exit_code, end.error)
            db.execute(
                "INSERT INTO attempts (run, job, attempt, seconds, exit_code, error) VALUES (?, ?, ?, ?, ?, ?)", values
            )

    def finish_job(self, run: int, job: str, end: JobEnd) -> None:
        """Record how a job ended, with everything that it left, at once."""
        self._link_outputs(run, job, end)
        # What took work to make is not lost when the power goes.
        with transaction(self._connection, durable=end.state == "succeeded") as db:
            write_ends(db, run, [(job, end)])

    def _link_outputs(self, run: int, job: str, end: JobEnd) -> None:
        for output, artifact in end.outputs:
            self._layout.link_output(run, job, output.name, artifact.digest)

    def finish_run(self, run: int, state: RunState, error: str = "", *, swept: bool = True) -> None:
        """Record that a run is over. Only one that could not go on has jobs that have not ended.

        `swept` says whether nothing of it is left in the backend.
        """
        left = "cancelled" if state == "cancelled" else "skipped"
        with transaction(self._connection) as db:
            db.execute(
                "UPDATE runs SET state = ?, finished = ?, error = ?, swept = ? WHERE id = ?",
                (state, as_text(now()), error, swept, run),
            )
            db.execute(
                """
                UPDATE jobs SET
                    state = CASE state WHEN 'running' THEN 'cancelled' ELSE ? END,
                    error = CASE state WHEN 'running' THEN 'the run broke off' ELSE 'the run did not start it' END
                WHERE run = ? AND state IN ('waiting', 'running')
                """,
                (left, run),
            )

    def running(self) -> frozenset[int]:
        """The runs that go on."""
        return frozenset(row[0] for row in self._connection.execute("SELECT id FROM runs WHERE state = 'running'"))

    def pin(self, run: int, *, pinned: bool) -> None:
        """Say whether the run is kept whatever becomes too much."""
        self._connection.execute("UPDATE runs SET pinned = ? WHERE id = ?", (pinned, run))

    def needed_without(self, runs: Collection[int]) -> frozenset[str]:
        """The content that something needs even when these runs are gone."""
        from wf.store.removal import digests_in_use

        return frozenset(digests_in_use(self._connection, runs))

    def remove(self, runs: Collection[int]) -> tuple[Artifact, ...]:
        """Forget runs: see `wf.store.removal.remove_runs`."""
        from wf.store.removal import remove_runs

        return remove_runs(self._connection, self._layout, self._artifacts, runs)

    # Recovery

    def recover(self) -> tuple[RunRecord, ...]:
        """Mark the runs whose `wf` is dead as interrupted. Returns all whose leftovers have still to be swept."""
        for row in self._connection.execute(
            "SELECT id, owner FROM runs WHERE NOT swept AND state = 'running'"
        ).fetchall():
            if is_dead(Owner(**json.loads(row["owner"]))):
                self._mark_interrupted(row["id"])
        rows = self._connection.execute("SELECT * FROM runs WHERE NOT swept AND state != 'running'")
        return tuple(_run(row) for row in rows)

    def _mark_interrupted(self, run: int) -> None:
        with transaction(self._connection) as db:
            db.execute(
                "UPDATE runs SET state = 'interrupted', finished = ?, error = ? WHERE id = ? AND state = 'running'",
                (as_text(now()), KILLED, run),
            )
            db.execute(
                "UPDATE jobs SET state = 'cancelled', error = ? WHERE run = ? AND state IN ('running', 'waiting')",
                (KILLED, run),
            )

    def mark_swept(self, runs: Collection[int]) -> None:
        """Remember that nothing is left of these runs but their history and logs."""
        for run in runs:
            for job in self._connection.execute("SELECT name, state FROM jobs WHERE run = ?", (run,)).fetchall():
                self._layout.job(run, job["name"]).clean()
                if job["state"] != "succeeded":  # it was killed before it could say what the links are
                    remove_tree(self._layout.outputs(run, job["name"]))
            self._connection.execute("UPDATE runs SET swept = 1 WHERE id = ?", (run,))
        Claims(self._layout).forget(frozenset(runs))
        with unused(self._layout.temporary) as free:
            for path in self._layout.temporary.iterdir() if free else ():
                remove_tree(path)

    # Resuming

    def find_unfinished(self, ref: str = "") -> Unfinished:
        """A run to resume: by its number, the last one of a workflow given by its path in the project, or the last."""
        return find_unfinished(self._connection, ref)

    def finished_jobs(self, run: int) -> tuple[TakenOver, ...]:
        """The jobs of a run that have succeeded, and whose outputs are there and whole."""
        return finished_jobs(self._connection, self._artifacts, run)

    def first_attempt(self, run: int) -> int:
        """The run that this one goes on with, over all that were resumed in between; itself if it resumes none."""
        return ancestors(self._connection, run)[-1]

    # Reading

    def runs(self, wanted: "RunFilter | None" = None) -> tuple[RunRecord, ...]:
        """The runs that are wanted, or all, newest first."""
        from wf.store.search import RunFilter, find_runs

        wanted = wanted or RunFilter()
        return tuple(map(_run, find_runs(self._connection, wanted)))

    def metric(self, name: str) -> dict[int, float]:
        """Run -> the value of a metric that is named `NAME` or `JOB.NAME`, for those that have it."""
        from wf.store.search import metric_of_runs

        return metric_of_runs(self._connection, name)

    def spec(self, run: int) -> dict[str, Any]:
        """The workflow of a run, as its file had it; nothing for a run from before that was recorded."""
        row = self._connection.execute("SELECT plan FROM runs WHERE id = ?", (run,)).fetchone()
        spec: dict[str, Any] = json.loads(row["plan"]).get("spec", {})
        return spec

    def run(self, ref: int | str = "latest") -> RunRecord:
        """A run by its number, or the last one."""
        newest = self._connection.execute("SELECT * FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        if newest is None:
            raise InvalidWorkflow([Problem("this project has no runs yet", hint="start one with `wf run FILE`")])
        if ref == "latest":
            return _run(newest)
        number = int(ref) if str(ref).isdecimal() and len(str(ref)) < 19 else -1
        row = self._connection.execute("SELECT * FROM runs WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise InvalidWorkflow([Problem(f"there is no run `{ref}`", hint=f"the last one is {newest['id']}")])
        return _run(row)

    def jobs(self, run: int) -> tuple[JobRecord, ...]:
        """The jobs of a run in the order of its plan, with all that is known of them."""
        rows = self._connection.execute("SELECT * FROM jobs WHERE run = ? ORDER BY position", (run,)).fetchall()
        plan = self._connection.execute("SELECT plan FROM runs WHERE id = ?", (run,)).fetchone()
        if plan is None:
            return ()  # it has just been deleted
        images = {task.id: task.image for task in _IMAGES.decode(plan["plan"]).tasks}
        inputs: dict[str, list[InputRecord]] = {row["name"]: [] for row in rows}
        outputs: dict[str, list[OutputRecord]] = {row["name"]: [] for row in rows}
        metrics: dict[str, dict[str, float]] = {row["name"]: {} for row in rows}
        for row in self._connection.execute("SELECT * FROM inputs WHERE run = ? ORDER BY name", (run,)):
            inputs[row["job"]].append(InputRecord(row["name"], row["source"], row["digest"]))
        for row in self._connection.execute(_OUTPUTS, (run,)):
            outputs[row["job"]].append(self._output(row))
        for row in self._connection.execute("SELECT * FROM metrics WHERE run = ? ORDER BY name", (run,)):
            metrics[row["job"]][row["name"]] = row["value"]
        attempts: dict[str, list[AttemptRecord]] = {row["name"]: [] for row in rows}
        for row in self._connection.execute("SELECT * FROM attempts WHERE run = ? ORDER BY attempt", (run,)):
            log = self._layout.job(run, row["job"]).attempt_log(row["attempt"])
            failed = AttemptRecord(row["attempt"], row["seconds"], row["exit_code"], row["error"], log)
            attempts[row["job"]].append(failed)
        registered = self._connection.execute(
            "SELECT job, id FROM models JOIN jobs ON jobs.name = job "
            "WHERE jobs.run = ? AND models.run IN (jobs.run, cached_from)",
            (run,),
        ).fetchall()
        models = {row["job"]: row["id"] for row in registered}
        return tuple(
            JobRecord(
                name=row["name"],
                state=row["state"],
                started=row["started"],
                finished=row["finished"],
                seconds=row["seconds"],
                exit_code=row["exit_code"],
                error=row["error"],
                log=self._log(run, row["name"], row["cached_from"]),
                cached_from=row["cached_from"],
                reason=row["reason"],
                image=_image_name(images[row["name"]]),
                image_stands_for=(images[row["name"]] or {}).get("stands_for", ""),
                key=msgspec.json.decode(row["key"]) if row["key"] else None,
                inputs=tuple(inputs[row["name"]]),
                outputs=tuple(outputs[row["name"]]),
                metrics=metrics[row["name"]],
                attempts=tuple(attempts[row["name"]]),
                model=models.get(row["name"]),
            )
            for row in rows
        )

    def _log(self, run: int, job: str, cached_from: int | None) -> Path:
        """Its own, or that of the job whose outputs stand for its."""
        own = self._layout.log(run, job)
        if cached_from is None or os.path.exists(own):  # noqa: PTH110 - of every job of every run
            return Path(own)
        return Path(self._layout.log(cached_from, job))

    def _output(self, row: Row) -> OutputRecord:
        return OutputRecord(
            link=self._layout.output(row["run"], row["job"], row["name"]),
            name=row["name"],
            type=row["type"],
            format=row["format"],
            digest=row["digest"],
            kind=row["kind"],
            bytes=row["bytes"],
            files=row["files"],
            path=self._artifacts.path(row["digest"]),
            dataset=f"{row['dataset']}:{row['version']}" if row["dataset"] else None,
        )


_OUTPUTS = """
    SELECT outputs.*, kind, bytes, files, dataset, version
    FROM outputs
    JOIN artifacts USING (digest)
    JOIN jobs ON (jobs.run, jobs.name) = (outputs.run, outputs.job)
    LEFT JOIN dataset_versions ON (dataset_versions.job, output) = (outputs.job, outputs.name)
                              AND dataset_versions.run IN (outputs.run, cached_from)
    WHERE outputs.run = ?
    GROUP BY outputs.job, outputs.name
    ORDER BY outputs.name
"""


class _Imaged(msgspec.Struct, frozen=True):
    id: str
    image: Mapping[str, str] | None


class _Images(msgspec.Struct, frozen=True):
    tasks: tuple[_Imaged, ...]


_IMAGES = msgspec.json.Decoder(_Images)
"""Reads of a plan, whichever version of `wf` wrote it, what its tasks were to run in."""


def recorded_name(plan: Plan) -> str:
    """How the history names the workflow of a plan: by its path from the project's folder."""
    return below(plan.workflow, plan.root)


def _image_name(image: Mapping[str, str] | None) -> str:
    """What a job was to run in, from the image of its plan; nothing for what runs without one."""
    if image is None:
        return ""
    if "ref" in image:
        return image["ref"]
    return f"containers/{image['name']}" if "name" in image else ""


def _run(row: Row) -> RunRecord:
    known = {name: row[name] for name in RunRecord.__struct_fields__}
    return RunRecord(
        **{
            **known,
            "inputs": json.loads(row["inputs"]),
            "git_dirty": bool(row["git_dirty"]),
            "pinned": bool(row["pinned"]),
        }
    )


def _insert(db: Connection, table: str, values: Mapping[str, object]) -> int:
    names, places = ", ".join(values), ", ".join("?" for _ in values)
    cursor = db.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(values.values()))  # noqa: S608
    return cursor.lastrowid or 0
