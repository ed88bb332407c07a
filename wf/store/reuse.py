"""Earlier executions that can stand for a new one."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from wf.cache import CacheKey
from wf.events import JobState
from wf.store.artifacts import Artifact, Artifacts
from wf.store.database import Connection

_TRIED = 3
"""Executions with the same key whose outputs are looked at: others are as likely to be gone as these."""

_NO_RUN = 2**62
"""A number that no run has."""


class Earlier(Struct, frozen=True):
    """An execution that has succeeded, and whose outputs are all in the store."""

    run: int
    outputs: Mapping[str, Artifact]
    metrics: Mapping[str, float]


def find_earlier(connection: Connection, artifacts: Artifacts, key: CacheKey) -> Earlier | None:
    """The last execution with the key that succeeded and left everything that it should, unharmed since."""
    rows = connection.execute(
        "SELECT run, name, COALESCE((SELECT id FROM runs WHERE id = cached_from), run) AS origin FROM jobs "
        "WHERE key_digest = ? AND state = 'succeeded' ORDER BY run DESC LIMIT ?",
        (key.digest, _TRIED),
    ).fetchall()
    for row in rows:
        job = (row["run"], row["name"])
        found = connection.execute(
            "SELECT name, digest, kind, bytes, files FROM outputs JOIN artifacts USING (digest) "
            "WHERE (run, job) = (?, ?)",
            job,
        )
        outputs = {each["name"]: Artifact(each["digest"], each["kind"], each["bytes"], each["files"]) for each in found}
        if outputs.keys() == key.outputs.keys() and all(artifacts.is_intact(each.digest) for each in outputs.values()):
            metrics = connection.execute("SELECT name, value FROM metrics WHERE (run, job) = (?, ?)", job)
            return Earlier(row["origin"], outputs, {each["name"]: each["value"] for each in metrics})
    return None


class LastExecution(Struct, frozen=True):
    """How a job of the same name and workflow went when it was last started."""

    run: int
    state: JobState
    error: str
    key: Mapping[str, Any]
    """As JSON."""


def last_execution(
    connection: Connection, workflow: str, job: str, before_run: int | None = None
) -> LastExecution | None:
    """The last time that the job was started, or taken from the store, at all or before a run."""
    row = connection.execute(
        "SELECT run, jobs.state, jobs.error, key FROM jobs JOIN runs ON runs.id = jobs.run "
        "WHERE name = ? AND workflow = ? AND key IS NOT NULL AND run < ? ORDER BY run DESC LIMIT 1",
        (job, workflow, _NO_RUN if before_run is None else before_run),
    ).fetchone()
    return LastExecution(row["run"], row["state"], row["error"], json.loads(row["key"])) if row else None
