"""How a replica's command becomes one that is watched."""

import shlex

import pytest

from wf.deployments.liveness import PLACE, watched
from wf.deployments.spec import Probe


@pytest.mark.parametrize(
    ("probe", "check"),
    [
        (Probe(path="/alive"), "wget -q -Y off -O /dev/null http://127.0.0.1:8501/alive"),
        (Probe(path="/alive", port=9000), "wget -q -Y off -O /dev/null http://127.0.0.1:9000/alive"),
        (Probe(), f"nc 127.0.0.1 8501 -e {PLACE} true"),
    ],
)
def test_a_replica_is_asked_by_http_or_by_connecting(probe: Probe, check: str) -> None:
    """By the watcher's own programs, at the probe's port or else at the deployment's."""
    command = watched(("serve",), probe, 8501, patience=60)

    assert command[:3] == (PLACE, "sh", "-c")
    assert command[5] == f"{PLACE} timeout 1 {PLACE} {check}"


def test_a_command_is_run_as_it_is() -> None:
    """A probe's own words stay apart from one another, and so do the replica's."""
    probe = Probe(command=("cat", "a file"), initial_delay=2, period=0.5, timeout=2.5, failures=4)

    command = watched(("serve", "--name", "my model"), probe, 80, patience=60)

    assert shlex.split(command[5]) == [PLACE, "timeout", "3", "cat", "a file"]
    assert command[6:] == ("60", "2", "0.5", "4", "10", "serve", "--name", "my model")
