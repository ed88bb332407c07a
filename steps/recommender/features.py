"""What is known of titles and moments beyond their ids, as numbers that models learn from.

Titles have genres and a year. A moment has its place in the day, the week and the year; a title at a moment has its
age and how often it had been rated before. All of it is computed from the raw request and from tables that come along
with the model, by the same TensorFlow code in training and in serving.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import tensorflow as tf

from steps.recommender.vocabulary import Vocabulary

Features = dict[str, tf.Tensor]
"""A batch by column name, each [rows]: `user` and `title` int32, `timestamp` int64 seconds since 1970, where the truth
is known `rating` float32, and perhaps `profile` int32."""

SECONDS_OF_DAY: Final = 86_400
CYCLES: Final = {"day": 1.0, "week": 7.0, "year": 365.2425}
"""Lengths of what repeats, in days."""
MOMENT_FEATURES: Final = (
    *(f"{wave} of {cycle}" for cycle in CYCLES for wave in ("sine", "cosine")),
    "earlier ratings",
    "age",
)

YEAR_FEATURES: Final = 3
"""How many of the features of titles, the last ones, are of the year."""

_YEAR_CENTER, _YEAR_SPREAD, _YEAR_LIMIT = 1990.0, 15.0, 3.0
_TIME_SPAN: Final = 2**36  # seconds until the year 4147, so that title and time fit one whole number


@dataclass(frozen=True, slots=True)
class TitleTable:
    """What is known of each title of a vocabulary; row 0, the unknown, knows nothing."""

    names: tuple[str, ...]
    values: npt.NDArray[np.float32]
    """[titles + 1, names]: genres as 0 or 1, then the year and its square, scaled, and whether it is unknown."""
    release: npt.NDArray[np.float32]
    """The year of release, [titles + 1]; NaN where unknown."""
    ratings: npt.NDArray[np.int64]
    """One number for each training rating, sorted: its title's row x `_TIME_SPAN` + its timestamp."""

    @classmethod
    def of(cls, train: pl.DataFrame, items: pl.DataFrame | None, vocabulary: Vocabulary) -> "TitleTable":
        """The table of the vocabulary's titles, from `items` where there are any and from years in the titles."""
        moments = moments_of(vocabulary.title_rows(train["title"]), train["timestamp"].to_numpy())
        return cls.build(train, moments, items, vocabulary)

    @classmethod
    def build(
        cls,
        rated: pl.DataFrame,
        moments: npt.NDArray[np.int64],
        items: pl.DataFrame | None,
        vocabulary: Vocabulary,
    ) -> "TitleTable":
        """The same, of titles and their ids in the order in which they were `rated`, with the field `ratings`."""
        count = len(vocabulary.titles)
        titles = pl.DataFrame({"title": vocabulary.titles}, schema={"title": pl.String})
        years = titles["title"].str.extract(r"\((\d{4})\)\s*$").cast(pl.Float64)
        genres: tuple[str, ...] = ()
        genre_values = np.zeros((count + 1, 0), np.float32)
        if items is not None:
            ids = rated.select("title", "item_id").unique("title", keep="first", maintain_order=True)
            known = ids.join(items.drop("title").unique("item_id", keep="first"), on="item_id", how="left")
            rows = titles.join(known, on="title", how="left", maintain_order="left")
            years = rows["year"].cast(pl.Float64).fill_null(years)
            genres = tuple(sorted(rows["genres"].explode().drop_nulls().unique()))
            genre_values = np.zeros((count + 1, len(genres)), np.float32)
            for column, genre in enumerate(genres):
                genre_values[1:, column] = rows["genres"].list.contains(genre).fill_null(value=False).to_numpy()
        release = np.concatenate([[np.nan], years.to_numpy()]).astype(np.float32)
        unknown = np.isnan(release)
        scaled = np.clip((np.where(unknown, _YEAR_CENTER, release) - _YEAR_CENTER) / _YEAR_SPREAD, -3, _YEAR_LIMIT)
        return cls(
            names=(*genres, "year", "year squared", "year unknown"),
            values=np.column_stack([genre_values, scaled, scaled**2, unknown]).astype(np.float32),
            release=release,
            ratings=moments,
        )

    @property
    def genres(self) -> npt.NDArray[np.float32]:
        """Which genres each title has, as 0 or 1, [titles + 1, genres]."""
        return self.values[:, :-YEAR_FEATURES]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything as arrays that `from_arrays` takes back."""
        return {"names": np.array(self.names), "values": self.values, "release": self.release, "ratings": self.ratings}

    @classmethod
    def from_arrays(cls, arrays: "dict[str, npt.NDArray[Any]]") -> "TitleTable":
        """The table that `arrays` describes."""
        names = tuple(str(name) for name in arrays["names"])
        return cls(names, arrays["values"], arrays["release"], arrays["ratings"])


def moments_of(title: npt.NDArray[np.int32], timestamp: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """When titles were rated, as `TitleTable.ratings` has it, from the columns of training rows."""
    return np.sort(title.astype(np.int64) * _TIME_SPAN + timestamp)


class TitleFeatures(tf.Module):  # type: ignore[misc]
    """Looks a table up, inside of TensorFlow's graph."""

    def __init__(self, table: TitleTable) -> None:
        super().__init__()
        self.size = len(table.names)
        self._values = tf.constant(table.values)
        self._release = tf.constant(table.release)
        self._ratings = tf.constant(table.ratings)

    def of_titles(self, title: tf.Tensor) -> tf.Tensor:
        """What is known of each title whatever the moment, float32 [..., size] for rows of titles [...]."""
        return tf.gather(self._values, title)

    def at_moments(self, title: tf.Tensor, timestamp: tf.Tensor) -> tf.Tensor:
        """`MOMENT_FEATURES` of titles at moments, float32 [..., features] for rows and int64 seconds [...].

        Only training ratings before the moment are counted, so that none learns from its own future.
        """
        days = tf.cast(timestamp, tf.float64) / SECONDS_OF_DAY
        angles = [tf.cast(2 * math.pi * tf.math.floormod(days / length, 1.0), tf.float32) for length in CYCLES.values()]
        waves = [wave(angle) for angle in angles for wave in (tf.sin, tf.cos)]
        return tf.stack([*waves, self._earlier_ratings(title, timestamp), self._age(title, days)], axis=-1)

    def _earlier_ratings(self, title: tf.Tensor, timestamp: tf.Tensor) -> tf.Tensor:
        first = tf.cast(title, tf.int64) * _TIME_SPAN
        moment = first + tf.clip_by_value(timestamp, 0, _TIME_SPAN - 1)
        places = tf.searchsorted(self._ratings, tf.reshape(tf.stack([first, moment]), [-1]))
        start, stop = tf.unstack(tf.reshape(places, tf.concat([[2], tf.shape(title)], axis=0)), num=2)
        return tf.math.log1p(tf.cast(stop - start, tf.float32)) / 5.0

    def _age(self, title: tf.Tensor, days: tf.Tensor) -> tf.Tensor:
        year = tf.cast(1970.0 + days / CYCLES["year"], tf.float32)
        age = tf.math.log1p(tf.maximum(year - tf.gather(self._release, title), 0.0))
        return tf.where(tf.math.is_nan(age), 0.0, age)
