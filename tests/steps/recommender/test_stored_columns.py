"""Tests of training from rows that lie on disk: `steps.recommender.stored_columns` and what reads them."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from steps.recommender import data, stored_columns, training, training_data, validation
from steps.recommender.config import TrainingConfig
from steps.recommender.stored_columns import BLOCK, StoredColumns
from steps.train import main
from tests.projects import REPOSITORY
from tests.steps.synthetic_ratings import ratings, write_split

ROWS = 10 * BLOCK + 100
USERS = pl.DataFrame({"user_id": ["1", "2"], "gender": ["F", "M"], "age": [20, 60], "occupation": ["other", "artist"]})

GROWTH = """
import re
from pathlib import Path
from steps.recommender.config import TrainingConfig
from steps.recommender import training

def peak(rows):
    split, state = Path(str(rows)), Path(f"{rows}.state")
    state.mkdir()
    config = TrainingConfig(model="bias", epochs=1, batch_size=16384, stream="always")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    learned = training.begin(split, config, state)
    training.train_and_evaluate(config, learned, state=state, report=lambda record: None)
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

peak(1000)  # whatever is needed once
print("growth:", -peak(300000) + peak(2400000))
"""


def write_many(folder: Path, rows: int) -> None:
    """A split with so many training rows by 1,000 users of 500 titles."""
    write_split(folder)
    number = pl.int_range(rows, eager=True)
    pl.DataFrame(
        {
            "user_id": (number % 997).cast(pl.String),
            "item_id": (number % 499).cast(pl.String),
            "title": (number % 499).cast(pl.String),
            "rating": (number % 5 + 1).cast(pl.Float32),
            "timestamp": number,
        }
    ).write_parquet(folder / "train.parquet")


def stored(folder: Path) -> tuple[dict[str, Any], StoredColumns]:
    """The same rows in memory and on disk."""
    columns = {"user": np.arange(ROWS, dtype=np.int32), "rating": np.arange(ROWS, dtype=np.float32)}
    return columns, StoredColumns.write(folder, data.batches(columns, 1000))


def epoch(columns: data.Columns, number: int, size: int) -> list[data.Columns]:
    """The parts of an epoch."""
    return list(data.epoch_parts(columns, seed=1, epoch=number, hide={"user": 0.1}, size=size))


def test_what_is_stored_is_what_was_written(tmp_path: Path) -> None:
    """Columns, their rows in parts, and their fingerprint are those of the same rows in memory."""
    columns, on_disk = stored(tmp_path)

    assert all(np.array_equal(on_disk[name], column) for name, column in columns.items())
    assert data.take(on_disk, ROWS - 2, ROWS + 5)["user"].tolist() == [ROWS - 2, ROWS - 1]
    assert data.digest(on_disk) == data.digest(columns)
    assert data.mean(on_disk, "rating") == pytest.approx(np.mean(columns["rating"], dtype=np.float64))


def test_an_epoch_has_every_row_once_and_another_order_than_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a buffer of four blocks: whole batches, rows together, and the same order whenever the epoch is begun."""
    monkeypatch.setattr(data, "BUFFER", 4 * BLOCK)
    _, on_disk = stored(tmp_path)
    first, again, second = epoch(on_disk, 1, 1000), epoch(on_disk, 1, 1000), epoch(on_disk, 2, 1000)
    rating, user = (np.concatenate([part[name] for part in first]) for name in ("rating", "user"))

    assert len(first) > 1
    assert all(data.count_rows(part) % 1000 == 0 for part in first[:-1])
    assert np.array_equal(np.sort(rating), np.arange(ROWS))
    assert np.all((user == rating) | (user == 0))
    assert np.mean(user == 0) == pytest.approx(0.1, abs=0.01)
    assert all(np.array_equal(ours["rating"], theirs["rating"]) for ours, theirs in zip(first, again, strict=True))
    assert not np.array_equal(rating, np.concatenate([part["rating"] for part in second]))


def test_rows_of_a_batch_come_from_all_over_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffer holds blocks from anywhere, mixed: the first batch is not the first rows."""
    monkeypatch.setattr(data, "BUFFER", 4 * BLOCK)
    _, on_disk = stored(tmp_path)

    batch = epoch(on_disk, 1, 1000)[0]["rating"][:1000] // BLOCK

    assert len(set(batch)) == 4


def test_a_shard_has_all_rows_of_its_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is in one shard, in the order of the table, and whoever is there is there with all rows."""
    monkeypatch.setattr(stored_columns, "SHARD", 100)
    monkeypatch.setattr(stored_columns, "BUFFER", 70)
    rows: dict[str, Any] = {"user": np.arange(1000, dtype=np.int32) % 37, "place": np.arange(1000)}
    parts = list(data.whole_parts(StoredColumns.write(tmp_path, [rows]), "user"))

    assert len(parts) > 5
    assert np.array_equal(np.sort(np.concatenate([part["place"] for part in parts])), rows["place"])
    for part in parts:
        assert np.array_equal(part["place"], np.flatnonzero(np.isin(rows["user"], part["user"])))


