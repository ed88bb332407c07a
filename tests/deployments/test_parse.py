"""Specs as people write them become the same record."""

from pathlib import Path
from typing import cast

import pytest

from wf.deployments.checks import check_spec
from wf.deployments.parse import load_spec, parse_spec
from wf.deployments.spec import DeploymentSpec, ModelMount, PredictionLog, Probe, Rollout, Strategy
from wf.errors import InvalidWorkflow, Problem
from wf.source import excerpt

OLDER = """
image: https://tensorflow/serving
port: 8501
env:
  - {name: MODEL_NAME, value: recommender}
  - {name: TIMEOUT, value: 5}
  - {name: KEY, value: secret:KEY}
models: {id: mo123, path: /opt/models/recommender}
resources: {instanceType: C5, replicas: 2}
healthchecks:
  readiness: {path: /v1/models/recommender, periodSeconds: 5}
"""
NEWER = """
apiVersion: v1
name: movies
image: tensorflow/serving
env: {MODEL_NAME: recommender, TIMEOUT: 5, KEY: secret:KEY}
integrations:
  - {type: model, id: mo123, path: /opt/models/recommender}
resources: {machineType: C5, replicas: 2, ports: [8501]}
healthChecks:
  readiness: {path: /v1/models/recommender, periodSeconds: 5}
"""
MEANT = DeploymentSpec(
    image="tensorflow/serving",
    env={"MODEL_NAME": "recommender", "TIMEOUT": "5"},
    secrets={"KEY": "KEY"},
    port=8501,
    replicas=2,
    models=(ModelMount("mo123", "/opt/models/recommender"),),
    readiness=Probe(path="/v1/models/recommender", period=5.0),
)


@pytest.mark.parametrize("text", [OLDER, NEWER])
def test_both_generations_mean_the_same(text: str, tmp_path: Path) -> None:
    """A spec that a Gradient client took is taken here."""
    path = tmp_path / "spec.yaml"
    path.write_text(text)

    assert load_spec(path, lambda problem: pytest.fail(problem.message)) == MEANT


def test_a_spec_survives_being_stored() -> None:
    """Plain data and back."""
    assert DeploymentSpec.from_json(MEANT.to_json()) == MEANT


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    """With its place."""
    path = tmp_path / "spec.yaml"
    path.write_text("port: many\nresources: {replicas: few}\nmodels: [{path: /x}]\nregion: here\nimag: x\n")
    warnings: list[Problem] = []

    with pytest.raises(InvalidWorkflow) as caught:
        load_spec(path, warnings.append)

    assert [excerpt(each).replace(f"{tmp_path}/", "").splitlines()[:2] for each in caught.value.problems] == [
        ["error: a deployment needs an `image`", " --> spec.yaml:1:1"],
        ["error: `many` is not a whole number", " --> spec.yaml:1:7"],
        ["error: `few` is not a whole number", " --> spec.yaml:2:23"],
        ["error: a model needs its `id`", " --> spec.yaml:3:10"],
    ]
    assert [each.message for each in warnings] == ["`imag` means nothing in a deployment"]


def test_what_is_not_followed_is_said() -> None:
    """Autoscaling and private registries by name have no place here."""
    warnings: list[Problem] = []

    parse_spec({"image": "x", "resources": {"autoscaling": {"maxReplicas": 3}}}, warnings.append)

    assert [each.message for each in warnings] == ["`autoscaling` is not followed"]


def test_a_rollout_and_a_prediction_log_are_stated() -> None:
    """`true` is a log of everything; what is not said is as it would be without."""
    spec = parse_spec(
        {
            "image": "x",
            "rollout": {"strategy": "canary", "percent": 5, "maxErrorRate": 0.01, "maxSlowdown": 1.5},
            "predictionLog": {"sampling": 0.1, "hash": ["user_id"], "seconds": 10, "maxBytes": "1MiB"},
        }
    )

    assert spec.rollout == Rollout("canary", 5.0, 10.0, 0.01, 1.5)
    assert spec.prediction_log == PredictionLog(0.1, ("user_id",), 10.0, 1 << 20)
    assert parse_spec({"image": "x", "predictionLog": True}).prediction_log == PredictionLog()
    assert DeploymentSpec.from_json(spec.to_json()) == spec
    older = {**spec.to_json(), "prediction_log": True}
    del older["rollout"]
    assert DeploymentSpec.from_json(older) == DeploymentSpec("x", prediction_log=PredictionLog())


def test_a_rollout_or_a_log_that_cannot_be_is_refused() -> None:
    """Each thing with what would do."""
    spec = DeploymentSpec(
        "x",
        rollout=Rollout(cast("Strategy", "sudden"), 101, -1, 2, 0.5),
        prediction_log=PredictionLog(0, ("user_id",), 0),
    )

    with pytest.raises(InvalidWorkflow) as caught:
        check_spec(spec)

    assert [problem.message for problem in caught.value.problems] == [
        "`sudden` is no strategy: rolling, blue-green, canary, shadow are",
        "a canary or a shadow gets more than 0 and at most 100 percent of the requests, not 101",
        "a rate of errors is from 0 to 1, not 2",
        "a revision cannot be watched for -1 s",
        "a revision may at least be as slow as the one before: 0.5 is less than 1",
        "hashes in the prediction log need a key that all replicas share: set PREDICTION_LOG_KEY, best to a secret",
        "the prediction log needs seconds and bytes above 0",
        "the share of requests in the prediction log is above 0 and at most 1, not 0",
    ]
