"""Two replicas of the real model server behind the proxy: REST, gRPC, and the prediction log that they share."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.deployments.lab import Lab, ask
from tests.projects import REPOSITORY, make_project
from tests.serving.saved_models import half_plus
from wf.deployments.spec import Deployment, DeploymentSpec, ModelMount, PredictionLog, Probe
from wf.store import Store

pytestmark = pytest.mark.docker


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("served")
    make_project(root, "jobs: {}")
    (root / "wf.toml").write_text((REPOSITORY / "wf.toml").read_text())
    half_plus(root / "half", 2.0)
    Store.open(root).datasets.import_path("half", root / "half")
    made = Lab(root, "tensorflow/serving")
    yield made
    made.clean()


@pytest.fixture(name="served", scope="module")
def _served(lab: Lab) -> Deployment:
    spec = DeploymentSpec(
        image=lab.image,
        command=("--engine=tf",),
        env={"MODEL_NAME": "half", "MODEL_BASE_PATH": "/models"},
        port=8501,
        grpc_port=8500,
        replicas=2,
        models=(ModelMount("half", "/models/half"),),
        readiness=Probe(path="/v1/models/half", period=2.0, timeout=2.0),
        prediction_log=PredictionLog(),
    )
    return lab.deployments.create("half", spec, by="a test")


def predict(stub: Any, *values: float) -> list[float]:
    """What the published client gets for a batch."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(list(values), tf.float32))
    return list(tf.make_ndarray(stub.Predict(request, timeout=30, wait_for_ready=True).outputs["y"]))


def test_grpc_is_balanced_and_outlives_a_replica(lab: Lab, served: Deployment) -> None:
    """One channel reaches both replicas: when one of them goes, its calls go on."""
    assert served.grpc_endpoint
    with grpc.insecure_channel(served.grpc_endpoint) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answers = [predict(stub, 2.0, number) for number in range(20)]
        one = lab.deployments.scale("half", 1, by="a test")
        answers += [predict(stub, 2.0, number) for number in range(20)]

    assert answers == [[3.0, number / 2 + 2] for number in range(20)] * 2
    assert len(one.replicas) == 1


def test_the_prediction_log_is_whole_and_belongs_to_the_user(lab: Lab, served: Deployment) -> None:
    """Every row that any replica was asked is in it once, REST and gRPC, and `delete` removes it."""
    body = json.dumps({"instances": [100.0, 101.0]}).encode()
    for _ in range(20):
        assert ask(served, "/v1/models/half:predict", body)[0] == 200

    stopped = lab.deployments.stop("half", by="a test")

    assert stopped.prediction_log
    folder = Path(stopped.prediction_log) / "half" / "1" / "serving_default"
    files = list(folder.glob("*.parquet"))
    logged = pl.concat([pl.read_parquet(path) for path in files])
    assert {path.stat().st_uid for path in files} == {os.getuid()}
    assert len(files) >= 2, "each of the two replicas has written one"
    assert logged.filter(pl.col("input_x") >= 100).sort("input_x")["output_y"].to_list() == [52.0] * 20 + [52.5] * 20
    assert len(logged) == 2 * 40 + 2 * 20
    lab.deployments.delete("half", by="a test")
    assert not folder.exists()
    assert lab.containers() == []
