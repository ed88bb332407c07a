"""Tests of `steps.recommender.precision`: products of 16 bits in training."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from steps.recommender.config import TrainingConfig
from steps.recommender.precision import lower_type
from tests.steps.recommender.test_models import BATCH, build


def learned(precision: str, model: str, steps: int = 60) -> tuple[float, Any]:
    """The RMSE on what a small model has learned, and the model."""
    trained = build(model=model, precision=precision, optimizer="adam", learning_rate=0.02, layers=(16, 8))
    step = tf.function(trained.train_step)
    batch = {name: tf.constant(column) for name, column in BATCH.items()}
    for _ in range(steps):
        step(batch)
    return float(np.sqrt(np.mean(np.square(trained.predict_ratings(BATCH) - BATCH["rating"])))), trained


@pytest.mark.parametrize("model", ["ranking", "dcn"])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_training_of_16_bits_comes_to_the_same(precision: str, model: str) -> None:
    """It learns other numbers, but as well, and neither weights nor answers have fewer bits."""
    full, whole = learned("float32", model)
    mixed, trained = learned(precision, model)

    assert mixed == pytest.approx(full, abs=0.05)
    assert full < 0.8
    assert {weight.dtype for weight in trained.weights if weight.dtype.is_floating} == {tf.float32}
    assert trained.predict_ratings(BATCH).dtype == np.float32
    assert any((ours != theirs).any() for ours, theirs in zip(trained.get_weights(), whole.get_weights(), strict=True))


def test_small_gradients_survive_16_bits() -> None:
    """Gradients of a ten-thousandth of a mean's are those of float32, but for the last digits."""
    gradients = {}
    for precision in ("float32", "mixed_float16"):
        model = build(precision=precision, layers=(16, 8))
        with tf.GradientTape() as tape:
            loss = model.compute_loss({name: tf.constant(column) for name, column in BATCH.items()}, training=True)
            small = loss * 1e-6
        gradients[precision] = tape.gradient(small, model.hidden[1].kernel).numpy() * 1e6

    spread = float(np.abs(gradients["float32"]).max())
    assert gradients["mixed_float16"] == pytest.approx(gradients["float32"], abs=0.02 * spread)


def test_without_a_gpu_auto_is_float32() -> None:
    """And so figures of machines without one stay what they were."""
    assert lower_type(TrainingConfig()) is None
    assert lower_type(TrainingConfig(precision="mixed_bfloat16")) == tf.bfloat16


def test_precision_is_for_models_with_hidden_layers() -> None:
    """Of others nothing would change."""
    with pytest.raises(ValidationError, match="precision is for the models ranking and dcn, not for mf"):
        TrainingConfig(model="mf", precision="mixed_float16")
