"""Who asks, by what a request says of them: the profile of an age, gender and occupation, in TensorFlow's graph."""

from typing import Final

import numpy as np
import tensorflow as tf

from steps.recommender.profiles import AGE_NAMES, AGES, Profiles

DEMOGRAPHICS: Final = {"age": "int32", "gender": "string", "occupation": "string"}
"""What a request may say of who asks, all [rows]: the age in years, 0 where it is not known; the others as the data has
them, "" where they are not known."""


class AskedProfiles(tf.Module):  # type: ignore[misc]
    """Looks for the profile, or the average of several, that what is said describes, as `Profiles.rows` does."""

    def __init__(self, profiles: Profiles) -> None:
        super().__init__()
        places = {name: place for place, name in enumerate(profiles.names)}
        self._ages = tf.constant([places.get(f"age: {name}", -1) for name in AGE_NAMES], tf.int64)
        self._genders, self._occupations = (_table(places, f"{what}: ") for what in ("gender", "occupation"))
        self._said = tf.constant(profiles.said)
        self._profiles, self._most_said = profiles.profiles, profiles.most_said
        self._of_users = tf.constant(profiles.of_users)

    def rows(self, user: tf.Tensor, age: tf.Tensor, gender: tf.Tensor, occupation: tf.Tensor) -> tf.Tensor:
        """The profile of each row, int32 [rows]: `age` in years, 0 where unknown, the others text, "" where unknown.

        Of whom nothing is said has the profile of the `user`, an embedding row.
        """
        group = tf.reduce_sum(tf.cast(age[:, None] >= tf.constant(AGES), tf.int32), axis=1)
        said = [
            tf.where(age > 0, tf.gather(self._ages, group), -1),
            self._genders.lookup(gender),
            self._occupations.lookup(occupation),
        ]
        # Of -1, which stands for what is unknown, nothing is set.
        wanted = tf.add_n([tf.one_hot(place, self._said.shape[1]) for place in said])
        count = tf.reduce_sum(wanted, axis=1)
        apart = tf.reduce_sum(self._said, axis=1)[None, :] - 2 * tf.matmul(wanted, self._said, transpose_b=True)
        anyone, profile = (
            tf.argmin(rows, axis=1, output_type=tf.int32) for rows in (apart, apart[:, : self._profiles])
        )
        nearest = tf.where(count < self._most_said, anyone, profile)
        nearest = tf.where(count > 0, nearest, 0)
        silent = (age <= 0) & (gender == "") & (occupation == "")
        return tf.where(silent, tf.gather(self._of_users, user), nearest)


def _table(places: dict[str, int], prefix: str) -> tf.lookup.StaticHashTable:
    """The place of each value among what profiles say; -1 of others."""
    found = {name.removeprefix(prefix): place for name, place in places.items() if name.startswith(prefix)} or {"": -1}
    values = np.array(list(found.values()), np.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(list(found), values), default_value=-1)
