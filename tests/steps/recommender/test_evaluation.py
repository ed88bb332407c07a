"""Tests of `steps.recommender.evaluation`, `page` and `charts`: what is said about given predictions."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steps.recommender import charts
from steps.recommender.data import PARTS, RatingScale, encode
from steps.recommender.evaluation import Evaluation, distribution, judge, verdict
from steps.recommender.history import EpochResult
from steps.recommender.importance import Importance
from steps.recommender.list_evaluation import JudgedLists
from steps.recommender.metrics import Estimate, Floats
from steps.recommender.page import build_page
from steps.recommender.rating_baselines import fit_simple
from steps.recommender.stored_split import Shard, StoredSplit, store_split
from tests.steps.synthetic_ratings import write_split

IMPORTANCE = Importance(
    rows=2,
    terms={"<u>": 0.2, "title": 0.1},
    mean_error=1e-4,
    largest_error=2e-4,
    crossed=[[0.0, 0.5], [1.0, 0.1]],
    topics=["<i>", "title"],
)
HISTORY = [EpochResult(n, 1.0, 1.1, 1.0 / n, 1.1 / n) for n in (1, 2, 3)]


Predict = Callable[[pl.DataFrame], Floats]


class Answering:
    """A rater that answers what a function says of the rows of a part's file."""

    def __init__(self, folder: Path, predict: Predict) -> None:
        parts = {part: pl.read_parquet(folder / f"{part}.parquet") for part in PARTS}
        self.answers = {part: predict(rows) for part, rows in parts.items()}

    def static(self, shard: Shard) -> dict[str, Floats]:
        """The same, whatever is known."""
        return {part: self.answers[part][rows["place"]] for part, rows in shard.items()}

    in_turn = static


@pytest.fixture(name="split", scope="module")
def _split(tmp_path_factory: pytest.TempPathFactory) -> StoredSplit:
    folder = tmp_path_factory.mktemp("data")
    return store_split(write_split(folder / "split"), folder / "rows")


def judged(split: StoredSplit, predict: Predict) -> Evaluation:
    """The evaluation of what `predict` answers for each part."""
    return judge(split, Answering(split.folder, predict), seed=1)[0]


def test_an_oracle_is_better(split: StoredSplit) -> None:
    """Who knows every rating beats the baseline with confidence."""
    evaluation = judged(split, lambda part: part["rating"].to_numpy() * 1.0)

    assert verdict(evaluation).startswith("On test the model (RMSE 0.000 [0.000, 0.000]) is better than the user +")
    assert evaluation.comparison.difference.high < 0


def test_a_constant_is_worse(split: StoredSplit) -> None:
    """Who always says 3 loses to averages."""
    assert "is worse than the" in verdict(judged(split, lambda part: np.full(len(part), 3.0)))


def test_the_best_baseline_again_is_not_better(split: StoredSplit) -> None:
    """A copy of the baseline is told apart from neither winner nor loser."""
    vocabulary = split.vocabulary
    train, validation = (
        encode(pl.read_parquet(split.folder / f"{part}.parquet"), vocabulary) for part in ("train", "validation")
    )
    bias = fit_simple(train, validation, vocabulary)["user + title bias"]
    evaluation = judged(split, lambda part: np.clip(bias.predict(encode(part, vocabulary)), 1, 5))

    assert evaluation.best_baseline == "user + title bias"
    assert "is not better than the user + title bias" in verdict(evaluation)


def test_the_distribution_has_bins_around_the_ratings() -> None:
    """Whole ratings from 1 to 5 get bins half a rating wide, and nothing falls outside."""
    found = distribution(np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 3.2, 3.3, 5.0, 4.74]), RatingScale(1, 5))

    assert found.centers == [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]
    assert found.ratings == [1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert found.predictions == [1, 0, 0, 0, 1, 1, 0, 1, 1]


class _Balance(HTMLParser):
    """Notes whether every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_escapes_what_it_is_given(split: StoredSplit) -> None:
    """A data set may be called anything without becoming markup, and every element is closed."""
    page = build_page(
        judged(split, lambda part: np.full(len(part), 3.0)),
        JudgedLists(None, None, None),
        dataset="<b>&'\"",
        parameters={"layers": [256, 64], "<i>": "<u>"},
        history=HISTORY,
        best_epoch=3,
        notes=["1 < 2"],
        importance=IMPORTANCE,
    )
    balance = _Balance()
    balance.feed(page)

    assert balance.open == []
    assert "<b>" not in page
    assert "<i>" not in page
    assert "<u>" not in page
    assert "1 &lt; 2" in page
    assert "256, 64" in page


def test_the_page_names_its_method_and_its_pictures(split: StoredSplit) -> None:
    """It says that users are drawn, and every picture has a text for those who cannot see it."""
    page = build_page(
        judged(split, lambda part: np.full(len(part), 3.0)),
        JudgedLists(None, None, None),
        dataset="x",
        parameters={},
        history=HISTORY,
        best_epoch=1,
        importance=IMPORTANCE,
    )

    assert "draws whole users" in page
    assert page.count('role="img" aria-label="') == page.count("<svg") == 5


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.99, 1.16, [0.95, 1.0, 1.05, 1.1, 1.15, 1.2]),
        (1, 50, [0, 10, 20, 30, 40, 50]),
        (3, 3, [3, 4]),
    ],
)
def test_ticks_are_round_and_enclose_the_data(low: float, high: float, ticks: list[float]) -> None:
    """Readers need few numbers that are easy to compare."""
    assert charts.nice_ticks(low, high) == ticks


def test_an_interval_chart_survives_equal_figures() -> None:
    """A single system without spread still makes a picture."""
    assert "nan" not in charts.interval_chart("t", [("model", Estimate(1, 1, 1), "model")], axis="RMSE")


def test_a_training_of_one_epoch_makes_a_picture() -> None:
    """One point has no extent, and divides nothing by zero."""
    line = charts.Line("validation", "model", [(1, 1.0)])

    assert "nan" not in charts.line_chart("t", [line], x_axis="epoch", y_axis="RMSE", mark=(1, 1.0))


def test_a_split_with_empty_test_part_is_judged_on_validation(tmp_path: Path) -> None:
    """What has no rows is left out, and the verdict names the part that it is about."""
    folder = write_split(tmp_path / "split")
    pl.read_parquet(folder / "test.parquet").clear().write_parquet(folder / "test.parquet")

    evaluation = judged(store_split(folder, tmp_path / "rows"), lambda part: np.full(len(part), 3.0))

    assert list(evaluation.parts) == ["train", "validation"]
    assert verdict(evaluation).startswith("On validation the model")
