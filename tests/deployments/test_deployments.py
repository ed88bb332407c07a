"""Deployments with real containers, a real proxy and real requests."""

from dataclasses import replace

import pytest

from tests.deployments.lab import Lab, Load, ask
from wf.errors import EnvironmentProblem

pytestmark = pytest.mark.docker


def test_a_deployment_serves_until_it_is_deleted(lab: Lab) -> None:
    """It answers at its port, tells its history, keeps its port when stopped, and leaves nothing when deleted."""
    made = lab.create(ANSWER="one")

    assert (made.state, made.revision, len(made.replicas)) == ("serving", 1, 1)
    assert ask(made) == (200, "one")
    assert made.endpoint_for_jobs is None or ask(replace(made, endpoint=made.endpoint_for_jobs)) == (200, "one")
    with pytest.raises(EnvironmentProblem, match=r"^there is a deployment `it` already$"):
        lab.create()

    empty = lab.deployments.scale("it", 0, by="me")
    assert empty.state == "scaled to zero"
    assert ask(empty) == (503, '{"error":"no replica of this deployment is ready"}')
    assert lab.deployments.stop("it", by="me", why="too dear").state == "stopped"
    assert lab.containers() == []
    lab.deployments.start("it", by="me")
    both = lab.deployments.scale("it", 2, by="me")
    assert (both.state, both.endpoint, len(both.replicas)) == ("serving", made.endpoint, 2)
    assert ask(both) == (200, "one")
    assert [(each.action, each.by, each.why, each.outcome) for each in both.history] == [
        ("create", "a test", "", "succeeded"),
        ("scale", "me", "", "succeeded"),
        ("stop", "me", "too dear", "succeeded"),
        ("start", "me", "", "succeeded"),
        ("scale", "me", "", "succeeded"),
    ]

    lab.deployments.delete("it", by="me")
    assert (lab.containers(), lab.networks(), lab.deployments.list()) == ([], [], [])
    assert list((lab.root / ".wf" / "deployments").iterdir()) == []


@pytest.mark.parametrize("strategy", ["rolling", "blue-green", "canary"])
def test_an_update_loses_no_request(lab: Lab, strategy: str) -> None:
    """Clients that never pause get only answers of the old and of the new revision, and at the end of the new one."""
    made = lab.create(replicas=2, ANSWER="old")

    with Load(made) as load:
        updated = lab.update(lab.spec(2, ANSWER="new"), strategy=strategy)  # type: ignore[arg-type]
        before = dict(load.answers)

    assert load.failures == []
    assert set(load.answers) == {(200, "old"), (200, "new")}
    assert load.answers[200, "old"] == before[200, "old"]
    assert (updated.revision, updated.state, ask(updated)) == (2, "serving", (200, "new"))
    assert len(lab.containers()) == 3
