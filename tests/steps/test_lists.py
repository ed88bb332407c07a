"""Tests of the steps with a model of lists, on users who rate titles in a fixed order."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from steps.compare import main as compare
from steps.evaluate import main as evaluate
from steps.export import main as export
from steps.train import main as train

USERS, TITLES, LENGTH = 60, 20, 9


def write_split(folder: Path) -> None:
    """Every user goes round the titles from another one on; the last is test, the one before validation."""
    folder.mkdir()
    user = np.repeat(np.arange(USERS), LENGTH)
    place = np.tile(np.arange(LENGTH), USERS)
    title = (7 * user + place) % TITLES
    ratings = pl.DataFrame(
        {
            "user_id": [f"u{number:02}" for number in user],
            "item_id": [f"i{number}" for number in title],
            "title": [f"Part {number} (2001)" for number in title],
            "rating": (3 + (title % 2) + (user % 2)).astype(np.float32),
            "timestamp": 880_000_000 + 100 * place + user,
        }
    )
    ratings.filter(place < LENGTH - 2).write_parquet(folder / "train.parquet")
    ratings.filter(place == LENGTH - 2).write_parquet(folder / "validation.parquet")
    ratings.filter(place == LENGTH - 1).write_parquet(folder / "test.parquet")
    (folder / "dataset.json").write_text(json.dumps({"name": "round", "rating_min": 1.0, "rating_max": 5.0}))


@pytest.fixture(name="folders", scope="module")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each model with all that the steps wrote."""
    flags = ["--epochs=8", "--embedding-size=16", "--layers=32", "--batch-size=128", "--learning-rate=0.02"]
    shared = tmp_path_factory.mktemp("lists")
    write_split(shared / "split")
    folders = {}
    for model in ("retrieval", "multitask"):
        folder = shared / model
        folder.mkdir()
        (folder / "split").symlink_to(shared / "split")
        places = [f"--inputs-dir={folder}", f"--outputs-dir={folder}"]
        assert train([f"--model={model}", *flags, "--tracking=off", *places]) == 0
        assert evaluate(["--tracking=off", *places]) == 0
        folders[model] = folder
    return folders


def figures(folder: Path) -> dict[str, Any]:
    """What the report says to programs."""
    content: dict[str, Any] = json.loads((folder / "report" / "metrics.json").read_text())
    return content


@pytest.mark.parametrize("model", ["retrieval", "multitask"])
def test_a_model_of_lists_learns_what_comes_next(folders: dict[str, Path], model: str) -> None:
    """It finds the title that follows the last one, which co-occurrence alone does not tell; better, with a small p."""
    lists = figures(folders[model])["lists"]
    own, best = lists["systems"]["model"]["figures"], lists["systems"][lists["best_baseline"]]["figures"]

    assert lists["users"] == lists["wanted"] == USERS
    assert list(lists["systems"]) == ["model", "popularity", "item-kNN", "EASE", "ALS"]
    assert own["ndcg@10"]["value"] > 0.8 > best["ndcg@10"]["value"]
    assert lists["comparisons"][lists["best_baseline"]]["ndcg@10"]["p_value"] < 0.01


def test_lists_are_judged_under_both_protocols(folders: dict[str, Path], tmp_path: Path) -> None:
    """Where the judged part has several ratings of a user, the last is asked for, knowing the others of that part."""
    shutil.copytree(folders["retrieval"] / "model", tmp_path / "model")
    write_split(tmp_path / "split")
    parts = [pl.read_parquet(tmp_path / "split" / f"{name}.parquet") for name in ("validation", "test")]
    pl.concat(parts).write_parquet(tmp_path / "split" / "test.parquet")
    parts[0].head(0).write_parquet(tmp_path / "split" / "validation.parquet")
    assert evaluate(["--tracking=off", f"--inputs-dir={tmp_path}", f"--outputs-dir={tmp_path}"]) == 0

    found = figures(tmp_path)
    page = (tmp_path / "report" / "report.html").read_text()
    assert [found[key]["wanted"] for key in ("lists", "lists_prequential")] == [2 * USERS, USERS]
    own = [found[key]["systems"]["model"]["figures"]["ndcg@1"]["value"] for key in ("lists", "lists_prequential")]
    assert min(own) > 0.8
    assert "Lists of titles, static" in page
    assert "Lists of titles, prequential" in page


def test_the_best_epoch_is_that_of_the_best_lists(folders: dict[str, Path]) -> None:
    """The epoch that is kept has the best NDCG on validation, whatever its ratings."""
    history = json.loads((folders["retrieval"] / "model" / "history.json").read_text())
    gains = [record["validation_ndcg"] for record in history]

    assert json.loads((folders["retrieval"] / "model" / "model.json").read_text())["best_epoch"] == 1 + int(
        np.argmax(gains)
    )
    assert figures(folders["retrieval"])["lists"]["systems"]["model"]["validation"] == pytest.approx(max(gains))


def test_a_retrieval_model_is_told_to_be_none_of_ratings(folders: dict[str, Path]) -> None:
    """The report says that its ratings are averages; those of multitask are learned."""
    assert figures(folders["multitask"])["notes"] == []
    assert figures(folders["retrieval"])["notes"] == [
        "The model learns which titles are rated, not how: its ratings are two averages."
    ]


def test_a_model_of_lists_is_exported(folders: dict[str, Path]) -> None:
    """The SavedModel answers what the model does, also for a history in the request: the export itself compares."""
    folder = folders["multitask"]

    assert export([f"--inputs-dir={folder}", f"--outputs-dir={folder}"]) == 0

    assert "with_history" in json.loads((folder / "saved_model" / "export.json").read_text())["signatures"]


def test_lists_are_compared(folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The comparison orders models by their lists for validation, and says how far they are from the best."""
    for model, folder in folders.items():
        (tmp_path / "reports" / model).parent.mkdir(exist_ok=True)
        (tmp_path / "reports" / model).symlink_to(folder / "report")

    assert compare([f"--inputs-dir={tmp_path}", f"--outputs-dir={tmp_path}"]) == 0

    lists = json.loads((tmp_path / "report" / "metrics.json").read_text())["lists"]
    validation = [result["validation"] for result in lists.values()]
    assert sorted(lists) == ["multitask", "retrieval"]
    assert validation == sorted(validation, reverse=True)
    assert [result["to_best"] is None for result in lists.values()] == [True, False]
    assert "Lists, " in capsys.readouterr().out
