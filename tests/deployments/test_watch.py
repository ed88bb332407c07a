"""When a revision is too slow to stay."""

import pytest

from wf.deployments.proxy import Counts
from wf.deployments.watch import Pace, check_pace, pace
from wf.errors import DeploymentFailed


def test_the_pace_of_replicas_is_weighed_by_their_answers() -> None:
    """One that the proxy does not know counts for nothing, and none at all have no pace."""
    counts = {
        "a": Counts(is_up=True, is_ready=True, requests=30, seconds=0.01),
        "b": Counts(is_up=True, is_ready=True, requests=10, seconds=0.05),
    }

    assert pace(counts, ["a", "b", "c"]) == Pace(40, 0.02)
    assert pace(counts, ["c"]) == Pace(0, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "waiting"),
    [
        (Pace(100, 0.1), Pace(100, 0.2), 0),
        (Pace(100, 0.001), Pace(100, 0.02), 0),
        (Pace(19, 0.1), Pace(100, 9.0), 0),
        (Pace(100, 0.1), Pace(19, 9.0), 0),
        (Pace(100, 0.1), Pace(0, 0.0), 2),
        (Pace(100, 9.0), Pace(0, 0.0), 100),
    ],
    ids=["twice as slow", "milliseconds", "too few before", "too few", "hardly asked", "slow anyway"],
)
def test_a_revision_that_is_quick_enough_stays(old: Pace, new: Pace, waiting: int) -> None:
    """Also where there is too little to go by."""
    check_pace(old, new, waiting, max_slowdown=2, seconds=10)


def test_a_revision_that_is_too_slow_goes() -> None:
    """Or one that gets requests and answers none."""
    with pytest.raises(DeploymentFailed) as slow:
        check_pace(Pace(100, 0.1), Pace(100, 0.21), 0, max_slowdown=2, seconds=10)
    with pytest.raises(DeploymentFailed) as silent:
        check_pace(Pace(100, 0.1), Pace(0, 0.0), 5, max_slowdown=2, seconds=10)

    assert str(slow.value) == (
        "its answers take 210 ms on average, those of the revision before 100 ms: more than 2 times as long"
    )
    assert str(silent.value) == "it has not answered one of 5 requests within 10 s"
