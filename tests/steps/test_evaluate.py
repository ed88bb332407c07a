"""Tests of `steps.evaluate`, on a model trained on synthetic ratings."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from steps.evaluate import main
from steps.recommender import fairness, judged_users, stored_columns


@pytest.fixture(name="outputs", scope="module")
def _outputs(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("evaluated")
    assert evaluate(inputs, outputs) == 0
    return outputs


def evaluate(inputs: Path, outputs: Path) -> int:
    """Run the step; returns its exit code."""
    return main([f"--inputs-dir={inputs}", f"--outputs-dir={outputs}", "--tracking=off"])


def figures(outputs: Path) -> dict[str, Any]:
    """What the report says to programs."""
    content: dict[str, Any] = json.loads((outputs / "report" / "metrics.json").read_text())
    return content


def recorded(outputs: Path) -> dict[str, float]:
    """The job's metrics."""
    content: dict[str, float] = json.loads((outputs / ".wf" / "metrics.json").read_text())
    return content


def test_every_system_is_measured_on_every_part(outputs: Path) -> None:
    """Model and baselines, on training, validation and test rows, with intervals around each figure."""
    parts = figures(outputs)["parts"]

    assert list(parts) == ["train", "validation", "test"]
    for part in parts.values():
        assert list(part["systems"]) == ["model", "global mean", "title mean", "user + title bias", "item-kNN"]
        for quality in part["systems"].values():
            for estimate in (quality["rmse"], quality["mae"]):
                assert estimate["low"] < estimate["value"] < estimate["high"]


def test_variety_has_a_price(outputs: Path) -> None:
    """Of each setting of the dial lists are made and judged; turned up, their titles are less alike."""
    variety = figures(outputs)["variety"]
    points = variety["by_diversity"]

    assert [point["setting"] for point in points] == [0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0]
    assert points[0]["score"] == 0 < points[-1]["score"]
    assert points[0]["distance"]["value"] < points[-1]["distance"]["value"]
    assert points[0]["seen"] == 0 < variety["unfiltered"]["seen"]
    assert "Variety and its price" in (outputs / "report" / "report.html").read_text()


def test_what_ratings_depend_on_is_measured(outputs: Path) -> None:
    """Explanations of test rows, whose parts nearly add up; the page shows them."""
    importance = figures(outputs)["importance"]

    assert importance["rows"] == 150
    assert set(importance["terms"]) == {"user", "title"}
    assert 0 <= importance["mean_error"] <= importance["largest_error"] < 0.03
    assert "What ratings depend on" in (outputs / "report" / "report.html").read_text()


def test_the_global_mean_is_what_it_says(inputs: Path, outputs: Path) -> None:
    """Its RMSE on test is computed from the training mean, as by hand."""
    train, test = (
        pl.read_parquet(inputs / "split" / f"{part}.parquet")["rating"].to_numpy() for part in ("train", "test")
    )
    by_hand = float(np.sqrt(np.mean((test - train.mean()) ** 2)))

    assert figures(outputs)["parts"]["test"]["systems"]["global mean"]["rmse"]["value"] == pytest.approx(
        by_hand, abs=1e-6
    )


def test_validation_rmse_agrees_with_what_training_recorded(inputs: Path, outputs: Path) -> None:
    """The model that is judged is the one of the best epoch."""
    assert recorded(outputs)["validation_rmse"] == pytest.approx(recorded(inputs)["validation_rmse"], abs=1e-6)


def test_slices_share_out_the_test_rows(outputs: Path) -> None:
    """Known and new users and titles are four groups, which hold every test row once."""
    slices = {part["name"]: part for part in figures(outputs)["slices"] if part["dimension"] == "known or new"}

    assert sum(part["rows"] for part in slices.values()) == 150
    assert slices["new user, known title"]["rows"] > 0
    assert slices["known user, known title"]["users"] > slices["new user, known title"]["users"] == 1


