"""Tests of `steps.compare`, on reports of models trained on synthetic ratings."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from steps.compare import main
from steps.evaluate import main as evaluate


@pytest.fixture(name="reports", scope="module")
def _reports(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model, and what would be its reports had it another seed, and were it another model that knows the truth."""
    folder = tmp_path_factory.mktemp("compared")
    assert evaluate([f"--inputs-dir={inputs}", f"--outputs-dir={folder}", "--tracking=off"]) == 0
    report = folder / "reports" / "a"
    shutil.copytree(folder / "report", report)
    write(report, folder / "reports" / "b", {"seed": 2}, 0.5)
    write(report, folder / "reports" / "c", {"model": "oracle"}, 0.0)
    return folder


def write(report: Path, other: Path, parameters: dict[str, Any], error: float) -> None:
    """A copy whose predictions are off by `error` everywhere, of a model with other parameters."""
    shutil.copytree(report, other)
    figures = json.loads((other / "metrics.json").read_text())
    figures["parameters"] |= parameters
    for protocol in ("parts", "prequential"):
        for part in ("validation", "test"):
            figures[protocol][part]["systems"]["model"]["rmse"]["value"] = error
    (other / "metrics.json").write_text(json.dumps(figures))
    off = pl.read_parquet(other / "predictions.parquet").with_columns(
        static=pl.col("rating") + error, prequential=pl.col("rating") + error
    )
    off.write_parquet(other / "predictions.parquet")


def compare(folder: Path) -> int:
    """Run the step; returns its exit code."""
    return main([f"--inputs-dir={folder}", f"--outputs-dir={folder}"])


def test_models_are_compared_on_the_same_rows(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The best on validation comes first, and the others differ from it by what they are worse, with an interval."""
    assert compare(reports) == 0

    found = json.loads((reports / "report" / "metrics.json").read_text())["static"]
    assert list(found) == ["oracle", "ranking"]
    assert found["oracle"]["to_best"] is None
    difference = found["ranking"]["to_best"]["difference"]
    assert difference["value"] == pytest.approx(found["ranking"]["quality"]["rmse"]["value"], abs=1e-6)
    assert 0 < difference["low"] < difference["high"]
    assert capsys.readouterr().out.splitlines()[:2] == [
        "Static, oracle is the best on validation: RMSE 0.000 [0.000, 0.000] on test, better than ranking.",
        "Prequential, oracle is the best on validation: RMSE 0.000 [0.000, 0.000] on test, better than ranking.",
    ]


def test_baselines_and_numbers_stand_beside(reports: Path) -> None:
    """Those of the evaluations, of ratings under both protocols and of lists, and how much was judged."""
    assert compare(reports) == 0

    page = (reports / "report" / "report.html").read_text()
    assert page.count("item-kNN (baseline)") == 3
    assert page.count("title mean + user so far (baseline)") == 1
    assert page.count("EASE (baseline)") == 1
    assert "Test: 150 ratings of 15 users." in page


def test_the_page_says_for_whom_which_model_is_better(reports: Path) -> None:
    """Each group of the evaluations is a row, with a column for each model."""
    assert compare(reports) == 0

    page = (reports / "report" / "report.html").read_text()
    assert "For whom" in page
    assert "known or new: known user, known title" in page


def test_the_page_says_how_each_model_learned(reports: Path) -> None:
    """A curve of each, and what its training took where that is known: the mean of its seeds."""
    for name, seconds in (("a", 10.0), ("b", 20.0)):
        (reports / "costs" / name).mkdir(parents=True)
        (reports / "costs" / name / "cost.json").write_text(json.dumps({"train_seconds": seconds}))
    assert compare(reports) == 0

    page = (reports / "report" / "report.html").read_text()
    assert page.count("RMSE on training and validation rows by epoch</title>") == 2
    shown = re.findall(r"<td>([^<]+)</td></tr>", page.partition("How each learned")[2])
    assert shown == ["-", "15.0"]


def test_seeds_of_one_model_give_its_spread(reports: Path) -> None:
    """Two seeds have a standard deviation, and make one row."""
    assert compare(reports) == 0

    found = json.loads((reports / "report" / "metrics.json").read_text())["static"]["ranking"]
    first, second = found["rmse_of_seeds"]
    assert second == 0.5
    assert found["spread"] == pytest.approx(abs(first - second) / 2**0.5)
    assert "\u00b1" in (reports / "report" / "report.html").read_text()


def test_other_rows_are_refused(reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Models of different splits cannot be compared, and the message says which."""
    shutil.copytree(reports / "reports", tmp_path / "reports")
    rows = tmp_path / "reports" / "c" / "predictions.parquet"
    pl.read_parquet(rows).head(10).write_parquet(rows)

    assert compare(tmp_path) == 1

    folder = tmp_path / "reports"
    expected = f"error: {folder / 'c'} was judged on other rows than {folder / 'a'}: compare models of one split\n"
    assert capsys.readouterr().err == expected
