"""Deployments with real containers, a real proxy and real requests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from tests.deployments.lab import GIVEN_UP, Lab, Load, ask, kill
from tests.projects import REPOSITORY
from wf.deployments import proxy, service, watch
from wf.deployments.ports import free_ports
from wf.deployments.spec import DeploymentSpec, ModelMount, Probe, Rollout, Strategy
from wf.errors import DeploymentFailed, EnvironmentProblem
from wf.store import Store

pytestmark = pytest.mark.docker

WITH_SHELL = proxy.PROCESSES + 1
"""Processes in the proxy's container."""


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


def test_updates_lose_no_request(lab: Lab) -> None:
    """Under each strategy, clients that never pause get answers of the old and then of the new revision only."""
    made = lab.create(replicas=2, ANSWER="1")

    with Load(made) as load:
        for answer, strategy in (("2", "rolling"), ("3", "blue-green"), ("4", "canary")):
            # Pauses of a busy machine are not what this is about.
            updated = lab.update(lab.spec(2, ANSWER=answer), cast("Strategy", strategy), max_slowdown=100)
            before = load.answers.copy()
            assert ask(updated) == (200, answer)

    assert load.failures == []
    assert set(load.answers) == {(200, answer) for answer in "1234"}
    assert load.answers[200, "3"] == before[200, "3"]
    assert (updated.revision, updated.state, updated.endpoint) == (4, "serving", made.endpoint)
    assert len(lab.containers()) == 3


def test_a_revision_that_does_not_hold_goes_back(lab: Lab) -> None:
    """One that ends, one never ready, one that answers errors, and a slow one: the old one serves all the while."""
    lab.secrets["KEY"] = "open-sesame"
    broken = replace(lab.spec(ANSWER="broken", BROKEN="1"), secrets={"KEY": "KEY"})
    silent = replace(lab.spec(ANSWER="slow", WAIT="60"), startup=Probe(period=0.5, failures=2))
    made = lab.create(ANSWER="good")

    with Load(made) as load:
        with pytest.raises(DeploymentFailed) as ended:
            lab.update(broken)
        with pytest.raises(DeploymentFailed, match=r"was not ready within 1 s$"):
            lab.update(silent, "blue-green")
        assert set(load.answers) == {(200, "good")}
        with pytest.raises(DeploymentFailed, match=r"of its \d+ answers were errors$"):
            lab.update(lab.spec(ANSWER="wrong", ERRORS="1"), "canary", watch=10, percent=30)
        with pytest.raises(DeploymentFailed, match=r"ms on average, those of the revision before \d+ ms: more than 2 "):
            lab.update(lab.spec(ANSWER="slow", SLOW="0.5"), "blue-green", watch=5, max_slowdown=2)

    now = lab.deployments.get("it")
    assert load.failures == []
    assert (now.state, now.revision, ask(now)) == ("serving", 1, (200, "good"))
    assert [each.outcome for each in now.history] == ["succeeded", *["rolled back"] * 4]
    assert "cannot read the model; the key is ***" in str(ended.value)
    assert len(lab.containers()) == 2


def test_a_shadow_is_compared_until_it_is_promoted(lab: Lab) -> None:
    """It gets copies of requests and its answers reach nobody; what differs is told; then it takes over."""
    made = lab.create(ANSWER='{"predictions": [1.0]}')
    spec = lab.spec(ANSWER='{"predictions": [1.5]}')

    with pytest.raises(EnvironmentProblem, match=r"^`it` has no shadow$"):
        lab.deployments.promote("it", by="me")
    with Load(made) as load:
        begun = lab.update(spec, "shadow", percent=100)
        ends = time.monotonic() + 60
        while not ((now := lab.deployments.get("it")).shadow and now.shadow.compared > 10):
            assert time.monotonic() < ends, now.shadow
            time.sleep(0.2)
        assert set(load.answers) == {(200, '{"predictions": [1.0]}')}
        promoted = lab.deployments.promote("it", by="me", rollout=Rollout("blue-green", watch=0.5))

    assert (begun.revision, begun.state, len(begun.replicas)) == (1, "serving", 2)
    assert (now.shadow.revision, now.shadow.percent, now.shadow.equal, now.shadow.errors) == (2, 100, 0, 0)
    assert (now.shadow.mean_difference, now.shadow.largest_difference) == (0.5, 0.5)
    assert (promoted.revision, promoted.shadow) == (2, None)
    assert (ask(promoted), load.failures) == ((200, '{"predictions": [1.5]}'), [])
    assert len(lab.containers()) == 2

    lab.update(spec, "shadow")
    discarded = lab.deployments.discard("it", by="me")
    assert (discarded.revision, discarded.shadow, len(lab.containers())) == (2, None, 2)
    assert [each.action for each in discarded.history] == [
        "create",
        "promote",
        "shadow",
        "promote",
        "shadow",
        "discard",
    ]
    assert [each.outcome for each in discarded.history[1:3]] == ["failed", "succeeded"]


