"""The training loop, in the shape that all models share: build, train an epoch, evaluate, keep the best."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from steps.entry import StepError
from steps.recommender import checkpoint, data, replicas
from steps.recommender.allocation import keep_freed_memory
from steps.recommender.checkpoint import Checkpoint
from steps.recommender.config import WITH_FEATURES, TrainingConfig
from steps.recommender.data import Columns
from steps.recommender.history import EpochRecord
from steps.recommender.models import RatingModel, build_model
from steps.recommender.precision import lower_type
from steps.recommender.stored_columns import StoredColumns
from steps.recommender.training_data import TrainingData, read_training_data
from steps.recommender.validation import validate, validate_lists

TrainStep = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]
"""Learns from one batch of columns; returns `loss`, `total_loss` and the model's metrics, each a scalar."""


class DivergedError(StepError):
    """Steps were too large: the loss is no longer a number."""


@dataclass(frozen=True, slots=True)
class Training:
    """A finished training: the model has the weights of `best_epoch`."""

    model: RatingModel
    history: Sequence[EpochRecord]
    best_epoch: int

    @property
    def validation_rmse(self) -> float:
        """That of the best epoch."""
        return self.best.validation_rmse

    @property
    def best(self) -> EpochRecord:
        """The epoch whose weights were kept."""
        return self.history[self.best_epoch - 1]


def begin(split: Path, config: TrainingConfig, scratch: Path) -> TrainingData:
    """Read what a step trains on and say what it is; rows that memory does not hold go into `scratch`.

    Raises:
        StepError: the folder is no split, or lacks training or validation rows.
    """
    training_data = read_training_data(split, config, scratch / "rows")
    train, validation = (data.count_rows(rows) for rows in (training_data.train, training_data.validation))
    vocabulary = training_data.vocabulary
    print(
        f"{training_data.dataset}: {train:,} training rows, {validation:,} validation rows, "
        f"{len(vocabulary.users):,} users, {len(vocabulary.titles):,} titles"
    )
    if isinstance(training_data.train, StoredColumns):
        print("rows are streamed from disk")
    keep_freed_memory()
    device, lower = prepare_device(), lower_type(config)
    multiplying = f", multiplying in {lower.name}" if lower and config.model in WITH_FEATURES else ""
    print(f"device: {device}{multiplying}", flush=True)
    return training_data


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
    strategy = replicas.strategy_for(config)
    with strategy.scope():
        model = build_model(config, training_data.basis())
    if training_data.start:
        training_data.start.prepare(model)
    rows = training_data.learned()
    step = compile_step(model, rows, strategy)
    fingerprint = _fingerprint(config, training_data)
    progress = checkpoint.load(state, fingerprint) or _not_started(model, fingerprint)
    if progress.history:
        print(f"continuing after epoch {len(progress.history)} of an interrupted training", flush=True)
        for record in _records(progress):
            report(record)
        model.set_weights(progress.weights)
        _set_variables(model.optimizer.variables, progress.optimizer)

    while not _is_finished(progress, config):
        record = _run_epoch(model, step, rows, training_data, config, epoch=len(progress.history) + 1)
        progress = _advance(progress, model, record)
        checkpoint.save(progress, state)
        report(record)

    model.set_weights(progress.best_weights)
    model.remember(training_data.train)
    return Training(model, _records(progress), progress.best_epoch)


def compile_step(model: RatingModel, columns: Columns, strategy: Any = None) -> TrainStep:
    """`model.train_step` as one graph for batches of any size, traced before the first epoch's clock starts.

    With the `strategy` of several devices, in whose scope the model was built, each learns from its share of a batch.
    """
    several = strategy is not None and strategy.num_replicas_in_sync > 1
    train_step = replicas.replicated_step(model, strategy) if several else model.train_step
    signature = model.batch_signature(data.take(columns, 0, 0))
    step = tf.function(train_step, input_signature=[signature], autograph=model.needs_autograph)
    step.get_concrete_function()
    compiled: TrainStep = step
    return compiled


def train_epoch(model: RatingModel, step: TrainStep, parts: Iterable[Columns], size: int) -> dict[str, float]:
    """One pass over the rows in batches of `size`: the mean `loss` and `total_loss`, and the model's metrics."""
    model.reset_metrics()
    rows, sums, latest = 0, dict.fromkeys(("loss", "total_loss"), 0.0), {}
    for part in parts:
        results = [
            (count, step({name: tf.constant(column) for name, column in batch.items()}))
            for count, batch in model.training_batches(part, size)
        ]
        counts = np.array([count for count, _ in results])
        for name in sums:
            sums[name] += float(counts @ np.array([float(result[name]) for _, result in results]))
        rows, latest = rows + data.count_rows(part), results[-1][1]
    means = {name: total / rows for name, total in sums.items()}
    return {**{name: float(value) for name, value in latest.items()}, **means}


def _run_epoch(
    model: RatingModel,
    step: TrainStep,
    learned: Columns,
    training_data: TrainingData,
    config: TrainingConfig,
    *,
    epoch: int,
) -> EpochRecord:
    started = time.perf_counter()
    hide = {"user": config.hide_users, "title": config.hide_titles}
    size = config.batch_size
    whole = model.learns_from_whole
    rows = data.epoch_parts(learned, seed=config.seed, epoch=epoch, hide=hide, size=size, whole=whole)
    trained = train_epoch(model, step, rows, size)
    seconds = time.perf_counter() - started
    if model.answers_from_rows:
        model.remember(training_data.train)
    validation_rmse = validate(model, training_data)
    if not np.isfinite([trained["total_loss"], validation_rmse]).all():
        raise DivergedError(
            f"the training diverged: in epoch {epoch} the loss is {trained['total_loss']}. "
            f"Lower learning_rate, which is {config.learning_rate}."
        )
    return EpochRecord(
        epoch=epoch,
        loss=trained["loss"],
        total_loss=trained["total_loss"],
        rmse=trained["rmse"],
        validation_rmse=validation_rmse,
        validation_ndcg=validate_lists(model, training_data),
        seconds=seconds,
        examples_per_second=data.count_rows(learned) / seconds,
    )


def _fingerprint(config: TrainingConfig, training_data: TrainingData) -> str:
    # The step's own parameters, such as where to track, do not change what is learned.
    parameters = config.model_dump(include=set(TrainingConfig.model_fields), mode="json")
    start = training_data.start.fingerprint if training_data.start else ""
    of = (parameters, training_data.digest(), start, training_data.only_after, tf.__version__)
    return hashlib.sha256(" ".join(map(str, of)).encode()).hexdigest()


def _not_started(model: RatingModel, fingerprint: str) -> Checkpoint:
    return Checkpoint(fingerprint, [], (), (), best_epoch=0, best_weights=model.get_weights())


def _advance(progress: Checkpoint, model: RatingModel, record: EpochRecord) -> Checkpoint:
    weights = model.get_weights()
    best_before = min((past.badness for past in _records(progress)), default=np.inf)
    is_best = record.badness < best_before
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
