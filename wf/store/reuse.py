"""Earlier executions that can stand for a new one."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from wf.cache import CacheKey
from wf.events import JobState
from wf.store.artifacts import Artifact, Artifacts
from wf.store.database import Connection, Row

_TRIED = 3
"""Executions with the same key whose outputs are looked at: others are as likely to be gone as these."""

_NO_RUN = 2**62
"""A number that no run has."""


class Earlier(Struct, frozen=True):
    """An execution that has succeeded."""

    run: int
    outputs: Mapping[str, Artifact]
    metrics: Mapping[str, float]

    def is_whole(self, key: CacheKey, artifacts: Artifacts) -> bool:
        """Whether it left what the key says, and all of that is unharmed."""
        return self.outputs.keys() == key.outputs.keys() and all(
            artifacts.is_intact(each.digest) for each in self.outputs.values()
        )


def find_earlier(connection: Connection, artifacts: Artifacts, key: CacheKey) -> Earlier | None:
    """The last execution with the key that succeeded and left everything that it should, unharmed since."""
    found = _executions(
        connection, "key_digest = ? AND state = 'succeeded' ORDER BY run DESC LIMIT ?", key.digest, _TRIED
    )
    for row in found:
        left = _left(connection, "(run, job) = (?, ?)", row["run"], row["name"])
        earlier = Earlier(row["origin"], *left(row["name"]))
        if earlier.is_whole(key, artifacts):
            return earlier
    return None


def run_before(connection: Connection, run: int, workflow: str) -> dict[str, Earlier]:
    """Executions that succeeded in the last run before this one, if that was of the same workflow, by the digests of
    their keys: as `find_earlier` gives them, but read all at once, and not looked at.
    """
    last = connection.execute("SELECT id, workflow FROM runs WHERE id < ? ORDER BY id DESC LIMIT 1", (run,)).fetchone()
    if last is None or last["workflow"] != workflow:
        return {}
    left = _left(connection, "run = ?", last["id"])
    rows = _executions(connection, "run = ? AND state = 'succeeded'", last["id"])
    return {row["key_digest"]: Earlier(row["origin"], *left(row["name"])) for row in rows}


def _executions(connection: Connection, where: str, *values: object) -> list[Row]:
    return connection.execute(
        "SELECT run, name, key_digest, COALESCE((SELECT id FROM runs WHERE id = cached_from), run) AS origin "  # noqa: S608
        f"FROM jobs WHERE {where}",
        values,
    ).fetchall()


def _left(
    connection: Connection, where: str, *values: object
) -> Callable[[str], tuple[dict[str, Artifact], dict[str, float]]]:
    """What gives the outputs and metrics of a job, for jobs of one run."""
    outputs: dict[str, dict[str, Artifact]] = defaultdict(dict)
    for job, name, *artifact in connection.execute(
        f"SELECT job, name, digest, kind, bytes, files FROM outputs JOIN artifacts USING (digest) WHERE {where}",  # noqa: S608
        values,
    ):
        outputs[job][name] = Artifact(*artifact)
    metrics: dict[str, dict[str, float]] = defaultdict(dict)
    for job, name, value in connection.execute(f"SELECT job, name, value FROM metrics WHERE {where}", values):  # noqa: S608
        metrics[job][name] = value
    return lambda job: (outputs[job], metrics[job])


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
