"""Tests of `steps.recommender.data` and `steps.recommender.vocabulary`."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from steps.entry import StepError
from steps.recommender import data
from steps.recommender.vocabulary import OOV_ROW, Vocabulary
from tests.steps.synthetic_ratings import write_split

VOCABULARY = Vocabulary(users=("7", "9"), titles=("Amélie", "Heat, The"))


def columns(rows: int) -> dict[str, Any]:
    """Rows 1, 2, ... whose three columns agree."""
    return {
        "user": np.arange(1, rows + 1, dtype=np.int32),
        "title": np.arange(1, rows + 1, dtype=np.int32),
        "rating": np.arange(1, rows + 1, dtype=np.float32),
    }


def test_known_values_have_rows_and_unknown_ones_share_row_zero() -> None:
    """Rows are counted from 1 in the vocabulary's order, whatever the order asked in."""
    assert VOCABULARY.user_rows(pl.Series(["9", "8", "7", "9"])).tolist() == [2, 0, 1, 2]
    assert VOCABULARY.title_rows(pl.Series(["", "Heat, The"])).tolist() == [0, 2]


def test_a_vocabulary_survives_its_file(tmp_path: Path) -> None:
    """Read back, it gives every value the row that it had."""
    VOCABULARY.save(tmp_path / "vocabulary.json")

    assert Vocabulary.load(tmp_path / "vocabulary.json") == VOCABULARY


def test_batches_hold_every_row_once() -> None:
    """In order, with a smaller last batch."""
    sizes = [len(batch["user"]) for batch in data.batches(columns(10), 4)]
    users = np.concatenate([batch["user"] for batch in data.batches(columns(10), 4)])

    assert sizes == [4, 4, 2]
    assert users.tolist() == list(range(1, 11))


def test_an_epoch_shuffles_whole_rows() -> None:
    """Each row stays together, and no row is lost."""
    rows = data.epoch_rows(columns(50), seed=1, epoch=1, hide={})

    assert rows["user"].tolist() != list(range(1, 51))
    assert sorted(rows["user"]) == list(range(1, 51))
    assert (rows["user"] == rows["title"]).all()
    assert (rows["user"] == rows["rating"]).all()


def test_an_epoch_depends_on_seed_and_number_only() -> None:
    """Epoch 3 is the same whether or not epochs 1 and 2 came before it in this process."""
    hide = {"user": 0.3}
    first = data.epoch_rows(columns(50), seed=1, epoch=3, hide=hide)
    again = data.epoch_rows(columns(50), seed=1, epoch=3, hide=hide)
    other = data.epoch_rows(columns(50), seed=1, epoch=4, hide=hide)

    assert (first["user"] == again["user"]).all()
    assert first["rating"].tolist() != other["rating"].tolist()


def test_hiding_takes_the_asked_share_and_only_of_that_column() -> None:
    """About a tenth of the users become the unknown one; titles stay."""
    rows = data.epoch_rows(columns(10_000), seed=1, epoch=1, hide={"user": 0.1})

    assert np.mean(rows["user"] == OOV_ROW) == pytest.approx(0.1, abs=0.02)
    assert not (rows["title"] == OOV_ROW).any()


def test_the_digest_sees_every_value_and_its_place() -> None:
    """Changing a rating or swapping two rows changes the fingerprint."""
    changed, swapped = columns(5), {name: column[::-1] for name, column in columns(5).items()}
    changed["rating"][2] += 0.5

    assert len({data.digest(columns(5)), data.digest(changed), data.digest(swapped)}) == 3


def test_a_split_without_training_rows_is_refused(tmp_path: Path) -> None:
    """The error says which parameters to look at."""
    folder = write_split(tmp_path / "split")
    pl.read_parquet(folder / "train.parquet").clear().write_parquet(folder / "train.parquet")

    with pytest.raises(StepError, match="no training rows: check the split's parameters"):
        data.read_split(folder)
