"""The training loop, in the shape that all models share: build, train an epoch, evaluate, keep the best."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf

from steps.entry import StepError
from steps.recommender import checkpoint, data, lists, metrics, replicas
from steps.recommender.checkpoint import Checkpoint
from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns, RatingScale, Split
from steps.recommender.features import TitleTable
from steps.recommender.history import EpochRecord
from steps.recommender.list_requests import ListRequests
from steps.recommender.models import Basis, RatingModel, build_model
from steps.recommender.profiles import Profiles, encode
from steps.recommender.vocabulary import Vocabulary

TrainStep = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]
"""Learns from one batch of columns; returns `loss`, `total_loss` and the model's metrics, each a scalar."""


class DivergedError(StepError):
    """Steps were too large: the loss is no longer a number."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a training begins that does not begin with random weights."""

    fingerprint: str
    """Tells it from others."""
    prepare: Callable[[RatingModel], None]
    """Sets the weights of a model that was just built."""
    learned_until: int
    """When the last rating was given that these weights learned from, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a model learns from and is chosen by, as columns of embedding rows."""

    train: Columns
    validation: Columns
    validation_in_turn: Columns
    """The training rows of the validation rows' users and then the validation rows, with `owner`."""
    vocabulary: Vocabulary
    scale: RatingScale
    titles: TitleTable
    users: Profiles | None = None
    start: Start | None = None
    only_after: int | None = None
    """Epochs are of the training rows after this moment, in seconds since 1970, where not of all."""

    @property
    def learned_until(self) -> int:
        """When the last rating was given that the weights will have learned from."""
        return max(self.start.learned_until if self.start else 0, int(self.train["timestamp"].max()))

    def learned(self) -> Columns:
        """The rows of an epoch.

        Raises:
            StepError: there is none.
        """
        if self.only_after is None:
            return self.train
        new = self.train["timestamp"] > self.only_after
        if not new.any():
            raise StepError(
                "no training row is newer than those that the earlier model learned from: there is nothing new"
            )
        return {name: column[new] for name, column in self.train.items()}

    def basis(self) -> Basis:
        """What a model may know before it learns."""
        mean = float(np.mean(self.train["rating"]))
        return Basis(self.vocabulary, self.scale, mean, self.titles, self.train, self.users)

    def digest(self) -> str:
        """A fingerprint of all of it: SHA-256 in hexadecimal."""
        vocabulary = hashlib.sha256("\0".join((*self.vocabulary.users, "", *self.vocabulary.titles)).encode())
        parts = (data.digest(self.train), data.digest(self.validation), vocabulary.hexdigest(), repr(self.scale))
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


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


def encode_training_data(split: Split, *, with_profiles: bool = False) -> TrainingData:
    """Build the vocabulary of the training rows and look training and validation rows up in it.

    What only validation knows is unknown here, as what is new tomorrow will be unknown to the served model.
    `with_profiles` adds what is known of users, also of new ones.
    """
    vocabulary = Vocabulary.of(split.train)
    people = split.users if with_profiles else None
    profiles = Profiles.of(people, vocabulary) if people is not None else None
    train, validation = (encode(part, vocabulary, profiles, people) for part in (split.train, split.validation))
    users = split.validation["user_id"].unique()
    earlier = split.train.filter(pl.col("user_id").is_in(users.implode()))
    in_turn = data.encode_in_turn([earlier, split.validation], vocabulary)
    titles = TitleTable.of(split.train, split.items, vocabulary)
    return TrainingData(train, validation, in_turn, vocabulary, split.scale, titles, profiles)


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
    step = tf.function(train_step, input_signature=[model.batch_signature(columns)])
    step.get_concrete_function()
    compiled: TrainStep = step
    return compiled


def train_epoch(model: RatingModel, step: TrainStep, rows: Columns, size: int) -> dict[str, float]:
    """One pass over `rows` in batches of `size`: the mean `loss` and `total_loss`, and the model's metrics."""
    model.reset_metrics()
    results = [
        (count, step({name: tf.constant(column) for name, column in batch.items()}))
        for count, batch in model.training_batches(rows, size)
    ]
    weights = np.array([count for count, _ in results]) / data.count_rows(rows)
    means = {
        name: float(weights @ np.array([float(result[name]) for _, result in results]))
        for name in ("loss", "total_loss")
    }
    return {**{name: float(value) for name, value in results[-1][1].items()}, **means}


def evaluate(model: RatingModel, columns: Columns) -> float:
    """The RMSE of the model's answers to `columns`."""
    return metrics.rmse(columns["rating"], model.predict_ratings(columns))


def validate(model: RatingModel, training_data: TrainingData) -> float:
    """The RMSE of what would be served for the validation rows: with the user's earlier ratings, where models ask."""
    if not model.remembers:
        return evaluate(model, training_data.validation)
    predicted = model.predict_in_turn(training_data.validation_in_turn)
    rating = training_data.validation["rating"]
    return metrics.rmse(rating, predicted[len(predicted) - len(rating) :])


def validate_lists(model: RatingModel, training_data: TrainingData) -> float | None:
    """The mean NDCG@10 of lists for the validation rows' users, new ones too; None of models not chosen by them."""
    if not model.chosen_by_lists:
        return None
    columns, ends = training_data.validation_in_turn, len(training_data.validation["rating"])
    earlier = {name: column[: len(column) - ends] for name, column in columns.items()}
    judged = {name: column[len(column) - ends :] for name, column in columns.items()}
    requests = ListRequests.of(earlier, judged, model.title_rows, newcomers=True)
    return lists.mean_gain(requests.scorer(model), requests.question)


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
    rows = data.epoch_rows(learned, seed=config.seed, epoch=epoch, hide=hide)
    trained = train_epoch(model, step, rows, config.batch_size)
    seconds = time.perf_counter() - started
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
        examples_per_second=data.count_rows(rows) / seconds,
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
