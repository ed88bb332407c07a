"""Earlier executions that can stand for a new one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wf.cache import CacheKey
from wf.store.artifacts import Artifact, Artifacts
from wf.store.database import Connection

_TRIED = 3
"""Executions with the same key whose outputs are looked at: others are as likely to be gone as these."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """An execution that has succeeded, and whose outputs are all in the store."""

    run: int
    outputs: Mapping[str, Artifact]
    metrics: Mapping[str, float]


def find_earlier(connection: Connection, artifacts: Artifacts, key: CacheKey) -> Earlier | None:
    """The last execution with the key that succeeded and left everything that it should, unharmed since."""
    rows = connection.execute(
        "SELECT run, name, COALESCE(cached_from, run) AS origin FROM jobs "
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


def last_key(connection: Connection, run: int, job: str) -> dict[str, Any] | None:
    """The key, as JSON, with which a job of this name last ran in the same workflow, before this run."""
    row = connection.execute(
        "SELECT key FROM jobs JOIN runs ON runs.id = jobs.run WHERE name = ? AND run < ? AND key IS NOT NULL "
        "AND workflow = (SELECT workflow FROM runs WHERE id = ?) ORDER BY run DESC LIMIT 1",
        (job, run, run),
    ).fetchone()
    return json.loads(row["key"]) if row else None
