"""Tests of `steps.recommender.slices` and `fairness`: who is served how well."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from steps.recommender.fairness import judge_slices, summary
from steps.recommender.fairness_page import fairness_sections
from steps.recommender.slices import Slice, slices
from steps.recommender.stored_split import store_split

USERS = np.repeat(np.arange(40), 5)
TRUTH = np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 40)
WOMEN = USERS < 15
GENDERS = [Slice("gender", "F", WOMEN), Slice("gender", "M", ~WOMEN)]


def test_a_gap_is_one_side_minus_the_other() -> None:
    """Women's ratings are foretold 0.5 too high and men's exactly: the gap is that, with no doubt."""
    results, gaps = judge_slices(GENDERS, USERS, TRUTH, TRUTH + 0.5 * WOMEN, TRUTH + 0.25, seed=1)

    women, men = gaps
    assert [(gap.name, gap.rows, gap.users) for gap in gaps] == [("F", 75, 15), ("M", 125, 25)]
    assert (women.rmse.value, women.rmse.low, women.error.value) == pytest.approx((0.5, 0.5, 0.5))
    assert (men.rmse.value, men.error.high) == pytest.approx((-0.5, -0.5))
    assert women.baseline_rmse.value == pytest.approx(0, abs=1e-6)
    assert women.is_certain
    assert results[0].model is not None
    assert results[0].comparison is not None
    assert results[0].model.rmse.value == pytest.approx(0.5)
    assert results[0].comparison.difference.value == pytest.approx(0.25)


def test_equal_service_shows_no_gap() -> None:
    """Errors that have nothing to do with the group leave zero within the interval, and the summary counts that."""
    noise = np.random.default_rng(3).normal(0, 1, len(TRUTH))

    _, gaps = judge_slices(GENDERS, USERS, TRUTH, TRUTH + noise, TRUTH, seed=1)

    assert not any(gap.is_certain for gap in gaps)
    assert summary(gaps) == (
        "Of 2 groups, 0 have a gap in RMSE whose interval leaves zero out; if all were served alike, about 0 would by "
        "chance."
    )


def test_few_users_get_no_figures() -> None:
    """Nine people are counted and not judged, and the page shows their number and dashes."""
    few = [Slice("gender", "<F>", USERS < 9)]

    results, gaps = judge_slices(few, USERS, TRUTH, TRUTH, TRUTH, seed=1)
    (section,) = fairness_sections(results, gaps, "test", "the mean")

    assert (results[0].rows, results[0].users, results[0].model, gaps) == (45, 9, None, [])
    assert "&lt;F&gt;" in section
    assert "45 ratings, 9 users" in section


def test_slices_say_what_rows_have_in_common(tmp_path: Path) -> None:
    """Each dimension parts the rows as the tables of users and items say; who is not in them is in none."""
    folder = tmp_path / "split"
    folder.mkdir()
    frame([("a", "x"), ("a", "y"), ("b", "x")]).write_parquet(folder / "train.parquet")
    for part in ("validation", "test"):
        frame([("a", "x"), ("b", "y"), ("c", "z")]).write_parquet(folder / f"{part}.parquet")
    users = pl.DataFrame({"user_id": ["a", "b"], "gender": ["F", "M"], "age": [17, 56], "occupation": ["writer", None]})
    items = pl.DataFrame({"item_id": ["x", "y"], "genres": [["Comedy", "War"], ["War"]]})
    users.write_parquet(folder / "users.parquet")
    items.write_parquet(folder / "items.parquet")
    (folder / "dataset.json").write_text(json.dumps({"name": "tiny", "rating_min": 1, "rating_max": 5}))
    (shard,) = (split := store_split(folder, tmp_path / "rows")).shards()

    found = {
        (each.dimension, each.name): np.flatnonzero(each.rows).tolist()
        for each in slices(split, shard["test"])
        if each.rows.any()
    }

    assert found == {
        ("known or new", "known user, known title"): [0, 1],
        ("known or new", "new user, new title"): [2],
        ("user's training ratings", "none"): [2],
        ("user's training ratings", "1 to 19"): [0, 1],
        ("title's training ratings", "none"): [2],
        ("title's training ratings", "1 to 9"): [0, 1],
        ("gender", "F"): [0],
        ("gender", "M"): [1],
        ("age", "under 18"): [0],
        ("age", "56 and older"): [1],
        ("occupation", "writer"): [0],
        ("genre", "Comedy"): [0],
        ("genre", "War"): [0, 1],
    }


def frame(pairs: list[tuple[str, str]]) -> pl.DataFrame:
    """Ratings of 3 by these users of these titles."""
    rows: list[dict[str, Any]] = [
        {"user_id": user, "item_id": title, "title": title, "rating": 3.0, "timestamp": 1} for user, title in pairs
    ]
    return pl.DataFrame(rows)