def test_a_deployment_that_does_not_come_up_leaves_nothing(lab: Lab) -> None:
    """No container, network or record; what it printed is told."""
    with pytest.raises(DeploymentFailed, match="cannot read the model"):
        lab.create(BROKEN="1")

    assert (lab.containers(), lab.networks(), lab.deployments.list()) == ([], [], [])


def test_a_killed_replica_comes_back(lab: Lab) -> None:
    """Its requests go to the other one; at most what it was working on is lost."""
    made = lab.create(replicas=2)
    clients = 4

    with Load(made, clients) as load:
        kill(made.replicas[0].id)
        before, _ = load.counts()
        deadline = time.monotonic() + 30
        while (now := lab.deployments.get("it")).state != "serving" or not any(each.restarts for each in now.replicas):
            assert time.monotonic() < deadline, now
            time.sleep(0.2)

    answered, lost = load.counts()
    assert answered > before
    assert lost <= clients


def test_a_change_sends_nothing_to_a_replica_that_is_down(lab: Lab) -> None:
    """The proxy reads its configuration anew and still knows what its checks have found."""
    probe = Probe(path="/ready", period=0.5, timeout=0.5, failures=2)
    made = lab.deployments.create("it", replace(lab.spec(2), readiness=probe), by="me")
    hung = made.replicas[0].name
    os.kill(lab.processes(hung)[1], signal.SIGSTOP)  # after the engine's own first one
    deadline = time.monotonic() + 30
    while all(each.ready for each in lab.deployments.get("it").replicas):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    with Load(made) as load:
        lab.deployments.scale("it", 3, by="me")
        deadline = time.monotonic() + 30
        counts = lab.counts()
        while sum(each.requests > 0 for each in counts.values()) < 2:
            assert time.monotonic() < deadline, counts
            time.sleep(0.1)
            counts = lab.counts()

    assert (counts[hung].requests, counts[hung].waiting) == (0, 0)
    assert load.failures == []


def test_a_replica_that_hangs_does_not_take_all_clients(lab: Lab) -> None:
    """It gets no more while others have fewer requests, so that those go on, long before its probe has failed."""
    made = lab.deployments.create("it", replace(lab.spec(2), readiness=Probe(path="/ready", failures=1000)), by="me")
    hung = made.replicas[0].name
    process = lab.processes(hung)[1]  # after the engine's own first one
    clients = 6

    with Load(made, clients) as load:
        os.kill(process, signal.SIGSTOP)
        try:
            before, _ = load.counts()
            deadline = time.monotonic() + GIVEN_UP
            while load.counts()[0] < before + 500:
                assert time.monotonic() < deadline, load.counts()
                time.sleep(0.1)
            waiting = lab.counts()[hung].waiting
        finally:
            os.kill(process, signal.SIGCONT)

    assert 0 < waiting < clients
    assert load.failures == []


def test_an_update_does_not_wait_for_others_who_ask_the_proxy(lab: Lab) -> None:
    """What they run in its container is no worker that still answers, nor a new one."""
    lab.create()
    container = next(name for name in lab.containers() if "-proxy-" in name)
    subprocess.run(["docker", "exec", "--detach", container, "sleep", "200"], check=True)

    updated = lab.update(lab.spec(ANSWER="new"))

    assert (updated.revision, ask(updated)) == (2, (200, "new"))
    lab.await_processes(container, WITH_SHELL + 1)  # theirs is left alone