def test_the_page_stands_alone(outputs: Path) -> None:
    """It has no script and asks nothing of any server."""
    page = (outputs / "report" / "report.html").read_text()

    assert "<script" not in page
    assert "http" not in page
    assert "src=" not in page
    assert page.count("<svg") == 8


def test_the_console_and_the_page_begin_with_the_verdict(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first sentence says how the model compares with the best baseline."""
    assert evaluate(inputs, tmp_path) == 0

    verdict = figures(tmp_path)["verdict"]
    assert capsys.readouterr().out.splitlines()[0] == verdict
    assert verdict.startswith("On test the model (RMSE ")
    assert "the user + title bias" in verdict


def test_two_evaluations_agree(inputs: Path, outputs: Path, tmp_path: Path) -> None:
    """The bootstrap is seeded, so figures repeat exactly."""
    assert evaluate(inputs, tmp_path) == 0

    assert figures(tmp_path) == figures(outputs)


def test_a_model_of_another_split_is_pointed_out(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Judged on rows that it may have learned from, a model gets a warning, on the console and on the page."""
    shutil.copytree(inputs / "model", tmp_path / "model")
    shutil.copytree(inputs / "split", tmp_path / "split")
    train = tmp_path / "split" / "train.parquet"
    pl.read_parquet(train).head(500).write_parquet(train)

    assert evaluate(tmp_path, tmp_path / "out") == 0

    assert "trained on other rows" in capsys.readouterr().out
    assert "trained on other rows" in (tmp_path / "out" / "report" / "report.html").read_text()


def test_many_rows_are_judged_some_users_at_a_time(
    inputs: Path, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a dozen shards, where slices are judged one by one, the figures are those of one shard but for rounding."""
    monkeypatch.setattr(stored_columns, "SHARD", 60)
    monkeypatch.setattr(fairness, "_CELLS", 1)

    assert evaluate(inputs, tmp_path) == 0

    assert flat(figures(tmp_path)) == pytest.approx(flat(figures(outputs)), rel=1e-4, abs=1e-4)
    for name, by in (("predictions", ["user_id", "item_id"]), ("lists", ["user_id"])):
        whole, parted = (pl.read_parquet(each / "report" / f"{name}.parquet") for each in (outputs, tmp_path))
        assert whole.select(by).equals(parted.select(by))
        assert whole.drop(by).to_numpy() == pytest.approx(parted.drop(by).to_numpy(), abs=1e-4)


def test_of_a_large_split_some_users_are_judged(
    inputs: Path, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is answered to them is what was answered when all were judged; the page says how many rows they have."""
    monkeypatch.setattr(judged_users, "MOST_ROWS", 300)
    monkeypatch.setattr(judged_users, "FEWEST_USERS", 3)

    assert evaluate(inputs, tmp_path) == 0

    some, every = (pl.read_parquet(each / "report" / "predictions.parquet") for each in (tmp_path, outputs))
    assert 0 < len(some) < len(every)
    assert some["static"].to_numpy() == pytest.approx(
        every.filter(pl.col("user_id").is_in(some["user_id"].unique().implode()))["static"].to_numpy()
    )
    found = figures(tmp_path)
    assert found["notes"][-1] == (
        "Ratings are judged of 11 users, drawn from all 30: those have 315 of 851 rows. Everything was fitted on all "
        "rows."
    )
    assert found["notes"][-1] in (tmp_path / "report" / "report.html").read_text()
    assert found["parts"]["test"]["rows"] == len(some)
    assert found["parts"]["test"]["users"] == some["user_id"].n_unique()
    error = np.sqrt(np.mean((some["static"] - some["rating"]).to_numpy() ** 2))
    assert found["parts"]["test"]["systems"]["model"]["rmse"]["value"] == pytest.approx(error, abs=1e-6)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """The numbers in a JSON value by where they are."""
    if isinstance(value, dict):
        return {path: found for key, each in value.items() for path, found in flat(each, f"{name}/{key}").items()}
    if isinstance(value, list):
        return flat(dict(enumerate(value)), name)
    return {name: value} if isinstance(value, int | float) else {}
