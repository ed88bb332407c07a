"""Tests of `steps.recommender.replicas`, on two logical CPUs in the place of GPUs."""

import json
import subprocess
import sys

from tests.projects import REPOSITORY

COMPARE = """
import json
import numpy as np
import steps.recommender
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from steps.recommender import replicas, training
from steps.recommender.config import LEARN_FROM_ROWS, TrainingConfig
from steps.recommender.models import build_model
from tests.steps.recommender.test_models import BATCH, SCALE, TITLES, VOCABULARY
from steps.recommender.models import Basis

found = {}
for name in LEARN_FROM_ROWS:
    config = TrainingConfig(model=name, embedding_size=4, layers=(8,), optimizer="adam", learning_rate=0.01, l2=0.1)
    trained = {}
    for strategy in (tf.distribute.get_strategy(), replicas.mirrored(["CPU:0", "CPU:1"])):
        with strategy.scope():
            model = build_model(config, Basis(VOCABULARY, SCALE, 3.5, TITLES, BATCH))
        step = training.compile_step(model, BATCH, strategy)
        # Batches of 5 leave one of a single row, which one of two replicas has to itself.
        results = [training.train_epoch(model, step, [BATCH], 5) for _ in range(3)]
        trained[strategy.num_replicas_in_sync] = (model.get_weights(), results[-1], model.predict_ratings(BATCH))
    one, two = trained[1], trained[2]
    found[name] = {
        "weights": max(float(np.abs(a - b).max()) for a, b in zip(one[0], two[0])),
        "loss": abs(one[1]["total_loss"] - two[1]["total_loss"]),
        "answers": float(np.abs(one[2] - two[2]).max()),
    }
print(json.dumps(found))
"""


def test_two_replicas_learn_what_one_learns() -> None:
    """After three epochs of every model that can be replicated, weights, losses and answers agree to rounding."""
    ended = subprocess.run([sys.executable, "-c", COMPARE], cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr[-2000:]
    for name, differences in json.loads(ended.stdout.splitlines()[-1]).items():
        assert max(differences.values()) < 1e-4, (name, differences)
