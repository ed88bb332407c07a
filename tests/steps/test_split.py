"""Split: every rating goes to exactly one part, by the method asked for."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from steps import clean, ingest
from steps.split import main
from tests.steps.data_fixtures import document, hand_on, run

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("rows_at_once")

Rating = tuple[str, str, int]
"""user_id, item_id, timestamp"""


def ratings(folder: Path, rows: list[Rating]) -> None:
    """Write cleaned ratings."""
    source = folder / "ratings"
    source.mkdir()
    pl.DataFrame(
        [(user, item, f"Title {item}", 3.0, time) for user, item, time in rows],
        schema={
            "user_id": pl.String,
            "item_id": pl.String,
            "title": pl.String,
            "rating": pl.Float32,
            "timestamp": pl.Int64,
        },
        orient="row",
    ).write_parquet(source / "ratings.parquet")
    pl.DataFrame({"item_id": ["1"], "title": ["Title 1"]}).write_parquet(source / "items.parquet")
    (source / "dataset.json").write_text('{"name": "tiny"}')


def parts(folder: Path) -> list[list[Any]]:
    """The item ids in training, validation and test."""
    return [
        pl.read_parquet(folder / "out/split" / f"{name}.parquet")["item_id"].to_list()
        for name in ("train", "validation", "test")
    ]


TEN: list[Rating] = [("u", str(time), time) for time in (5, 1, 2, 3, 4, 6, 7, 8, 9, 11)]


@pytest.mark.parametrize("rows_at_once", [None, 30_000], ids=["whole", "in parts"], indirect=True)
def test_the_article_gets_its_parts(tmp_path: Path, capsys: Capture) -> None:
    """ML-100K, ingested and cleaned by default, keeps its 100,000 rows and parts as published."""
    assert run(ingest.main, tmp_path, "--sources", "wheel") == 0
    hand_on(tmp_path)
    assert run(clean.main, tmp_path) == 0
    report = document(tmp_path, "ratings/report.json")
    assert (report["rows_in"], report["rows_out"]) == (100_000, 100_000)
    assert report["checks"]["titles_with_several_ids"] == {
        "policy": "keep",
        "found": 1269,
        "dropped": 0,
        "fixed": 0,
        "kept": 1269,
    }
    hand_on(tmp_path)
    capsys.readouterr()
    assert run(main, tmp_path) == 0
    assert document(tmp_path, "split/split.json") == {
        "method": "time_range",
        "train_end": 0.6,
        "validation_end": 0.8,
        "rows": {"train": 65_336, "validation": 15_778, "test": 18_886},
        "unseen_test_users": 194,
        "unseen_test_items": 88,
    }
    assert capsys.readouterr().out == (
        "split by time_range with train_end 0.6, validation_end 0.8\n"
        "train          65,336 rows  65.3%  1997-09-20 03:05 to 1998-01-27 00:24\n"
        "validation     15,778 rows  15.8%  1998-01-27 00:49 to 1998-03-10 22:34\n"
        "test           18,886 rows  18.9%  1998-03-11 14:39 to 1998-04-22 23:10\n"
        "of the test part's 281 users 194 are not in training, of its 1,437 items 88\n"
    )
    files = {file.name for file in (tmp_path / "out/split").iterdir()}
    assert files == {
        "train.parquet",
        "validation.parquet",
        "test.parquet",
        "items.parquet",
        "users.parquet",
        "dataset.json",
        "split.json",
    }


def test_time_range_cuts_the_time(tmp_path: Path) -> None:
    """A rating at the very cut still belongs to the earlier part, and each part keeps the order of the source."""
    ratings(tmp_path, TEN)
    assert run(main, tmp_path, "--train-end", "0.5", "--validation-end", "0.7") == 0
    assert parts(tmp_path) == [["5", "1", "2", "3", "4", "6"], ["7", "8"], ["9", "11"]]


def test_time_quantile_cuts_the_ratings(tmp_path: Path) -> None:
    """Fractions of the ratings in order of time go to the parts, however the times are spread."""
    ratings(tmp_path, [("u", str(time), time) for time in (1, 2, 3, 4, 5, 6, 1000, 2000, 3000, 4000)])
    assert run(main, tmp_path, "--method", "time_quantile") == 0
    assert parts(tmp_path) == [["1", "2", "3", "4", "5", "6"], ["1000", "2000"], ["3000", "4000"]]


def test_time_quantile_keeps_a_moment_together(tmp_path: Path) -> None:
    """Ratings of one moment are never in two parts."""
    ratings(tmp_path, [("u", str(n), time) for n, time in enumerate((1, 1, 2, 2, 2, 2, 3, 3, 3, 4))])
    assert run(main, tmp_path, "--method", "time_quantile", "--train-end", "0.4") == 0
    assert parts(tmp_path) == [["0", "1", "2", "3", "4", "5"], ["6", "7", "8"], ["9"]]


def test_leave_last_n_takes_the_last_of_each_user(tmp_path: Path) -> None:
    """The latest ratings of each user are for test, those before for validation; ties go by item id and row."""
    rows: list[Rating] = [("u", "d", 1), ("u", "c", 9), ("u", "b", 9), ("v", "e", 5), ("v", "f", 4), ("v", "g", 3)]
    ratings(tmp_path, rows)
    assert run(main, tmp_path, "--method", "leave_last_n") == 0
    assert parts(tmp_path) == [["d", "g"], ["b", "f"], ["c", "e"]]


def test_leave_last_n_leaves_users_with_few_ratings_in_training(tmp_path: Path) -> None:
    """A user whose ratings would all be held out is only for training."""
    ratings(tmp_path, [*(("u", str(n), n) for n in range(5)), *(("v", f"v{n}", n) for n in range(4))])
    assert run(main, tmp_path, "--method", "leave_last_n", "--leave", "2") == 0
    assert parts(tmp_path) == [["0", "v0", "v1", "v2", "v3"], ["1", "2"], ["3", "4"]]


def test_random_is_the_same_everywhere(tmp_path: Path) -> None:
    """The parts of a seed are these, on every machine; another seed gives others of the same size."""
    ratings(tmp_path, TEN)
    assert run(main, tmp_path, "--method", "random", "--seed", "7") == 0
    first = parts(tmp_path)
    assert first == [["5", "2", "3", "4", "7", "11"], ["8", "9"], ["1", "6"]]
    assert run(main, tmp_path, "--method", "random", "--seed", "8") == 0
    second = parts(tmp_path)
    assert second != first
    assert [len(part) for part in second] == [6, 2, 2]


def test_the_folds_cover_every_rating_once(tmp_path: Path) -> None:
    """Over all folds each rating is once in test and once in validation, and the test of one validates another."""
    ratings(tmp_path, TEN)
    tests, validations = [], []
    for fold in range(1, 6):
        assert run(main, tmp_path, "--method", "k_fold", "--fold", str(fold)) == 0
        train, validation, test = parts(tmp_path)
        assert len(train) == 6
        tests.append(test)
        validations.append(validation)
    assert sorted(item for test in tests for item in test) == sorted(item for _, item, _ in TEN)
    assert validations == [*tests[1:], tests[0]]


def test_what_describes_the_data_is_carried_over(tmp_path: Path) -> None:
    """Items and dataset.json go with the parts, and the parameters that the method used are written down."""
    ratings(tmp_path, TEN)
    assert run(main, tmp_path, "--method", "k_fold", "--folds", "3", "--seed", "4") == 0
    assert document(tmp_path, "split/dataset.json") == {"name": "tiny"}
    assert pl.read_parquet(tmp_path / "out/split/items.parquet").height == 1
    about = document(tmp_path, "split/split.json")
    assert {name: about[name] for name in ("method", "folds", "fold", "seed")} == {
        "method": "k_fold",
        "folds": 3,
        "fold": 1,
        "seed": 4,
    }
    assert json.dumps(about).count("train_end") == 0
    metrics = document(tmp_path, ".wf/metrics.json")
    assert metrics == {f"{name}_rows": rows for name, rows in about["rows"].items()}


@pytest.mark.parametrize(
    ("rows", "flags", "message"),
    [
        (
            [("u", "1", 5), ("u", "2", 5)],
            (),
            (
                "time_range with train_end 0.6, validation_end 0.8 leaves no rating for "
                "validation and test (train 2, validation 0, test 0): choose other fractions or another method"
            ),
        ),
        (
            [("u", "1", 5), ("u", "2", 6)],
            ("--method", "random"),
            (
                "random with train_end 0.6, validation_end 0.8, seed 0 "
                "leaves no rating for test (train 1, validation 1, test 0): choose other fractions or another method"
            ),
        ),
        (
            [("u", "1", 5), ("u", "2", 6)],
            ("--method", "leave_last_n"),
            (
                "leave_last_n with leave 1 leaves no rating for "
                "validation and test (train 2, validation 0, test 0): no user has the 3 ratings that it takes, so "
                "choose a smaller `leave`"
            ),
        ),
        (
            [("u", "1", 5), ("u", "2", 6)],
            ("--method", "k_fold"),
            (
                "k_fold with folds 5, fold 1, seed 0 leaves no rating "
                "for validation (train 1, validation 0, test 1): choose fewer folds"
            ),
        ),
        ([], (), "there is no rating to split"),
    ],
)
def test_an_empty_part_is_refused(
    tmp_path: Path, capsys: Capture, rows: list[Rating], flags: tuple[str, ...], message: str
) -> None:
    """A split that leaves a part empty fails with the sizes and what to change, and writes nothing."""
    ratings(tmp_path, rows)
    assert run(main, tmp_path, *flags) == 1
    assert capsys.readouterr().err == f"error: {message}\n"
    assert list((tmp_path / "out/split").iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--train-end", "0.8"), "Value error, train_end must be less than validation_end"),
        (("--fold", "6"), "Value error, fold is 6, and there are only 5 folds"),
        (("--folds", "2"), "folds: Input should be greater than or equal to 3"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: Capture, flags: tuple[str, ...], problem: str
) -> None:
    """Fractions out of order and folds that are not there are found before anything is read."""
    assert run(main, tmp_path, *flags) == 2
    assert capsys.readouterr().err == f"error: split: {problem}\n"
