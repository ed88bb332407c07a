"""What models may read beside the ids of a user and a title: the features that `with: {features: ...}` names."""

from collections.abc import Callable, Sequence
from typing import Final

import tensorflow as tf

from steps.entry import StepError
from steps.recommender.config import FeatureName
from steps.recommender.features import YEAR_FEATURES, Features, TitleFeatures
from steps.recommender.models.base import Basis
from steps.recommender.title_words import TitleWords

WORD_SIZE: Final = 8
"""Numbers that describe each word of a title."""


class Context(tf.keras.layers.Layer):  # type: ignore[misc]
    """The chosen features of each row."""

    def __init__(self, names: Sequence[FeatureName], basis: Basis) -> None:
        """Raises StepError where `names` has demographics and the data has not."""
        super().__init__()
        self.names = tuple(names)
        self.title_features = TitleFeatures(basis.titles)
        if "words" in self.names:
            words = TitleWords.of(basis.vocabulary.titles)
            self.of_titles = tf.constant(words.of_titles)
            self.word_embedding = tf.keras.layers.Embedding(len(words.words) + 1, WORD_SIZE)
        if "demographics" in self.names:
            if basis.users is None:
                raise StepError("`features` has demographics, but the data says nothing of users: leave it out")
            self.profiles, self.of_users = tf.constant(basis.users.values), tf.constant(basis.users.of_users)

    def call(self, features: Features) -> dict[str, tf.Tensor]:
        """The chosen features, each float32 [rows, numbers]."""
        title, timestamp = features["title"], features["timestamp"]
        known, moment = self.title_features.of_titles(title), self.title_features.at_moments(title, timestamp)
        read: dict[FeatureName, Callable[[], tf.Tensor]] = {
            "genres": lambda: known[:, :-YEAR_FEATURES],
            "year": lambda: known[:, -YEAR_FEATURES:],
            "time": lambda: moment[:, :-2],
            "popularity": lambda: moment[:, -2:-1],
            "age": lambda: moment[:, -1:],
            "words": lambda: self._words(title),
            "demographics": lambda: self._demographics(features),
        }
        return {name: read[name]() for name in self.names}

    def _words(self, title: tf.Tensor) -> tf.Tensor:
        words = tf.gather(self.of_titles, title)
        known = tf.cast(words > 0, tf.float32)[..., None]
        sums = tf.reduce_sum(self.word_embedding(words) * known, axis=1)
        return sums / tf.maximum(tf.reduce_sum(known, axis=1), 1.0)

    def _demographics(self, features: Features) -> tf.Tensor:
        # A request says who asks; only what is trained or judged on comes with the profiles of people unseen before.
        known = tf.gather(self.of_users, features["user"])
        return tf.gather(self.profiles, features.get("profile", known))
