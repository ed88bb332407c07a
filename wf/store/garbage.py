"""What a store need not keep: runs that a rule lets go, and what killed programs have left.

Nothing is touched that a version of a dataset, a model, a pinned run, a run that goes on or a run that stays needs. All
of it is safe beside runs, and after a kill at any moment: what no record names is found by the next collection.
"""

import stat
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct

from wf.events import as_text, now
from wf.store.artifacts import Artifact, Artifacts
from wf.store.database import Connection, Row
from wf.store.layout import Layout, in_use, locked, remove_tree, unused
from wf.store.removal import digests_in_use, put_aside, remove_runs, removing
from wf.store.resume import CAN_BE_RESUMED
from wf.store.state import StateFolder

_IN_PASSING = 3600.0
"""Seconds for which a snapshot of code stays after its last use: what uses it may not be a run, but a plan."""


class Retention(Struct, frozen=True):
    """Which runs are kept. Without any rule all are.

    The last run of each workflow that succeeded is kept too, and the last of all if it can be resumed, unless
    `keep_last` is 0.
    """

    keep_last: int | None = None
    """So many runs of each workflow."""
    older_than: timedelta | None = None
    """Only runs that began longer ago are let go."""
    max_bytes: int | None = None
    """The oldest are let go, until artifacts and logs take no more; all that may be, without this rule."""

    @property
    def has_rule(self) -> bool:
        """Whether any run may be let go."""
        return any(rule is not None for rule in (self.keep_last, self.older_than, self.max_bytes))


class Garbage(Struct, frozen=True):
    """What a collection would remove."""

    runs: tuple[int, ...]
    artifacts: tuple[Artifact, ...]
    logs: int
    """Bytes, of these runs."""
    strays: "Pile"
    """What no record names."""
    checkpoints: "Pile"
    """Of jobs that no run is left to go on with."""
    code: "Pile"
    """Snapshots that were not used for a while."""
    kept_runs: int
    kept_bytes: int

    @property
    def bytes(self) -> int:
        """What it frees."""
        piles = self.strays.bytes + self.checkpoints.bytes + self.code.bytes
        return sum(each.bytes for each in self.artifacts) + self.logs + piles

    def __bool__(self) -> bool:
        """Whether there is anything to remove."""
        return bool(self.runs or self.artifacts or self.strays.paths or self.checkpoints.paths or self.code.paths)


class Pile(Struct, frozen=True):
    """Files and folders of one kind, and how many bytes they have."""

    paths: tuple[Path, ...]
    bytes: int


