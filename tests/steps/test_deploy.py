"""The step `deploy` asks `wf` for what its inputs say, and reports what serves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steps.deploy import main
from wf.control.control import API, LOOPBACK, Control
from wf.control.http import Request, Response, error_response, json_response

MADE = {
    "name": "movies", "id": "1", "revision": 3, "shadow": None, "state": "serving",
    "endpoint": "127.0.0.1:18500", "grpc_endpoint": "127.0.0.1:18501",
}  # fmt: skip


@pytest.fixture(name="asked")
def _asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What was asked of `wf`, which refuses deployments named `bad`."""
    asked: list[Any] = []

    def handle(request: Request) -> Response:
        asked.append((request.method, request.path, request.json()))
        if request.path.endswith("/bad"):
            return error_response(409, "revision 2 of `bad` was rolled back: it ended. Revision 1 serves.")
        return json_response({"ratings": [3.5]} if request.method == "POST" else MADE)

    control = Control(1, ["Deploy"], [handle], lambda: LOOPBACK)
    monkeypatch.setenv(API, control.environment("Deploy", "p1")[API])
    yield asked
    control.close()


@pytest.fixture(name="folders")
def _folders(tmp_path: Path) -> list[str]:
    """The flags of a step that is to deploy the model `mo1`."""
    (tmp_path / "inputs" / "decision").mkdir(parents=True)
    (tmp_path / "inputs" / "model_id").write_text("mo1\n")
    (tmp_path / "inputs" / "decision" / "decision.json").write_text('{"why": "RMSE -0.01: not worse"}')
    return [f"--inputs-dir={tmp_path / 'inputs'}", f"--outputs-dir={tmp_path / 'outputs'}"]


def test_a_model_is_rolled_out_and_asked(asked: list[Any], folders: list[str], tmp_path: Path) -> None:
    """The gate's words are the reason; the deployment has answered before the step ends well."""
    flags = ["--deployment=movies", "--strategy=canary", "--percent=5", "--watch=1", "--replicas=2"]
    flags += ["--log-sampling=0.1", "--log-hash=user_id"]

    assert main([*flags, *folders]) == 0

    (_, path, wanted), (_, probe, _) = asked
    assert (path, probe) == ("/wf/v1/deployments/movies", "/wf/v1/deployments/movies/predict")
    assert wanted["why"] == "model mo1; RMSE -0.01: not worse"
    assert wanted["spec"]["rollout"] == {
        "strategy": "canary", "percent": 5, "watch": 1, "maxErrorRate": 0.05, "maxSlowdown": 3
    }  # fmt: skip
    assert wanted["spec"]["models"] == [{"id": "mo1", "path": "/models/recommender"}]
    assert wanted["spec"]["resources"] == {"replicas": 2}
    assert wanted["spec"]["predictionLog"] == {"sampling": 0.1, "hash": ["user_id"]}
    assert wanted["spec"]["env"]["PREDICTION_LOG_KEY"] == "secret:PREDICTION_LOG_KEY"
    told = json.loads((tmp_path / "outputs" / "deployment" / "deployment.json").read_text())
    assert told["url"] == "http://127.0.0.1:18500/v1/models/recommender:predict"
    assert (told["revision"], told["model"]) == (3, "mo1")


def test_a_model_that_went_back_fails_the_step(
    asked: list[Any], folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason, and without a result."""
    assert main(["--deployment=bad", *folders]) != 0

    assert len(asked) == 1
    assert "was rolled back: it ended. Revision 1 serves." in capsys.readouterr().err
    assert not list((tmp_path / "outputs").rglob("deployment.json"))
