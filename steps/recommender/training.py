"""The training loop, in the shape that all models share: build, train an epoch, evaluate, keep the best."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.entry import StepError
from steps.recommender import checkpoint, data, metrics
from steps.recommender.checkpoint import Checkpoint
from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns, RatingScale, Split
from steps.recommender.history import EpochRecord
from steps.recommender.models import build_model, predict_ratings
from steps.recommender.vocabulary import Vocabulary

TrainStep = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]
"""Learns from one batch of columns; returns `loss`, `total_loss` and the model's metrics, each a scalar."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a model learns from and is chosen by, as columns of embedding rows."""

    train: Columns
    validation: Columns
    vocabulary: Vocabulary
    scale: RatingScale

    def digest(self) -> str:
        """A fingerprint of all of it: SHA-256 in hexadecimal."""
        vocabulary = hashlib.sha256("\0".join((*self.vocabulary.users, "", *self.vocabulary.titles)).encode())
        parts = (data.digest(self.train), data.digest(self.validation), vocabulary.hexdigest(), repr(self.scale))
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Training:
    """A finished training: the model has the weights of `best_epoch`."""

    model: tfrs.models.Model
    history: Sequence[EpochRecord]
    best_epoch: int


def encode_training_data(split: Split) -> TrainingData:
    """Build the vocabulary of the training rows and look training and validation rows up in it.

    What only validation knows is unknown here, as what is new tomorrow will be unknown to the served model.
    """
    vocabulary = Vocabulary.of(split.train)
    train, validation = (data.encode(part, vocabulary) for part in (split.train, split.validation))
    return TrainingData(train, validation, vocabulary, split.scale)


def prepare_device() -> str:
    """Make TensorFlow repeatable and modest with GPU memory; say which device it will use."""
    tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, enable=True)
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return f"GPU {', '.join(names)}" if names else "CPU"


def train_and_evaluate(
    config: TrainingConfig,
    training_data: TrainingData,
    *,
    state: Path,
    report: Callable[[EpochRecord], None],
) -> Training:
    """Train until `config.epochs`, or until early stopping, and return the model of the best epoch.

    Continues from the checkpoint in `state` if it is of the same parameters and data. `report` gets every epoch as
    soon as it is done, and first those that were done before an interruption.

    Raises:
        StepError: the training diverged.
    """
    model = build_model(
        config, training_data.vocabulary, training_data.scale, mean=float(np.mean(training_data.train["rating"]))
    )
    step = compile_step(model, training_data.train)
    fingerprint = _fingerprint(config, training_data)
    progress = checkpoint.load(state, fingerprint) or _not_started(model, fingerprint)
    if progress.history:
        print(f"continuing after epoch {len(progress.history)} of an interrupted training", flush=True)
        for record in _records(progress):
            report(record)
        model.set_weights(progress.weights)
        _set_variables(model.optimizer.variables, progress.optimizer)

    while not _is_finished(progress, config):
        record = _run_epoch(model, step, training_data, config, epoch=len(progress.history) + 1)
        progress = _advance(progress, model, record)
        checkpoint.save(progress, state)
        report(record)

    model.set_weights(progress.best_weights)
    return Training(model, _records(progress), progress.best_epoch)


def compile_step(model: tfrs.models.Model, columns: Columns) -> TrainStep:
    """`model.train_step` as one graph for batches of any size, traced before the first epoch's clock starts."""
    batch = {name: tf.TensorSpec([None], column.dtype) for name, column in columns.items()}
    step = tf.function(model.train_step, input_signature=[batch])
    step.get_concrete_function()
    compiled: TrainStep = step
    return compiled


def train_epoch(model: tfrs.models.Model, step: TrainStep, rows: Columns, size: int) -> dict[str, float]:
    """One pass over `rows` in batches of `size`: the mean `loss` and `total_loss`, and the model's metrics."""
    model.reset_metrics()
    results = [
        (len(batch["rating"]), step({name: tf.constant(column) for name, column in batch.items()}))
        for batch in data.batches(rows, size)
    ]
    weights = np.array([count for count, _ in results]) / data.count_rows(rows)
    means = {
        name: float(weights @ np.array([float(result[name]) for _, result in results]))
        for name in ("loss", "total_loss")
    }
    return {**{name: float(value) for name, value in results[-1][1].items()}, **means}


def evaluate(model: tfrs.models.Model, columns: Columns) -> float:
    """The RMSE of the model's answers to `columns`."""
    return metrics.rmse(columns["rating"], predict_ratings(model, columns))


def _run_epoch(
    model: tfrs.models.Model, step: TrainStep, training_data: TrainingData, config: TrainingConfig, *, epoch: int
) -> EpochRecord:
    started = time.perf_counter()
    hide = {"user": config.hide_users, "title": config.hide_titles}
    rows = data.epoch_rows(training_data.train, seed=config.seed, epoch=epoch, hide=hide)
    trained = train_epoch(model, step, rows, config.batch_size)
    seconds = time.perf_counter() - started
    validation_rmse = evaluate(model, training_data.validation)
    if not np.isfinite([trained["total_loss"], validation_rmse]).all():
        raise StepError(
            f"the training diverged: in epoch {epoch} the loss is {trained['total_loss']}. "
            f"Lower learning_rate, which is {config.learning_rate}."
        )
    return EpochRecord(
        epoch=epoch,
        loss=trained["loss"],
        total_loss=trained["total_loss"],
        rmse=trained["rmse"],
        validation_rmse=validation_rmse,
        seconds=seconds,
        examples_per_second=data.count_rows(rows) / seconds,
    )


def _fingerprint(config: TrainingConfig, training_data: TrainingData) -> str:
    # The step's own parameters, such as where to track, do not change what is learned.
    parameters = config.model_dump(include=set(TrainingConfig.model_fields), mode="json")
    return hashlib.sha256(f"{parameters} {training_data.digest()} {tf.__version__}".encode()).hexdigest()


def _not_started(model: tfrs.models.Model, fingerprint: str) -> Checkpoint:
    return Checkpoint(fingerprint, [], (), (), best_epoch=0, best_weights=model.get_weights())


def _advance(progress: Checkpoint, model: tfrs.models.Model, record: EpochRecord) -> Checkpoint:
    weights = model.get_weights()
    best_before = min((past["validation_rmse"] for past in progress.history), default=np.inf)
    is_best = record.validation_rmse < best_before
    return Checkpoint(
        fingerprint=progress.fingerprint,
        history=[*progress.history, asdict(record)],
        weights=weights,
        optimizer=[variable.numpy() for variable in model.optimizer.variables],
        best_epoch=record.epoch if is_best else progress.best_epoch,
        best_weights=weights if is_best else progress.best_weights,
    )


def _is_finished(progress: Checkpoint, config: TrainingConfig) -> bool:
    done = len(progress.history)
    waited = done - progress.best_epoch
    return done >= config.epochs or (0 < config.early_stopping <= waited)


def _set_variables(variables: Sequence[tf.Variable], values: checkpoint.Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _records(progress: Checkpoint) -> list[EpochRecord]:
    return [EpochRecord(**record) for record in progress.history]
