"""What a model learns from and is chosen by: from a split to columns of embedding rows, in memory or on disk."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from steps.entry import StepError
from steps.recommender import data
from steps.recommender.config import TrainingConfig
from steps.recommender.data import Columns, RatingScale, Split, SplitDescription
from steps.recommender.features import TitleTable, moments_of
from steps.recommender.models import Basis, RatingModel
from steps.recommender.profiles import Profiles, encode
from steps.recommender.stored_columns import StoredColumns
from steps.recommender.vocabulary import OOV_ROW, Vocabulary

STREAMED_ABOVE: Final = 10_000_000
"""Training and validation rows from which on `stream: auto` keeps them on disk."""


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

    dataset: str
    """The name of the data."""
    train: Columns
    validation: Columns
    validation_in_turn: Columns
    """The training rows of the validation rows' users and then the validation rows, with `owner`, and whether they are
    `judged`. Nothing where rows are streamed, for models that need none of it."""
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
        return max(self.start.learned_until if self.start else 0, data.latest(self.train))

    def learned(self) -> Columns:
        """The rows of an epoch.

        Raises:
            StepError: there is none.
        """
        if self.only_after is None:
            return self.train
        rows = data.later(self.train, self.only_after)
        if not data.count_rows(rows):
            raise StepError(
                "no training row is newer than those that the earlier model learned from: there is nothing new"
            )
        return rows

    def basis(self) -> Basis:
        """What a model may know before it learns."""
        return Basis(self.vocabulary, self.scale, data.mean(self.train, "rating"), self.titles, self.train, self.users)

    def digest(self) -> str:
        """A fingerprint of all of it: SHA-256 in hexadecimal."""
        vocabulary = hashlib.sha256("\0".join((*self.vocabulary.users, "", *self.vocabulary.titles)).encode())
        parts = (data.digest(self.train), data.digest(self.validation), vocabulary.hexdigest(), repr(self.scale))
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def read_training_data(folder: Path, config: TrainingConfig, scratch: Path) -> TrainingData:
    """The training and validation rows of a folder in the format `split`.

    In memory, or in `scratch` where `config.stream` says so: then memory has to hold users and titles, but not rows.

    Raises:
        StepError: the folder is no split, or has no training or no validation rows.
    """
    about = data.describe_split(folder)
    if not about.rows["validation"]:
        raise StepError(
            "the split has no validation rows, by which the best epoch is chosen: "
            "change the split's parameters so that it has some"
        )
    many = about.rows["train"] + about.rows["validation"] > STREAMED_ABOVE
    if config.stream == "always" or (config.stream == "auto" and many):
        return _stream(folder, about, config, scratch)
    return encode_training_data(data.read_split(folder), with_profiles=config.reads_profiles)


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
    in_turn["judged"] = np.arange(len(in_turn["rating"])) >= len(earlier)
    titles = TitleTable.of(split.train, split.items, vocabulary)
    return TrainingData(split.dataset, train, validation, in_turn, vocabulary, split.scale, titles, profiles)


def _stream(folder: Path, about: SplitDescription, config: TrainingConfig, scratch: Path) -> TrainingData:
    """The same as `encode_training_data`, to the last bit, but that the rows lie in `scratch`."""
    users, items = pl.Series("user_id", [], pl.String), pl.DataFrame(schema={"title": pl.String, "item_id": pl.String})
    for part in data.frames(folder, about, "train"):
        users = pl.concat([users, part["user_id"].unique()]).unique()
        items = pl.concat([items, part.select(items.columns)]).unique("title", keep="first", maintain_order=True)
    vocabulary = Vocabulary(tuple(users.sort()), tuple(items["title"].sort()))
    people = about.users if config.reads_profiles else None
    profiles = Profiles.of(people, vocabulary) if people is not None else None
    encoded = partial(encode, vocabulary=vocabulary, profiles=profiles, users=people)
    train, validation = (
        StoredColumns.write(scratch / name, map(encoded, data.frames(folder, about, name)))
        for name in ("train", "validation")
    )
    # Only the popularity of titles is counted in single ratings.
    counted = "popularity" in config.features
    moments = moments_of(train["title"], train["timestamp"]) if counted else np.empty(0, np.int64)
    titles = TitleTable.build(items, moments, about.items, vocabulary)
    in_turn = _stream_in_turn(folder, about, vocabulary, train, scratch) if config.reads_histories else {}
    return TrainingData(about.dataset, train, validation, in_turn, vocabulary, about.scale, titles, profiles)


def _stream_in_turn(
    folder: Path, about: SplitDescription, vocabulary: Vocabulary, train: Columns, scratch: Path
) -> Columns:
    """`TrainingData.validation_in_turn`, whose rows lie in `scratch`."""
    users = pl.Series("user_id", [], pl.String)
    for part in data.frames(folder, about, "validation"):
        users = pl.concat([users, part["user_id"].unique()]).unique()
    # Those whom the vocabulary knows come first, in its order.
    owners = Vocabulary((*vocabulary.users, *users.filter(vocabulary.user_rows(users) == OOV_ROW).sort()), ())
    is_judged = np.zeros(len(owners.users) + 1, np.bool_)
    is_judged[owners.user_rows(users)] = True

    def rows() -> Iterator[Columns]:
        for part in data.parts(train):
            earlier = is_judged[part["user"]]
            found = {name: column[earlier] for name, column in part.items()}
            yield {**found, "owner": found["user"], "judged": np.zeros(earlier.sum(), np.bool_)}
        for frame in data.frames(folder, about, "validation"):
            found = data.encode(frame, vocabulary)
            yield {**found, "owner": owners.user_rows(frame["user_id"]), "judged": np.ones(len(frame), np.bool_)}

    return StoredColumns.write(scratch / "in-turn", rows())
