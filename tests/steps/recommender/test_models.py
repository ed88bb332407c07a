"""Tests of `steps.recommender.models`: what a training step changes, and what the models answer."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from steps.recommender import baselines, models, training
from steps.recommender.config import TrainingConfig
from steps.recommender.data import RatingScale
from steps.recommender.features import TitleTable
from steps.recommender.models import Basis, build_model, ranking, recency, retrieval
from steps.recommender.models.base import TwoTowers
from steps.recommender.profiles import Profiles
from steps.recommender.vocabulary import Vocabulary

SCALE = RatingScale(1.0, 5.0)
VOCABULARY = Vocabulary(users=("a", "b", "c"), titles=("x", "y"))
BATCH: dict[str, Any] = {
    "user": np.array([0, 1, 2, 3, 1, 2, 1], np.int32),
    "title": np.array([0, 1, 2, 1, 2, 1, 0], np.int32),
    "rating": np.array([3, 5, 1, 4, 2, 5, 3], np.float32),
    "timestamp": np.array([10, 20, 30, 30, 50, 90_000, 40], np.int64),
}
TITLES = TitleTable(
    names=("year",),
    values=np.array([[0.0], [0.5], [-1.0]], np.float32),
    release=np.array([np.nan, 1960, 1965], np.float32),
    ratings=np.sort(BATCH["title"].astype(np.int64) * 2**36 + BATCH["timestamp"]),
)


def build(users: Profiles | None = None, **parameters: Any) -> Any:
    """A small model, of ranking if nothing is said, without regularisation."""
    config = TrainingConfig(**{"embedding_size": 4, "layers": (16, 8), "l2": 0.0, **parameters})
    return build_model(config, Basis(VOCABULARY, SCALE, 3.5, TITLES, BATCH, users))


def train_step(model: Any) -> None:
    """One step on all rows, in the form that the model wants them."""
    ((_, batch),) = model.training_batches(BATCH, 100)
    model.train_step({name: tf.constant(column) for name, column in batch.items()})


@pytest.mark.parametrize("optimizer", models.OPTIMIZERS)
def test_one_step_of_any_optimizer_changes_every_parameter(optimizer: str) -> None:
    """No weight is left out of the gradient."""
    model = build(optimizer=optimizer, activation="tanh", learning_rate=0.01)
    before = model.get_weights()

    model.train_step(BATCH)

    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("name", models.MODELS)
def test_one_step_changes_every_parameter(name: str) -> None:
    """No weight of any model is left out of the gradient."""
    model = build(model=name, activation="tanh")
    train_step(model)  # a factor of zero in the first one hides another
    before = model.get_weights()

    train_step(model)

    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_a_model_can_learn_a_few_ratings_by_heart(loss: str) -> None:
    """With no regularisation it fits a few ratings almost exactly: nothing between input and loss is cut."""
    model = build(loss=loss, optimizer="adam", learning_rate=0.03)
    step = tf.function(model.train_step)
    for _ in range(250):
        step({name: tf.constant(column) for name, column in BATCH.items()})

    assert np.abs(model.predict_ratings(BATCH) - BATCH["rating"]).max() < 0.1


@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_learns(name: str) -> None:
    """Twenty steps on the same rows lower the loss that they are for."""
    model = build(model=name, learning_rate=0.01, optimizer="adam")
    ((_, batch),) = model.training_batches(BATCH, 100)
    tensors = {column: tf.constant(values) for column, values in batch.items()}
    before = float(model.compute_loss(tensors, training=True))
    for _ in range(20):
        model.train_step(tensors)

    assert float(model.compute_loss(tensors, training=True)) < before


@pytest.mark.parametrize("name", models.MODELS)
def test_every_training_step_becomes_a_graph(name: str) -> None:
    """Training compiles the step once, and the graph learns as the model does."""
    model = build(model=name)
    ((_, batch),) = model.training_batches(BATCH, 100)

    learned = training.compile_step(model, BATCH)({column: tf.constant(values) for column, values in batch.items()})

    assert np.isfinite(float(learned["loss"]))


@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_knows_the_unknown(name: str) -> None:
    """People and films that training has not seen get an answer within the scale."""
    unknown = {**{column: values[:2] for column, values in BATCH.items()}, "user": np.zeros(2, np.int32)}
    unknown["title"] = np.zeros(2, np.int32)

    answered = build(model=name).predict_ratings(unknown)

    assert ((answered >= 1) & (answered <= 5)).all()


def test_predictions_start_at_the_mean() -> None:
    """Before training, every answer is near the mean rating, whichever the loss."""
    for loss in ("mse", "bce"):
        assert build(loss=loss).predict_ratings(BATCH) == pytest.approx(3.5, abs=0.1)


def test_answers_stay_within_the_scale() -> None:
    """A model that overshoots is cut off at the highest rating."""
    model = build()
    model.output_layer.bias.assign([9.0])

    assert model.predict_ratings(BATCH).tolist() == [5.0] * 7


@pytest.mark.parametrize("name", models.MODELS)
def test_no_rows_get_no_answers(name: str) -> None:
    """An empty table is an ordinary one."""
    assert build(model=name).predict_ratings({name: column[:0] for name, column in BATCH.items()}).tolist() == []


def test_dropout_acts_in_training_only() -> None:
    """Two training passes at different steps differ; two answers do not."""
    model = build(dropout=0.5)
    first = model(BATCH, training=True).numpy()
    model.optimizer.iterations.assign_add(1)

    assert (first != model(BATCH, training=True).numpy()).any()
    assert (model.predict_ratings(BATCH) == model.predict_ratings(BATCH)).all()


@pytest.mark.parametrize("name", ["bias", "mf", "ranking", "dcn", "history", "autoencoder"])
def test_titles_are_scored_in_the_order_of_their_ratings(name: str) -> None:
    """Scores over the whole vocabulary differ from ratings by a number of the user's only."""
    model = build(model=name)
    for _ in range(3):
        train_step(model)
    model.remember(BATCH)
    asked: dict[str, Any] = {"user": np.array([0, 1, 3], np.int32), "timestamp": np.array([95_000] * 3, np.int64)}
    crossed = {column: np.repeat(values, 3) for column, values in asked.items()}

    scores = model.score_titles(asked).numpy()
    ratings = model({**crossed, "title": np.tile(np.arange(3, dtype=np.int32), 3)}).numpy().reshape(3, 3)

    assert scores - scores[:, :1] == pytest.approx(ratings - ratings[:, :1], abs=1e-5)


