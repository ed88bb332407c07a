"""The model case: the two workflows of a repository, one that trains and one that deploys, as Gradient ran them.

The training is a small stand-in for the true one: it takes a SavedModel that lies in the repository.
What serves it is the image that stands in for TensorFlow Serving.
"""

import contextlib
import json
import time
import urllib.request
from pathlib import Path

import pytest

from tests.deployments.lab import Lab
from tests.gradient.project import Gradient
from tests.programs.git_server import GitServer, Repository, serving

pytestmark = pytest.mark.docker

TRAIN = """
defaults:
  resources:
    instance-type: C4
  env:
    PAPERSPACE_API_KEY: secret:api_key_recommender

on:
  github:
    branches:
      only: main

jobs:

  # Get the code
  CloneRecRepo:
    outputs:
      repoRec:
        type: volume
    uses: git-checkout@v1
    with:
      url: REPOSITORY

  # Train on all of the data
  RecommenderTrain:
    needs:
      - CloneRecRepo
    inputs:
      repoRec: CloneRecRepo.outputs.repoRec
    env:
      HP_FINAL_EPOCHS: '50'
      HP_FINAL_LR: '0.1'
    outputs:
      trainedRecommender:
        type: dataset
        with:
          ref: recommender
    uses: script@v1
    with:
      script: |-
        cp -R /inputs/repoRec /Deep-Learning-Recommender
        cd /Deep-Learning-Recommender
        python3 train.py
      image: tensorflow/tensorflow:2.4.1-jupyter
"""

TRAINING = """
import os
import shutil
shutil.copytree("model-of-" + os.environ["HP_FINAL_EPOCHS"], "/outputs/trainedRecommender", dirs_exist_ok=True)
print("trained with a learning rate of", os.environ["HP_FINAL_LR"])
"""

DEPLOY = """
defaults:
  resources:
    instance-type: C4
  env:
    PAPERSPACE_API_KEY: secret:api_key_recommender

jobs:

  UploadModel:
    inputs:
      model:
        type: dataset
        with:
          ref: recommender
    outputs:
      model-id:
        type: string
    uses: create-model@v1
    with:
      name: trained-recommender
      type: Tensorflow

  CreateDeployment:
    needs:
      - UploadModel
    inputs:
      model-id: UploadModel.outputs.model-id
    outputs:
      deployment-id:
        type: string
    uses: script@v1
    with:
      script: |-
        gradient deployments create \\
          --deploymentType TFServing \\
          --modelId $(cat /inputs/model-id) \\
          --name "Recommender" \\
          --machineType C5 \\
          --imageUrl tensorflow/serving:latest-gpu \\
          --instanceCount 1 > /tmp/deployment
        cat /tmp/deployment
        awk 'NR==1 {print $NF}' /tmp/deployment | tee /outputs/deployment-id
      image: paperspace/gradient-sdk

  StartDeployment:
    needs:
      - UploadModel
      - CreateDeployment
    inputs:
      deployment-id: CreateDeployment.outputs.deployment-id
    uses: script@v1
    with:
      script: |-
        gradient deployments start --id $(cat /inputs/deployment-id)
      image: paperspace/gradient-sdk
"""

REQUEST = {
    "signature_name": "serving_default",
    "instances": [{"movie_title": "Devils Advocate, The (1997)", "timestamp": 892870992, "user_id": "587"}],
}


def save_model(folder: Path, rating: float) -> None:
    """A SavedModel that takes what the article's takes, and rates everything the same."""
    import tensorflow as tf

    kinds = {"movie_title": tf.string, "timestamp": tf.int64, "user_id": tf.string}

    class Recommender(tf.Module):  # type: ignore[misc]
        def rate(self, user_id: tf.Tensor, **rest: tf.Tensor) -> dict[str, tf.Tensor]:
            ratings = tf.fill([tf.size(user_id), 1], rating)
            return {"output_1": ratings / 2, "output_3": ratings}

    module = Recommender()
    specs = {name: tf.TensorSpec([None], kind, name) for name, kind in kinds.items()}
    tf.saved_model.save(module, str(folder), signatures=tf.function(module.rate).get_concrete_function(**specs))


def wait_until_available(model: str) -> None:
    """Until the server has loaded the model at this address."""
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(model, timeout=10) as answer:
            if json.load(answer)["model_version_status"][0]["state"] == "AVAILABLE":
                return
        assert time.monotonic() < deadline, f"{model} does not answer"
        time.sleep(0.2)


def test_both_workflows_run_and_a_prediction_is_answered(client_and_server: Gradient, tmp_path: Path) -> None:
    """From the clone to the rating, without an account: the key that they name is set nowhere."""
    client = client_and_server
    repository = Repository(tmp_path / "repository")
    save_model(repository.folder / "model-of-50", 50.0)
    repository.commit(train_py=TRAINING)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "recommender.git").symlink_to(repository.folder / ".git")

    with serving(GitServer(tmp_path / "served")) as server:
        client.run(TRAIN.replace("REPOSITORY", f"{server.address}/recommender.git"))
    assert client.story() == ["CloneRecRepo succeeded", "RecommenderTrain succeeded"]
    assert client.log("RecommenderTrain") == ["trained with a learning rate of 0.1"]

    client.run(DEPLOY)
    assert client.story() == ["UploadModel succeeded", "CreateDeployment succeeded", "StartDeployment succeeded"]
    assert client.log("StartDeployment") == ["Deployment started"]

    made = Lab(tmp_path, "").deployments.get("Recommender")
    assert client.output("CreateDeployment", "deployment-id").read_text() == f"{made.id}\n"
    model = f"http://{made.endpoint}/v1/models/model"
    wait_until_available(model)
    body = json.dumps(REQUEST).encode()
    with urllib.request.urlopen(f"{model}:predict", body, timeout=10) as answer:
        assert json.load(answer) == {"predictions": [{"output_1": [25.0], "output_3": [50.0]}]}
