"""How a new revision takes the place of an old one, and how a deployment is brought to what it is to be.

Traffic leaves a replica before the replica goes: it is routed elsewhere, what is under way ends, then it is removed.
"""

from collections.abc import Callable, Mapping, Sequence

from wf.deployments.fleet import Fleet, Prepared, revision_of
from wf.deployments.mirror import Mirror
from wf.deployments.spec import Revision, Rollout
from wf.deployments.watch import pace, watch


def reconcile(fleet: Fleet, wanted: Prepared, replicas: int, revisions: Mapping[int, Revision]) -> None:
    """Have so many replicas of a revision, all requests on them, and nothing else.

    Raises:
        DeploymentFailed: a replica that was missing did not come up. Those that serve go on serving.
    """
    number = wanted.revision.number
    there = fleet.of(number)
    good = [each.name for each in there if each.phase == "running"][:replicas]
    fleet.remove(each for each in there if each.phase == "exited")
    fresh = [fleet.start(wanted) for _ in range(replicas - len(good))]
    others = [each.name for each in fleet.replicas() if revision_of(each) != number]
    fleet.route(_equal(good or others), revisions)
    try:
        fleet.await_ready(fresh, wanted)
    except BaseException:
        fleet.remove(fresh)
        raise
    kept = {*good, *fresh}
    if fresh:
        fleet.route(_equal([*good, *fresh]), revisions)
    superfluous = [each for each in fleet.replicas() if each.name not in kept]
    if superfluous:
        fleet.settle()
        fleet.remove(superfluous)
        fleet.route(_equal([*good, *fresh]), revisions)
        fleet.await_checks([*good, *fresh])
    fleet.remove_comparer()


def replace(
    fleet: Fleet,
    new: Prepared,
    replicas: int,
    revisions: Mapping[int, Revision],
    rollout: Rollout,
    promote: Callable[[], None],
) -> None:
    """Put a new revision in the place of whatever serves.

    `promote` is called when the new revision has held and before the last of the old one goes: from then on it is the
    one to come back to.

    Raises:
        DeploymentFailed: it did not come up or did not hold. Old and new replicas are left as they are then.
    """
    old = [each.name for each in fleet.replicas() if revision_of(each) != new.revision.number]
    if rollout.strategy == "rolling":
        _rolling(fleet, new, replicas, old, revisions, rollout)
    else:
        _beside(fleet, new, replicas, old, revisions, rollout)
    promote()
    fleet.remove(old)
    serving = [each.name for each in fleet.of(new.revision.number)]
    fleet.route(_equal(serving), revisions)
    fleet.await_checks(serving)
    fleet.remove_comparer()


def shadow(
    fleet: Fleet, new: Prepared, replicas: int, serving: int, revisions: Mapping[int, Revision], rollout: Rollout
) -> None:
    """Let a revision be asked what the one that serves is asked, and compare the answers.

    Raises:
        DeploymentFailed: it did not come up. All that serves is left as it is.
    """
    number = new.revision.number
    old = [each.name for each in fleet.of(serving)]
    fresh = [fleet.start(new) for _ in range(replicas)]
    fleet.route(_equal(old), revisions)
    fleet.await_ready(fresh, new)
    fleet.remove(each for each in fleet.replicas() if revision_of(each) not in (serving, number))
    fleet.remove_comparer()
    comparer = fleet.start_comparer(fresh, new.revision.spec.port)
    fleet.route(_equal(old), revisions, Mirror(comparer, rollout.percent / 100))


def _rolling(
    fleet: Fleet,
    new: Prepared,
    replicas: int,
    old: Sequence[str],
    revisions: Mapping[int, Revision],
    rollout: Rollout,
) -> None:
    fresh: list[str] = []
    before = pace(fleet.counts(), old)
    for number in range(1, replicas + 1):
        left = list(old[number:]) if number < replicas else []
        serving = [*fresh, *old[number - 1 :]]
        fresh.append(fleet.start(new))
        fleet.route(_equal(serving), revisions)
        fleet.await_ready(fresh[-1:], new)
        fleet.route(_equal([*fresh, *left]), revisions)
        fleet.settle()
        before = watch(fleet, new, fresh, left, before, rollout, rollout.watch / replicas)
        if left:
            fleet.remove(old[number - 1 : number])


def _beside(
    fleet: Fleet,
    new: Prepared,
    replicas: int,
    old: Sequence[str],
    revisions: Mapping[int, Revision],
    rollout: Rollout,
) -> None:
    before = pace(fleet.counts(), old)
    there = [each.name for each in fleet.of(new.revision.number) if each.phase == "running"]
    fresh = [*there, *(fleet.start(new) for _ in range(replicas - len(there)))]
    fleet.route(_equal(old), revisions)
    fleet.await_ready(fresh, new)
    if rollout.strategy == "canary" and old:
        fleet.route(_equal(fresh, rollout.percent) | _equal(old, 100 - rollout.percent), revisions)
        before = watch(fleet, new, fresh, old, before, rollout, rollout.watch)
    fleet.route(_equal(fresh), revisions)
    fleet.settle()
    if rollout.strategy != "canary":
        watch(fleet, new, fresh, [], before, rollout, rollout.watch)


def _equal(names: Sequence[str], together: float = 1.0) -> dict[str, float]:
    """The share of each replica where all have the same."""
    return {name: together / len(names) for name in names}