def test_titles_are_scored_by_a_history_in_the_request() -> None:
    """A model that remembers answers for whoever comes with a history; what fills it up does not count."""
    model = build(model="history")
    for _ in range(3):
        train_step(model)
    history: dict[str, Any] = {
        "title": np.array([[1, 2, 0]], np.int32),
        "rating": np.array([[5.0, 1.0, 3.0]], np.float32),
        "timestamp": np.array([[10, 20, 0]], np.int64),
        "known": np.array([[1.0, 1.0, 0.0]], np.float32),
    }
    asked = {"user": np.zeros(1, np.int32), "timestamp": np.array([50], np.int64)}
    each = {"title": np.array([1, 2], np.int32), "timestamp": np.array([50, 50], np.int64)}
    twice = {column: np.repeat(values, 2, axis=0) for column, values in history.items()}

    scores = model.score_titles(asked, history).numpy()[0]
    ratings = model.rate_with_history(each, twice).numpy()

    assert scores[2] - scores[1] == pytest.approx(ratings[1] - ratings[0], abs=1e-5)


def test_models_with_two_towers_say_so() -> None:
    """Whether titles can be found by an index is asked of the model."""
    assert {name for name in models.MODELS if isinstance(build(model=name), TwoTowers)} == {
        "mf",
        "history",
        "autoencoder",
        "retrieval",
        "multitask",
    }


def test_steps_shrink_to_nothing() -> None:
    """With a cosine the first step has the size that was asked for, and after the last epoch there is none left."""
    config = TrainingConfig(decay="cosine", learning_rate=0.5, epochs=5, batch_size=4)
    rate = models.learning_rate(config, Basis(VOCABULARY, SCALE, 3.5, TITLES, BATCH))

    assert [float(rate(step)) for step in (0, 5, 10)] == pytest.approx([0.5, 0.25, 0.0])


def test_looking_products_up_learns_what_the_layers_learn() -> None:
    """The quick way through the ranking model's first layer has the same answers and gradients as the plain one."""
    model = build(dropout=0.0)
    ((_, ordered),) = model.training_batches(BATCH, len(BATCH["user"]))
    gradients = []
    for quick, rows in ((True, ordered), (True, BATCH), (False, BATCH)):
        model.multiplies_tables = quick
        batch = {name: tf.constant(column) for name, column in rows.items()}
        with tf.GradientTape() as tape:
            loss = model.compute_loss(batch, training=quick)
        gradients.append([loss, *tape.gradient(loss, model.trainable_variables)])

    for in_order, ours, plain in zip(*gradients, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(ours), tf.convert_to_tensor(plain), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(tf.convert_to_tensor(in_order), tf.convert_to_tensor(plain), rtol=1e-4, atol=1e-6)


def test_a_retrieval_model_rates_by_two_averages() -> None:
    """In turn, its ratings are the titles' damped means and the running means of the users."""
    model = build(model="retrieval")
    titles = baselines.fit_title_mean(BATCH, 3, 2, retrieval.TITLE_DAMPING)
    rows = {**BATCH, "owner": BATCH["user"]}

    answered = model.predict_in_turn(rows)

    assert answered == pytest.approx(titles.predict_in_turn(rows, retrieval.USER_DAMPING), abs=1e-5)


@pytest.mark.parametrize("span", [128, 3, 2])
def test_a_tower_reads_the_same_at_every_place(span: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user before each place of a sequence is the user of the history up to there, whatever fills it up.

    So it is with sequences longer than what is looked at together.
    """
    monkeypatch.setattr(recency, "SPAN", span)
    tower = build(model="retrieval").tower
    history = {
        "title": np.array([[1, 2, 1, 2, 2, 1, 1]], np.int32),
        "rating": np.array([[5, 1, 3, 4, 1, 2, 5]], np.float32),
        "known": np.ones((1, 7), np.float32),
    }
    before = tower.before_each(history).numpy()[0]

    for place in range(1, 7):
        filled = {name: np.pad(values[:, :place], ((0, 0), (2, 0))) for name, values in history.items()}
        assert tower.after_all(filled).numpy()[0] == pytest.approx(before[place], abs=1e-5)


@pytest.mark.parametrize("largest", [3, 2**16 - 1, 2**16])
def test_batches_of_ranking_lie_in_the_order_of_users(largest: int) -> None:
    """Rows move together, those of a user keep their order, and `by_title` sorts titles, whatever their numbers."""
    batch = {"user": np.array([largest, 0, largest, 1], np.int32), "title": np.array([2, largest, 1, 2], np.int32)}
    assert {name: column.tolist() for name, column in ranking.sorted_batch(batch).items()} == {
        "user": [0, 1, largest, largest],
        "title": [largest, 2, 2, 1],
        "by_title": [3, 1, 2, 0],
    }
