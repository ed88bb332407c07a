"""Whether replicas that have just got traffic hold: they go on, answer without errors, and about as quickly."""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct

from wf.deployments.fleet import Fleet, Prepared, how_it_ended
from wf.deployments.proxy import Counts
from wf.deployments.spec import Rollout
from wf.errors import DeploymentFailed

FEW_ERRORS: Final = 3
"""So many errors are none yet."""
ENOUGH: Final = 20
"""So many answers say how long one takes."""
QUICK: Final = 0.01
"""Seconds. What is quicker counts as if it took so long: the proxy measures whole milliseconds."""

LAPSE: Final = 10.0
"""Seconds for which a replica may be not ready. A busy machine answers checks late, and a proxy that has just read its
configuration anew may have to find an address again, or be asked in vain. Nobody is sent to it meanwhile."""

_LOOK = 0.25


class Pace(Struct, frozen=True):
    """How fast replicas answer."""

    answers: int
    seconds: float
    """From a request to the head of its answer, on average over the last few hundred."""


def pace(counts: Mapping[str, Counts], names: Sequence[str]) -> Pace:
    """That of some replicas together."""
    known = [counts[name] for name in names if name in counts]
    answers = sum(each.requests for each in known)
    return Pace(answers, sum(each.requests * each.seconds for each in known) / answers if answers else 0.0)


def watch(
    fleet: Fleet,
    new: Prepared,
    fresh: Sequence[str],
    old: Sequence[str],
    before: Pace,
    rollout: Rollout,
    seconds: float,
) -> Pace:
    """See for some time whether replicas that have traffic do well.

    Args:
        fleet: all replicas.
        new: what those to watch are of.
        fresh: their names.
        old: the names of those that have traffic beside them.
        before: the pace of the old ones before.
        rollout: what they have to hold.
        seconds: for how long.

    Returns:
        The pace of the old replicas, newly measured where they have answered enough.

    Raises:
        DeploymentFailed: one of them ended or has not been ready for `LAPSE` seconds, too many of their answers are
            errors, or they take too long.
    """
    deadline = time.monotonic() + seconds
    lapses: dict[str, float] = {}
    while True:
        counts = fleet.counts()
        now = time.monotonic()
        # A proxy that does not answer, or does not know one yet, says nothing good of it.
        lapses = {name: lapses.get(name, now) for name in fresh if name not in counts or not counts[name].is_up}
        _check_that_all_go_on(fleet, new, fresh)
        _check_lapses(fleet, new, lapses, counts, now)
        known = [counts[name] for name in fresh if name in counts]
        requests, errors = sum(each.requests for each in known), sum(each.errors for each in known)
        if errors >= FEW_ERRORS and errors > rollout.max_error_rate * requests:
            raise DeploymentFailed(f"{errors} of its {requests} answers were errors")
        if time.monotonic() >= deadline and not lapses:
            break
        time.sleep(_LOOK)
    measured = pace(counts, old)
    if measured.answers >= ENOUGH:
        before = measured
    check_pace(before, pace(counts, fresh), sum(each.waiting for each in known), rollout.max_slowdown, seconds)
    return before


def check_pace(old: Pace, new: Pace, waiting: int, max_slowdown: float, seconds: float) -> None:
    """Raises `DeploymentFailed` where a revision is too slow.

    Args:
        old: the pace of the revision before.
        new: that of the revision in question.
        waiting: requests that it has not answered yet.
        max_slowdown: so many times may it take what the other one takes.
        seconds: for how long it had traffic.
    """
    if old.answers < ENOUGH:
        return
    most = max_slowdown * max(old.seconds, QUICK)
    if not new.answers and waiting >= FEW_ERRORS and seconds > most:
        raise DeploymentFailed(f"it has not answered one of {waiting} requests within {seconds:g} s")
    if new.answers >= ENOUGH and new.seconds > most:
        raise DeploymentFailed(
            f"its answers take {new.seconds * 1000:.0f} ms on average, those of the revision before "
            f"{old.seconds * 1000:.0f} ms: more than {max_slowdown:g} times as long"
        )


def _check_that_all_go_on(fleet: Fleet, new: Prepared, fresh: Collection[str]) -> None:
    found = {each.name: each for each in fleet.replicas()}
    for name in fresh:
        if name not in found:
            raise DeploymentFailed(f"{name} is gone")
        if found[name].restarts or found[name].phase != "running":
            raise fleet.failed(found[name], how_it_ended(found[name]), new)


def _check_lapses(
    fleet: Fleet, new: Prepared, lapses: Mapping[str, float], counts: Mapping[str, Counts], now: float
) -> None:
    """Raise `DeploymentFailed` for a replica that has not been ready for too long. `lapses`: since when, by name."""
    for each in fleet.replicas():
        seconds = now - lapses.get(each.name, now)
        if seconds >= LAPSE:
            said = counts[each.name].state if each.name in counts else "nothing"
            raise fleet.failed(each, f"has not been ready for {seconds:.0f} s: the proxy says {said}", new)