def test_a_replica_with_quick_errors_loses_no_prediction(lab: Lab) -> None:
    """It has the fewest requests, and so gets most of them; another one answers those, and the errors are known."""
    made = lab.create(replicas=2, SLOW="0.02")
    broken, well = (each.name for each in made.replicas)
    lab.let(broken, be="errors")

    with Load(made) as load:
        deadline = time.monotonic() + 30
        while load.counts()[0] < 100:
            assert time.monotonic() < deadline, load.counts()
            time.sleep(0.1)

    counts = lab.counts()
    assert (set(load.answers), load.failures) == ({(200, "hello")}, [])
    assert counts[broken].errors == counts[broken].requests > 0
    assert counts[well].errors == 0


def test_only_a_replica_that_stays_away_is_not_ready_any_more(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that a busy machine answers late says nothing against a revision. What was seen of the other is told."""
    with Load(lab.create(ANSWER="1")) as load, ThreadPoolExecutor() as executor:
        updated = executor.submit(lab.update, _quickly_checked(lab, "2"), "canary", percent=50, watch=3)
        canary = _await_requests(lab, revision=2)
        lab.let(canary, be="unready")
        while lab.counts()[canary].is_up and not updated.done():
            time.sleep(0.05)
        time.sleep(0.6)  # `wf` looks twice in this
        lab.let(canary, be="well")
        assert updated.result().revision == 2

        monkeypatch.setattr(watch, "LAPSE", 1.0)
        updated = executor.submit(lab.update, _quickly_checked(lab, "3"), "canary", percent=50, watch=60)
        lab.let(_await_requests(lab, revision=3), be="unready")
        with pytest.raises(DeploymentFailed, match=r"has not been ready for \d+ s: the proxy says DOWN L7STS 500; it "):
            updated.result()
    assert (load.failures, lab.deployments.get("it").revision) == ([], 2)


def _quickly_checked(lab: Lab, answer: str) -> DeploymentSpec:
    return replace(lab.spec(ANSWER=answer), readiness=Probe(path="/ready", period=0.3, failures=2))


def _await_requests(lab: Lab, revision: int) -> str:
    """The name of a revision's only replica, once it has had a request."""
    deadline = time.monotonic() + 60
    while True:
        if any("-proxy-" in name for name in lab.containers()):
            for name, counts in lab.counts().items():
                if name.startswith(f"wf-it-{revision}-") and counts.requests:
                    return name
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_proxy_forgets_replicas_that_are_gone(lab: Lab) -> None:
    """It would ask the network for their names for ever, and be slow to begin anew where nobody answers that."""
    lab.create()
    made = lab.update(lab.spec(2))
    assert (made.state, set(lab.counts())) == ("serving", {each.name for each in made.replicas})

    made = lab.deployments.scale("it", 1, by="me")

    assert (made.state, set(lab.counts())) == ("serving", {each.name for each in made.replicas})


def test_a_killed_proxy_comes_back(lab: Lab) -> None:
    """Also after it has been given another configuration, with which it goes on; HAProxy alone in its container."""
    made = lab.create(ANSWER="old")
    lab.update(lab.spec(ANSWER="new"))
    container = next(name for name in lab.containers() if "-proxy-" in name)

    for number in (1, 2):  # its master, and then its worker
        before = lab.await_processes(container, WITH_SHELL)
        os.kill(before[number], signal.SIGKILL)
        while before[number] in lab.await_processes(container, WITH_SHELL):
            time.sleep(0.1)
        lab.await_answer(made, "new")
    assert lab.restarts(container) == 0
    kill(container)
    while not lab.restarts(container):  # until then what was killed may still answer
        time.sleep(0.1)
    lab.await_answer(made, "new")
    assert lab.restarts(container) == 1


def test_a_replica_that_hangs_is_started_again(lab: Lab) -> None:
    """Its liveness probe ends it and the engine starts it, while no wf does anything; how it was is in its log."""
    probe = Probe(path="/ready", period=0.5, failures=2)
    made = lab.deployments.create("it", replace(lab.spec(), liveness=probe), by="me")
    replica = made.replicas[0].name

    os.kill(lab.processes(replica)[1], signal.SIGSTOP)  # after the engine's own first one

    deadline = time.monotonic() + 60
    while not lab.restarts(replica):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    lab.await_answer(made, "hello")
    lines = lab.deployments.logs("it")[replica]
    assert "wf: the liveness probe failed 2 times in a row: this replica is ended" in lines


def test_an_update_whose_wf_was_killed_is_undone(lab: Lab) -> None:
    """The next look at the deployment finds the old revision serving, and nothing of the new one."""
    made = lab.create(ANSWER="old")
    spec = lab.spec(ANSWER="new", WAIT="300")
    code = (
        "import sys; from pathlib import Path; from tests.deployments.lab import Lab; "
        "from wf.deployments.spec import DeploymentSpec; import json; "
        "Lab(Path(sys.argv[1]), '').update(DeploymentSpec.from_json(json.loads(sys.argv[2])))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(lab.root), json.dumps(spec.to_json())], cwd=REPOSITORY)
    while len(lab.containers()) < 3:
        assert child.poll() is None
        time.sleep(0.1)
    assert lab.deployments.get("it").state == "updating"
    with pytest.raises(EnvironmentProblem, match=r"^`it` is being changed by another wf$"):
        lab.deployments.stop("it", by="me")

    child.kill()
    child.wait()

    now = lab.deployments.get("it")
    assert (now.state, now.revision, ask(now)) == ("serving", 1, (200, "old"))
    assert (now.history[-1].outcome, now.history[-1].detail) == ("rolled back", "its wf was killed")
    assert len(lab.containers()) == 2
    assert lab.deployments.get("it").endpoint == made.endpoint


def test_a_model_in_use_stays(lab: Lab) -> None:
    """It is shown read-only, a folder with `saved_model.pb` as version 1, and its content outlives its dataset."""
    (lab.root / "model").mkdir()
    (lab.root / "model" / "saved_model.pb").write_text("weights")
    store = Store.open(lab.root)
    store.datasets.import_path("net", lab.root / "model")
    base = lab.spec(MODEL_BASE_PATH="/", MODEL_NAME="model")
    made = lab.deployments.create("it", replace(base, models=(ModelMount("net", "/model"),)), by="me")

    assert ask(made, "/1/saved_model.pb") == (200, "weights")
    store.datasets.delete("net")
    assert lab.deployments.model_folders("it")[0].exists()
    lab.deployments.delete("it", by="me")


def test_secrets_are_in_the_replica_and_not_in_the_store(lab: Lab) -> None:
    """The log masks them, the store has their names, and one that is missing is said before anything starts."""
    spec = replace(lab.spec(), secrets={"KEY": "API_KEY"})
    with pytest.raises(EnvironmentProblem, match=r"^secret `API_KEY` is not set$"):
        lab.deployments.create("it", spec, by="me")
    assert lab.containers() == []

    lab.secrets["API_KEY"] = "open-sesame"
    lab.deployments.create("it", spec, by="me")

    assert [line for lines in lab.deployments.logs("it").values() for line in lines] == ["the key is ***"]
    kept = b"".join(path.read_bytes() for path in (lab.root / ".wf").rglob("*") if path.is_file())
    assert b"open-sesame" not in kept
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(EnvironmentProblem, match=r"is taken$"):
        lab.deployments.create("second", lab.spec(), by="me", port=other.getsockname()[1])


def test_a_port_that_somebody_else_was_quicker_to_take_is_left_to_him(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is found, unless that one was asked for; a stopped deployment that lost its port says so."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        found = iter([(taken, taken + 1)])
        monkeypatch.setattr(service, "free_ports", lambda *_: next(found, None) or free_ports(set(), None))

        made = lab.create(ANSWER="hello")

    assert made.endpoint != f"127.0.0.1:{taken}"
    assert ask(made) == (200, "hello")
    lab.deployments.stop("it", by="me")
    port = int(made.endpoint.rpartition(":")[2])
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(EnvironmentProblem, match=rf"belongs to another program: {port} or \d+$"),
    ):
        lab.deployments.start("it", by="me")


def test_without_an_engine_deployments_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    with pytest.raises(EnvironmentProblem) as caught:
        Lab(tmp_path, "").deployments.list()

    assert str(caught.value) == (
        "deployments need a Docker engine: "
        "no Docker engine answers at unix:///nowhere/docker.sock: nothing listens there"
    )
    assert caught.value.hint == "Start Docker, or set DOCKER_HOST to where it listens."
