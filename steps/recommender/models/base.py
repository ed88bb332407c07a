"""What all models share: a basis to start from, answers within the scale, and batches to learn from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_recommenders as tfrs

from steps.recommender import data
from steps.recommender.data import Columns, RatingScale
from steps.recommender.explain import Explanation, by_shapley_values
from steps.recommender.features import Features, TitleTable
from steps.recommender.profiles import Profiles
from steps.recommender.vocabulary import OOV_ROW, Vocabulary

FEATURES: Final = ("user", "title", "timestamp", "profile")
"""The columns that say what is asked; `profile` may be left out."""

Answers = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Basis:
    """What a model is told before it learns: of the training rows, and of nothing else."""

    vocabulary: Vocabulary
    scale: RatingScale
    mean: float
    """The mean training rating, from which predictions start."""
    titles: TitleTable
    train: Columns
    """The training rows: who rated what."""
    users: Profiles | None = None
    """What is known of the training rows' users, where the source has that."""

    @property
    def rows(self) -> int:
        """How many training rows there are."""
        return data.count_rows(self.train)


@runtime_checkable
class TwoTowers(Protocol):
    """A model that scores a title for a user by the product of two vectors, so that an index can find the best ones."""

    def query(self, asked: Features, history: Features | None = None) -> tf.Tensor:
        """The vector of who asks, float32 [rows, size]; `asked` and `history` as in `RatingModel.score_titles`."""

    def candidates(self) -> tf.Tensor:
        """The vectors of all titles, float32 [titles, size]: row 0 is the unknown, the others are the vocabulary's."""


class RatingModel(tfrs.models.Model):  # type: ignore[misc]
    """A model that answers ratings. Subclasses say how, in `call`, and what they learn from, in `compute_loss`."""

    prediction_batch = 32_768
    """Rows answered at a time, which bounds memory."""
    remembers = False
    """Whether an answer depends on what the user has rated so far, given with the request."""
    learns_from_whole: str | None = None
    """`user` or `title`, where batches are made of rows that must have all of some users or titles among them."""
    answers_from_rows = False
    """Whether answers are made of the training rows with the present weights, and so wait for `remember`."""
    chosen_by_lists = False
    """Whether the best epoch is that with the best lists for validation, instead of the best ratings."""
    needs_autograph = False
    """Whether Python of the training step asks for tensors, which TensorFlow then rewrites, taking seconds."""

    def __init__(self, basis: Basis) -> None:
        super().__init__()
        self.scale = basis.scale
        self.title_rows = len(basis.vocabulary.titles) + 1
        self._title_features = tf.constant(basis.titles.values)
        self._compiled_rate: Callable[[Features], tf.Tensor] | None = None

    def rate(self, features: Features) -> tf.Tensor:
        """The rating that is served for each row, float32 [rows]: the nearest to `call`'s within the scale."""
        return tf.clip_by_value(self(features), self.scale.minimum, self.scale.maximum)

    def rate_with_history(self, asked: Features, history: Features) -> tf.Tensor:
        """The rating that is served for each row of `asked`, [rows], to users who have rated nothing but `history`.

        `history` has `title`, `rating`, `timestamp` and `known` (0 where a place is empty), all [rows, ratings]. Only
        models that remember can answer.
        """
        raise NotImplementedError

    def score_titles(self, asked: Features, history: Features | None = None) -> tf.Tensor:
        """How much each title suits each user, float32 [rows, titles]: of a row, only the order means something.

        `asked` has `user`, `timestamp` and perhaps `profile`. With `history`, as in `rate_with_history`, a model that
        remembers knows nothing else of the users; others do not read it. Column 0 is the unknown title, which callers
        leave out.
        """
        if isinstance(self, TwoTowers):
            return tf.matmul(self.query(asked, history), self.candidates(), transpose_b=True)
        titles = tf.range(self.title_rows)
        who = {name: column for name, column in asked.items() if name in FEATURES}

        def score(row: Features) -> tf.Tensor:
            features = {name: tf.fill([self.title_rows], value) for name, value in row.items()}
            return self({**features, "title": titles})

        # One user at a time, so that what is computed at once is bounded by the number of titles.
        return tf.map_fn(score, who, fn_output_signature=tf.float32)

    def title_vectors(self) -> tf.Tensor:
        """What tells titles apart, float32 [titles, size]: what is known of them, if the model learns nothing more."""
        return self._title_features

    def explain(self, asked: Features, titles: tf.Tensor, history: Features) -> Explanation:
        """The parts of the ratings of some titles, [rows, titles], for the users of `asked`, each row's own.

        `asked` is as in `score_titles`; `history`, as in `rate_with_history`, is what the users have rated,
        from which a model that remembers answers, and to which others may attribute what they have learned from it.
        """
        if not self.remembers:
            return by_shapley_values(self, asked, titles, OOV_ROW)
        count = tf.shape(titles)[1]
        given = {name: tf.repeat(column, count, axis=0) for name, column in history.items()}

        def answer(rows: Features) -> tf.Tensor:
            somebody = tf.cast(rows["user"] != OOV_ROW, tf.float32)[:, None]
            return self.rate_with_history(rows, {**given, "known": given["known"] * somebody})

        # Whoever has a history is somebody, known or not.
        return by_shapley_values(answer, {**asked, "user": tf.ones_like(asked["user"])}, titles, OOV_ROW)

    def predict_ratings(self, columns: Columns) -> Answers:
        """`rate` for any number of rows, [rows]."""
        if self._compiled_rate is None:
            self._compiled_rate = tf.function(self.rate, reduce_retracing=True, autograph=False)
        parts = [
            self._compiled_rate({name: tf.constant(batch[name]) for name in FEATURES if name in batch}).numpy()
            for batch in data.batches(columns, self.prediction_batch)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def predict_in_turn(self, columns: Columns) -> Answers:
        """The rating that is served for each row when the same `owner`'s rows of earlier moments are known, [rows]."""
        return self.predict_ratings(columns)

    def remember(self, train: Columns) -> None:
        """Take what the training rows say beyond the weights: nothing, for most models."""

    def training_batches(self, rows: Columns, size: int) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """Batches for `train_step` from the rows of an epoch, each with how many rows it holds."""
        for batch in data.batches(rows, size):
            yield data.count_rows(batch), batch

    def batch_signature(self, columns: Columns) -> dict[str, tf.TensorSpec]:
        """The shapes and types of what `training_batches` makes of `columns`."""
        return {name: tf.TensorSpec([None], column.dtype) for name, column in columns.items()}

    def part(self, batch: Features, start: tf.Tensor, stop: tf.Tensor) -> Features:
        """The rows from `start` to before `stop` of what `training_batches` made, to learn from by themselves."""
        return {name: column[start:stop] for name, column in batch.items()}


def starting_from(mean: float) -> Any:
    """An initializer that spares the first epochs from finding the mean."""
    return tf.keras.initializers.Constant(mean)