@pytest.mark.parametrize("model", ["mf", "history", "retrieval", "multitask", "autoencoder"])
def test_models_of_whole_users_and_titles_learn_from_disk(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One shard gives the weights that rows in memory give; of many, a model remembers and is judged the same."""
    folder = write_split(tmp_path / "split")
    small = {"epochs": 1, "batch_size": 200, "embedding_size": 4, "layers": (4,), "dropout": 0.0}

    def read(stream: Any, scratch: str) -> training_data.TrainingData:
        config = TrainingConfig(model=model, stream=stream, **small)
        return training.begin(folder, config, tmp_path / scratch)

    def learn(from_rows: training_data.TrainingData, state: str) -> training.Training:
        (tmp_path / state).mkdir()
        config = TrainingConfig(model=model, **small)
        return training.train_and_evaluate(config, from_rows, state=tmp_path / state, report=lambda _record: None)

    whole = read("never", "")
    expected = learn(whole, "first")
    learned = learn(read("always", "one"), "second")
    pairs = zip(learned.model.trainable_variables, expected.model.trainable_variables, strict=True)
    # But for what adding up in another order makes of the mean.
    assert all(ours.numpy() == pytest.approx(theirs.numpy(), abs=1e-3) for ours, theirs in pairs)
    answered = learned.model.predict_ratings(whole.train)

    monkeypatch.setattr(stored_columns, "SHARD", 60)
    many = read("always", "many")
    learned.model.remember(many.train)

    assert isinstance(many.train, StoredColumns)
    assert len(many.train.shards("user")) > 5
    assert learned.model.predict_ratings(whole.train) == pytest.approx(answered, abs=1e-5)
    assert validation.validate(learned.model, many) == pytest.approx(expected.validation_rmse, abs=1e-4)
    assert np.isfinite(learn(many, "third").validation_rmse)


@pytest.mark.parametrize("features", ["", "popularity,demographics"])
def test_streamed_rows_are_those_that_memory_would_hold(
    features: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in small parts or all at once: vocabulary, rows, profiles and tables of titles are the same."""
    monkeypatch.setattr(data, "BUFFER", 70)
    folder = write_split(tmp_path / "split")
    USERS.write_parquet(folder / "users.parquet")
    whole, streamed = (
        training_data.read_training_data(
            folder, TrainingConfig(model="dcn", features=features, stream=stream), tmp_path / "rows"
        )
        for stream in ("never", "always")
    )

    assert isinstance(streamed.train, StoredColumns)
    assert streamed.digest() == whole.digest()
    assert streamed.learned_until == whole.learned_until
    tables = (streamed.titles.arrays(), whole.titles.arrays())
    needed = set(tables[0]) - (set() if features else {"ratings"})
    assert all(np.array_equal(tables[0][name], tables[1][name], equal_nan=name == "release") for name in needed)


def test_many_rows_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` looks at the number of rows."""
    folder = write_split(tmp_path / "split")

    def is_streamed() -> bool:
        read = training_data.read_training_data(folder, TrainingConfig(), tmp_path / "rows")
        return isinstance(read.train, StoredColumns)

    assert not is_streamed()
    monkeypatch.setattr(training_data, "STREAMED_ABOVE", 500)
    assert is_streamed()


def test_a_streamed_training_can_be_judged_exported_and_begun_with(tmp_path: Path) -> None:
    """The folder of the model is that of any other, and a later training takes it on with the new rows only."""
    folder = tmp_path / "in"
    write_split(folder / "split")
    flags = ["--model=mf", "--stream=always", "--epochs=1", "--tracking=off", f"--inputs-dir={folder}"]
    assert main([*flags, f"--outputs-dir={tmp_path / 'first'}"]) == 0
    from steps.recommender import trained_model

    trained = trained_model.load(tmp_path / "first" / "model")
    assert trained.was_trained_on(folder / "split", tmp_path / "rows")

    shutil.copytree(tmp_path / "first" / "model", folder / "earlier")
    more = ratings(100, seed=9).with_columns(pl.col("timestamp") + 1_000_000)
    pl.concat([pl.read_parquet(folder / "split" / "train.parquet"), more]).write_parquet(
        folder / "split" / "train.parquet"
    )
    assert main([*flags, "--learn-from=new", f"--outputs-dir={tmp_path / 'second'}"]) == 0


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """The peak of a training on eight times as many rows is the same within 100 MB; with all in memory, 250 more."""
    for rows in (1_000, 300_000, 2_400_000):
        write_many(tmp_path / str(rows), rows)

    finished = subprocess.run(
        [sys.executable, "-c", GROWTH],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    assert float(finished.stdout.rpartition("growth:")[2]) < 100
