"""What jobs may ask about deployments: the requests, and the changes that they become."""

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from wf.control.http import Request, Response
from wf.deployments.handlers import deployment_handler
from wf.deployments.spec import Deployment, DeploymentSpec, Rollout
from wf.errors import DeploymentFailed, InvalidWorkflow

if TYPE_CHECKING:
    from wf.deployments.service import Deployments

SPEC = {"image": "tensorflow/serving", "port": 8501}


class Recorder:
    """Stands for the service, which needs containers; remembers what it was asked."""

    def __init__(self, *known: str) -> None:
        self.known = list(known)
        self.asked: list[tuple[Any, ...]] = []
        self.fails = False

    def list(self, name: str) -> list[Deployment]:
        """As the service does."""
        return [self._made(each) for each in self.known if each == name]

    def create(self, name: str, spec: DeploymentSpec, *, by: str, why: str) -> Deployment:
        """As the service does."""
        self.asked.append(("create", name, spec.port, by, why))
        return self._made(name)

    def update(self, name: str, spec: DeploymentSpec, *, by: str, why: str) -> Deployment:
        """As the service does, or fails."""
        self.asked.append(("update", name, spec.port, by, why, spec.rollout))
        if self.fails:
            raise DeploymentFailed("revision 2 of `it` was rolled back: it ended", hint="Revision 1 serves.")
        return self._made(name)

    def _made(self, name: str) -> Deployment:
        return Deployment("1", name, DeploymentSpec("x"), 1, "serving", "127.0.0.1:18500", None, None, "")


def send(service: Recorder, method: str, path: str, body: object = None) -> tuple[int, Any] | None:
    """Status and content of the answer, of a refusal its message; nothing where another handler is meant."""
    handle = deployment_handler(cast("Deployments", service), lambda request: request.by)
    answer: Response | None = handle(
        Request(method, path, {}, b"" if body is None else json.dumps(body).encode(), "Deploy", 7)
    )
    if answer is None:
        return None
    content = json.loads(answer.body)
    return answer.status, content if answer.status == 200 else content["message"]


def test_a_deployment_is_made_and_then_updated() -> None:
    """Who asks and why are handed on, and how it is to take over with the spec."""
    service = Recorder()
    rollout = {"strategy": "canary", "percent": "5", "watch": 1}
    given = {"spec": {**SPEC, "rollout": rollout}, "why": "better"}

    assert (send(service, "PUT", "/wf/v1/deployments/it", given) or [0])[0] == 200
    service.known.append("it")
    assert (send(service, "PUT", "/wf/v1/deployments/it", given) or [0])[0] == 200

    assert service.asked == [
        ("create", "it", 8501, "run 7, Deploy", "better"),
        ("update", "it", 8501, "run 7, Deploy", "better", Rollout("canary", 5.0, 1.0)),
    ]


def test_what_went_back_is_a_conflict() -> None:
    """With the reason, and what serves."""
    service = Recorder("it")
    service.fails = True

    assert send(service, "PUT", "/wf/v1/deployments/it", {"spec": SPEC}) == (
        409,
        "revision 2 of `it` was rolled back: it ended\nRevision 1 serves.",
    )


def test_a_deployment_is_shown_if_there_is_one() -> None:
    """The same that `wf deployments get --json` prints."""
    found = send(Recorder("it"), "GET", "/wf/v1/deployments/it")

    assert found
    assert (found[0], found[1]["name"], found[1]["endpoint"]) == (200, "it", "127.0.0.1:18500")
    assert send(Recorder(), "GET", "/wf/v1/deployments/it") == (404, "there is no deployment `it`")


def test_what_makes_no_sense_is_refused() -> None:
    """Before anything is asked of the service; what is not about deployments is left to others."""
    service = Recorder()

    with pytest.raises(InvalidWorkflow, match=r"^the request's body is no JSON object$"):
        send(service, "PUT", "/wf/v1/deployments/it", [])
    with pytest.raises(InvalidWorkflow, match=r"^a deployment needs an `image`$"):
        send(service, "PUT", "/wf/v1/deployments/it", {"spec": {}})
    assert send(service, "GET", "/wf/v1/datasets/it") is None
    assert send(service, "POST", "/wf/v1/deployments/it/stop", {}) is None
    assert service.asked == []
