"""Tests of `steps.export`, with a model trained on synthetic ratings."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from steps.entry import StepError
from steps.export import main
from steps.recommender import saved_model, trained_model
from steps.train import main as train
from tests.steps.conftest import SMALL_MODEL
from tests.steps.synthetic_ratings import write_split


def ask(folder: Path, signature: str, **columns: Any) -> Any:
    """The ratings that a signature answers."""
    return answers(folder, signature, **columns)["rating"]


def answers(folder: Path, signature: str, **columns: Any) -> dict[str, Any]:
    """All outputs of a signature."""
    import tensorflow as tf

    answer = tf.saved_model.load(str(folder)).signatures[signature](**{k: tf.constant(v) for k, v in columns.items()})
    return {name: values.numpy() for name, values in answer.items()}


def test_a_fresh_process_answered_as_the_trained_model_does(exported: Path) -> None:
    """The step itself loads the model with TensorFlow alone and writes down how far answers were off."""
    smoke = json.loads((exported / "export.json").read_text())["smoke_test"]

    assert smoke["largest_difference"] <= smoke["tolerance"]
    assert smoke["rows"] == {"one row": 1, "unknown ids": 4, "no rows": 0, "many rows": 10_000}


def test_it_answers_the_articles_request(exported: Path) -> None:
    """User, title and timestamp as a client sends them; unknown ones get an answer within the scale too."""
    ratings = ask(
        exported,
        "serving_default",
        user_id=["1", "587"],
        movie_title=["Amélie, Part 1 (2001)", "Devils Advocate, The (1997)"],
        timestamp=np.array([892870992, 892870992], np.int64),
    )

    assert ratings.shape == (2,)
    assert ((ratings >= 1) & (ratings <= 5)).all()


def test_the_timestamp_may_be_left_out(inputs: Path, exported: Path) -> None:
    """The second signature answers like the first, and like the trained model."""
    trained = trained_model.load(inputs / "model")
    request = {"user_id": ["3", "nobody"], "movie_title": ["Amélie, Part 2 (2001)"] * 2}

    ratings = ask(exported, "without_timestamp", **request)

    assert ratings == pytest.approx(saved_model.expected_ratings(trained, request), abs=1e-5)
    assert ratings[0] != ratings[1]


def test_a_history_in_the_request_is_answered(remembering: Path) -> None:
    """A new user is served from the first rating on: who liked one part of a series more is expected to like others so.

    The step itself compares the signature with the trained model, for histories of several lengths and none.
    """
    description = json.loads((remembering / "saved_model" / "export.json").read_text())
    assert list(description["signatures"]) == ["serving_default", "without_timestamp", "with_history", "recommend"]
    assert description["smoke_test"]["largest_difference"] <= description["smoke_test"]["tolerance"]
    ratings = ask(
        remembering / "saved_model",
        "with_history",
        movie_title=["Am\u00e9lie, Part 2 (2001)"] * 3,
        timestamp=np.array([880_001_000] * 3, np.int64),
        history_titles=[["Am\u00e9lie, Part 3 (2001)"], ["Am\u00e9lie, Part 3 (2001)"], [""]],
        history_ratings=np.array([[5], [1], [0]], np.float32),
        history_timestamps=np.array([[880_000_990]] * 3, np.int64),
    )
    assert ratings[0] > ratings[2] > ratings[1]


def test_what_a_request_says_of_a_person_is_read(tmp_path: Path) -> None:
    """A model that has learned from demographics is asked with them; what is left empty is unknown, of known users too.

    The step itself compares the signature with the trained model, for people of whom something or nothing is said.
    """
    folder, users = tmp_path / "in", [str(user) for user in range(30)]
    write_split(folder / "split")
    people = {"user_id": users, "age": [20, 40, 60] * 10, "gender": ["F", "M"] * 15, "occupation": ["student"] * 30}
    pl.DataFrame(people, schema_overrides={"age": pl.Int32}).write_parquet(folder / "split" / "users.parquet")
    flags = [*SMALL_MODEL, "--epochs=2", "--tracking=off", "--features=demographics"]
    assert train([*flags, f"--inputs-dir={folder}", f"--outputs-dir={folder}"]) == 0
    assert main([f"--inputs-dir={folder}", f"--outputs-dir={folder}"]) == 0

    names = json.loads((folder / "saved_model" / "export.json").read_text())["signatures"]
    title = "Am\u00e9lie, Part 2 (2001)"
    asked = {"movie_title": [title], "timestamp": np.array([880_001_000], np.int64)}

    def rating(user: str, age: int, gender: str) -> float:
        who = {"user_id": [user], "age": np.array([age], np.int32), "gender": [gender], "occupation": [""]}
        return float(ask(folder / "saved_model", "with_demographics", **asked, **who)[0])

    known = float(ask(folder / "saved_model", "serving_default", **asked, user_id=["3"])[0])
    lists = ["recommend", "recommend_with_demographics"]
    assert list(names) == ["serving_default", "without_timestamp", "with_demographics", *lists]
    assert names["with_demographics"]["inputs"]["age"] == names[lists[1]]["inputs"]["age"] == "int32"
    assert rating("3", 0, "") == pytest.approx(known, abs=1e-5)
    assert len({round(rating("new", age, gender), 4) for age in (20, 60) for gender in ("F", "M")}) == 4

    wish = {
        "user_id": ["new"],
        "timestamp": asked["timestamp"],
        "history_titles": [[""]],
        "history_ratings": np.zeros((1, 1), np.float32),
        "history_timestamps": np.zeros((1, 1), np.int64),
        "exclude_titles": [[""]],
        "k": np.array([40], np.int32),
        "diversity": np.zeros(1, np.float32),
        "per_genre": np.zeros(1, np.int32),
    }

    def listed_rating(age: int, gender: str) -> float:
        who = {"age": np.array([age], np.int32), "gender": [gender], "occupation": [""]}
        answer = answers(folder / "saved_model", lists[1], **wish, **who)
        return float(answer["ratings"][0][answer["titles"][0].tolist().index(title.encode())])

    assert listed_rating(60, "F") == pytest.approx(rating("new", 60, "F"), abs=1e-5)
    assert listed_rating(20, "M") == pytest.approx(rating("new", 20, "M"), abs=1e-5)


def test_a_list_has_what_a_user_has_not_seen(inputs: Path, exported: Path) -> None:
    """For several users at once, each with wishes of their own; the parts of a network's rating nearly add up."""
    import tensorflow as tf

    request = {
        "user_id": ["3", "nobody"],
        "timestamp": np.array([880_001_000] * 2, np.int64),
        "history_titles": [[""], ["Am\u00e9lie, Part 3 (2001)"]],
        "history_ratings": np.array([[0], [5]], np.float32),
        "history_timestamps": np.array([[0], [880_000_990]], np.int64),
        "exclude_titles": [["Am\u00e9lie, Part 4 (2001)", ""]] * 2,
        "k": [3, 40],
        "diversity": np.array([0.5, 0.0], np.float32),
        "per_genre": [0, 0],
    }
    signature = tf.saved_model.load(str(exported)).signatures["recommend"]
    answer = {
        name: values.numpy() for name, values in signature(**{k: tf.constant(v) for k, v in request.items()}).items()
    }

    lists = [[title.decode() for title in row if title] for row in answer["titles"]]
    train = trained_model.load(inputs / "model").basis.train
    titles = json.loads((exported / "titles.json").read_text())
    seen = {titles[row - 1] for row in train["title"][train["user"] == 1 + sorted(map(str, range(29))).index("3")]}
    left_out = {"Am\u00e9lie, Part 3 (2001)", "Am\u00e9lie, Part 4 (2001)"}
    assert sorted(lists[1]) == sorted(set(titles) - left_out)
    assert not set(lists[0]) & (seen | {"Am\u00e9lie, Part 4 (2001)"})
    assert answer["term_names"].tolist() == [[b"average", b"user", b"title"]] * 2
    assert answer["terms"][1].sum(axis=1) == pytest.approx(answer["ratings"][1], abs=0.03)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the missing files and the step that writes them."""
    (tmp_path / "model").mkdir()

    assert main([f"--inputs-dir={tmp_path}", f"--outputs-dir={tmp_path}"]) == 1

    assert "has no model.json, vocabulary.json" in capsys.readouterr().err


def test_an_export_that_answers_wrongly_fails(inputs: Path, exported: Path, tmp_path: Path) -> None:
    """A SavedModel of other weights does not pass for this one."""
    trained = trained_model.load(inputs / "model")
    trained.model.output_layer.bias.assign_sub([0.5])

    with pytest.raises(StepError, match=r"answers one row 0\.\d+ off the trained model's rating"):
        saved_model.smoke_test(trained, exported)


def test_an_export_that_cannot_be_loaded_fails(inputs: Path, exported: Path, tmp_path: Path) -> None:
    """A damaged SavedModel is found before anyone serves it, with TensorFlow's reason."""
    broken = shutil.copytree(exported, tmp_path / "broken")
    (broken / "saved_model.pb").write_bytes(b"")
    trained = trained_model.load(inputs / "model")

    with pytest.raises(StepError, match="plain TensorFlow cannot use the SavedModel"):
        saved_model.smoke_test(trained, broken)
