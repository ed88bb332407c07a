"""Changes of a deployment: one at a time, each recorded with its outcome, and ended by others if its `wf` was killed.

A change holds a lock while it goes on. The next command that looks at the deployment of a `wf` that was killed finds
the lock free and the change under way: it then brings the deployment to the revision that serves by the history.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from wf.deployments.describe import is_under_way
from wf.deployments.turning import discard, settle
from wf.deployments.workplace import Workplace
from wf.errors import EnvironmentProblem, WfError
from wf.store import Store
from wf.store.deployments import DeploymentRecord, Outcome

KILLED: Final = "its wf was killed"
_TURNS = ("update", "shadow", "promote", "rollback")


class OpenChange(Struct, frozen=True):
    """A change that goes on."""

    id: int
    record: DeploymentRecord
    """The deployment as it was before."""


@contextmanager
def changing(place: Workplace, ref: str, action: str, by: str, why: str) -> Iterator[OpenChange]:
    """One change of a deployment, recorded with its outcome.

    Raises:
        EnvironmentProblem: another `wf` changes it.
    """
    found = place.known(ref)
    with locked(place.store, found.id, found.name):
        record = _recover(place, place.known(ref))
        change = place.store.deployments.begin_change(record.id, action, record.revision, by, why)
        try:
            yield OpenChange(change, record)
        except BaseException as error:
            _end(place.store, record.id, change, error)
            raise
        _end(place.store, record.id, change, None)


@contextmanager
def locked(store: Store, deployment: str, name: str) -> Iterator[None]:
    """Let one `wf` at a time change a deployment; the lock ends with its process.

    Raises:
        EnvironmentProblem: another one does.
    """
    store.layout.deployments.mkdir(exist_ok=True)
    place = store.layout.deployments / f"{deployment}.lock"
    descriptor = os.open(place, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "Wait for its end, or stop it."
            raise EnvironmentProblem(f"`{name}` is being changed by another wf", hint=hint) from None
        try:
            yield
        finally:
            if store.deployments.find(deployment) is None:
                place.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def recovered(place: Workplace, record: DeploymentRecord) -> DeploymentRecord:
    """The same, unless a change broke off that nobody carries out any more: that is ended first."""
    if not is_under_way(record):
        return record
    try:
        with locked(place.store, record.id, record.name):
            return _recover(place, place.known(record.id))
    except EnvironmentProblem:
        return record  # somebody does, or it cannot be mended now


def _recover(place: Workplace, record: DeploymentRecord) -> DeploymentRecord:
    if not is_under_way(record):
        return record
    broken = record.changes[-1]
    place.tell(f"`{record.name}`: the last {broken.action} broke off")
    if record.revision == 0 or broken.action == "delete":
        discard(place, record)
        message = f"deployment `{record.name}` is removed: {KILLED} during its {broken.action}"
        raise EnvironmentProblem(message, hint="Create it anew.")
    settle(place, record)
    is_done = broken.action not in _TURNS or record.revision != broken.revision
    outcome: Outcome = "succeeded" if is_done else "rolled back"
    place.store.deployments.end_change(broken.id, outcome, record.revision, KILLED)
    return place.known(record.id)


def _end(store: Store, deployment: str, change: int, error: BaseException | None) -> None:
    record = store.deployments.find(deployment)
    if record is None or all(each.outcome != "under way" for each in record.changes):
        return
    if error is None:
        store.deployments.end_change(change, "succeeded", record.revision)
    else:
        what = str(error) if isinstance(error, WfError) else type(error).__name__
        store.deployments.end_change(change, "failed", record.revision, what)
