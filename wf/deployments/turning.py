"""A deployment brought to what its record says, and turned to another revision."""

from wf.deployments.describe import revision, revisions
from wf.deployments.rollout import reconcile, replace, shadow
from wf.deployments.spec import Rollout
from wf.deployments.workplace import Workplace
from wf.errors import DeploymentFailed, EnvironmentProblem
from wf.store.deployments import DeploymentRecord
from wf.store.layout import remove_tree


def turn_to(place: Workplace, record: DeploymentRecord, number: int, rollout: Rollout, change: int) -> None:
    """Let another revision serve, or come back to the present one.

    Raises:
        DeploymentFailed: it did not come up or did not hold. The present one serves, and the change says so.
    """
    record = place.known(record.id)
    target = revision(record.number(number))

    def promote() -> None:
        place.store.deployments.set(
            record.id, revision=number, shadow=0, replicas=target.spec.replicas, enabled=target.spec.enabled
        )

    serving = record.enabled and record.replicas > 0
    if not (serving and target.spec.enabled and target.spec.replicas):
        if rollout.strategy == "shadow":
            raise EnvironmentProblem(f"`{record.name}` does not serve: there is nothing to shadow")
        promote()
        settle(place, record)
        return
    try:
        new = place.prepare(target)
        if rollout.strategy == "shadow":
            shadow(place.fleet(record), new, target.spec.replicas, record.revision, revisions(record), rollout)
            place.store.deployments.set(record.id, shadow=number)
            return
        replace(place.fleet(record), new, target.spec.replicas, revisions(record), rollout, promote)
    except BaseException as error:
        present = place.known(record.id)
        if present.revision == number and number != record.revision:
            raise  # it serves, and only the old replicas could not be removed: recovery does that
        place.tell(f"going back to revision {present.revision}")
        settle(place, present)
        if isinstance(error, DeploymentFailed):
            what = str(error)
            place.store.deployments.end_change(change, "rolled back", present.revision, what)
            message = f"revision {number} of `{record.name}` was rolled back: {what}"
            raise DeploymentFailed(message, hint=f"Revision {present.revision} serves.") from error
        raise


def settle(place: Workplace, record: DeploymentRecord) -> None:
    """Bring a deployment to what it is to be by its record. A shadow is no part of that."""
    place.store.deployments.set(record.id, shadow=0)
    record = place.known(record.id)
    if record.enabled:
        bring(place, record, record.revision)
    else:
        place.fleet(record).clear()


def bring(place: Workplace, record: DeploymentRecord, number: int) -> None:
    """Have its replicas of one revision, all requests on them, and nothing else."""
    wanted = place.prepare(revision(record.number(number)))
    reconcile(place.fleet(record), wanted, record.replicas, revisions(record))


def discard(place: Workplace, record: DeploymentRecord) -> None:
    """Remove all of it, and forget it."""
    place.fleet(record).clear()
    remove_tree(place.store.layout.predictions(record.id).parent)
    place.store.deployments.delete(record.id)