class Collector:
    """The garbage of one store."""

    def __init__(self, connection: Connection, layout: Layout, artifacts: Artifacts) -> None:
        self._db = connection
        self._layout = layout
        self._artifacts = artifacts

    def survey(self, retention: Retention) -> Garbage:
        """What could be removed now."""
        artifacts = {
            row["digest"]: Artifact(row["digest"], row["kind"], row["bytes"], row["files"])
            for row in self._db.execute("SELECT * FROM artifacts")
        }
        rows = self._db.execute(
            f"SELECT id, workflow, state, started, pinned, {CAN_BE_RESUMED} AS unfinished FROM runs ORDER BY id DESC"  # noqa: S608
        ).fetchall()
        logs = {row["id"]: size_of(self._layout.run(row["id"])) for row in rows}
        runs = self._choose(rows, retention, artifacts, logs)
        dropped = tuple(artifacts[each] for each in sorted(artifacts.keys() - digests_in_use(self._db, runs)))
        kept = sum(each.bytes for each in artifacts.values()) - sum(each.bytes for each in dropped)
        return Garbage(
            runs=tuple(sorted(runs)),
            artifacts=dropped,
            logs=sum(logs[run] for run in runs),
            strays=_pile([*self._strays(artifacts), *self._leftovers()]),
            checkpoints=_pile(self._checkpoints(runs)),
            code=_pile(self._unused_code()),
            kept_runs=len(rows) - len(runs),
            kept_bytes=kept + sum(bytes_ for run, bytes_ in logs.items() if run not in runs),
        )

    def collect(self, garbage: Garbage) -> int:
        """Remove it, but for what is needed again by now; returns how many bytes that freed."""
        with locked(self._layout.runs):  # one collection at a time
            return self._remove_leftovers() + self._remove(garbage)

    def _remove(self, garbage: Garbage) -> int:
        with in_use(self._layout.temporary):
            over = [run for run in garbage.runs if self._may_go(run)]
            freed = sum(size_of(self._layout.run(run)) for run in over)
            removed = remove_runs(self._db, self._layout, self._artifacts, over)
            with removing(self._db, self._layout, self._artifacts, beside_runs=True) as removal:
                named = {row[0] for row in removal.db.execute("SELECT digest FROM artifacts")}
                removal.drop(sorted(named - digests_in_use(removal.db)))
            freed += sum(each.bytes for each in (*removed, *removal.removed))
            for path in (*self._put_strays_aside(), *self._put_code_aside()):
                freed += size_of(path)
                remove_tree(path)
            for checkpoints in garbage.checkpoints.paths:
                bytes_ = size_of(checkpoints)
                state = StateFolder.acquire(self._layout, checkpoints.name)
                if state is not None:  # nobody goes on with it just now
                    state.release(keep=False)
                    freed += bytes_
            return freed

    def _choose(
        self, rows: Collection[Row], retention: Retention, artifacts: dict[str, Artifact], logs: dict[int, int]
    ) -> set[int]:
        """The runs to let go. `rows` are all there are, newest first."""
        if not retention.has_rule:
            return set()
        candidates = list(_let_go(rows, retention))
        if retention.max_bytes is None:
            return set(candidates)
        users: Counter[str] = Counter()
        outputs: dict[int, set[str]] = {}
        for row in self._db.execute("SELECT DISTINCT digest, run FROM outputs"):
            users[row["digest"]] += 1
            outputs.setdefault(row["run"], set()).add(row["digest"])
        held = digests_in_use(self._db, {row["id"] for row in rows})
        needed = held | users.keys()
        size = sum(each.bytes for digest, each in artifacts.items() if digest in needed) + sum(logs.values())
        chosen: set[int] = set()
        for run in sorted(candidates):
            if size <= retention.max_bytes:
                break
            chosen.add(run)
            users.subtract(outputs.get(run, ()))
            alone = (digest for digest in outputs.get(run, ()) if not users[digest] and digest not in held)
            size -= logs[run] + sum(artifacts[digest].bytes for digest in alone)
        return chosen

    def _may_go(self, run: int) -> bool:
        row = self._db.execute("SELECT state, pinned FROM runs WHERE id = ?", (run,)).fetchone()
        return row is not None and row["state"] != "running" and not row["pinned"]

    # What no record names

    def _strays(self, known: Collection[str]) -> Iterator[Path]:
        for path in self._layout.artifacts.glob("??/*"):
            if path.stem not in known:
                yield path
        runs = {str(row[0]) for row in self._db.execute("SELECT id FROM runs")}
        yield from (path for path in self._layout.runs.iterdir() if path.name not in runs)

    def _put_strays_aside(self) -> list[Path]:
        with locked(self._layout.artifacts):  # nobody is about to record any of it
            known = {row[0] for row in self._db.execute("SELECT digest FROM artifacts")}
            return [put_aside(self._layout, path) for path in list(self._strays(known))]

    def _leftovers(self) -> list[Path]:
        """What killed programs had begun to make or to remove, if nothing that lives is about to."""
        with unused(self._layout.temporary) as free:
            return list(self._layout.temporary.iterdir()) if free else []

    def _remove_leftovers(self) -> int:
        with unused(self._layout.temporary) as free:
            left = list(self._layout.temporary.iterdir()) if free else []
            freed = sum(map(size_of, left))
            for path in left:
                remove_tree(path)
            return freed

    def _checkpoints(self, without_runs: Collection[int]) -> Iterator[Path]:
        rows = self._db.execute("SELECT run, key_digest FROM jobs WHERE state != 'succeeded' AND key_digest NOT NULL")
        wanted = {row["key_digest"] for row in rows if row["run"] not in without_runs}
        yield from (path for path in self._layout.state.iterdir() if path.name not in wanted)

    def _unused_code(self) -> Iterator[Path]:
        oldest = self._db.execute("SELECT min(started) FROM runs WHERE state = 'running'").fetchone()[0]
        limit = time.time() - _IN_PASSING
        if oldest is not None:
            limit = min(limit, datetime.fromisoformat(oldest).timestamp() - _IN_PASSING)
        yield from (path for path in self._layout.code.iterdir() if path.stat().st_mtime < limit)

    def _put_code_aside(self) -> list[Path]:
        with locked(self._layout.code):
            return [put_aside(self._layout, path) for path in list(self._unused_code())]


def size_of(path: Path) -> int:
    """Bytes of all files below a path; links count as nothing, and neither does what goes while it is looked at."""
    total = 0
    waiting = [path]
    while waiting:
        with suppress(FileNotFoundError):
            here = waiting.pop()
            status = here.lstat()
            if stat.S_ISDIR(status.st_mode):
                waiting += here.iterdir()
            elif stat.S_ISREG(status.st_mode):
                total += status.st_size
    return total


def _pile(paths: Iterable[Path]) -> Pile:
    listed = tuple(paths)
    return Pile(listed, sum(map(size_of, listed)))


def _let_go(rows: Iterable[Row], retention: Retention) -> Iterator[int]:
    """The runs that no rule keeps."""
    limit = as_text(now() - retention.older_than) if retention.older_than is not None else None
    seen: dict[str, int] = {}
    has_good: set[str] = set()
    for row in rows:
        workflow = row["workflow"]
        position = seen.setdefault(workflow, 0)
        seen[workflow] += 1
        is_last_good = row["state"] == "succeeded" and workflow not in has_good
        if row["state"] == "succeeded":
            has_good.add(workflow)
        is_to_resume = position == 0 and row["unfinished"]
        kept = position < (retention.keep_last or 0) or ((is_last_good or is_to_resume) and retention.keep_last != 0)
        if not (kept or row["pinned"] or row["state"] == "running" or (limit is not None and row["started"] >= limit)):
            yield row["id"]
