"""Specs as people write them become the same record."""

from pathlib import Path

import pytest

from wf.deployments.parse import load_spec, parse_spec
from wf.deployments.spec import DeploymentSpec, ModelMount, Probe
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
