"""Tests of `steps.recommender.profiles`, `title_words` and `models.context`: features beside the ids."""

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from steps.entry import StepError
from steps.recommender.asked_profiles import AskedProfiles
from steps.recommender.config import TrainingConfig
from steps.recommender.profiles import Profiles
from steps.recommender.title_words import TitleWords
from steps.recommender.vocabulary import Vocabulary
from tests.steps.recommender.test_models import BATCH, build

USERS = pl.DataFrame(
    {
        "user_id": ["a", "b", "c", "new"],
        "gender": ["F", "M", "F", "F"],
        "age": [24, 25, None, 24],
        "occupation": ["writer", "artist", "", "pilot"],
    },
    schema_overrides={"age": pl.Int32},
)
VOCABULARY = Vocabulary(users=("a", "b", "c"), titles=("x", "y"))
PROFILES = Profiles.of(USERS, VOCABULARY)


def said(row: int) -> list[str]:
    """What a profile says."""
    return [name for name, value in zip(PROFILES.names, PROFILES.values[row], strict=True) if value]


def test_profiles_say_what_is_known() -> None:
    """Ages fall into groups, and what is empty or null is not said; row 0 says nothing."""
    assert [said(row) for row in PROFILES.of_users] == [
        [],
        ["age: 18 to 24", "gender: F", "occupation: writer"],
        ["age: 25 to 34", "gender: M", "occupation: artist"],
        ["gender: F"],
    ]


def test_new_people_get_the_profile_that_agrees_in_most() -> None:
    """Of somebody with an occupation that nobody had in training, gender and age still count."""
    rows = PROFILES.rows(USERS, pl.Series(["new", "nobody", "b"]))

    assert said(rows[0]) == ["age: 18 to 24", "gender: F", "occupation: writer"]
    assert (rows[1], rows[2]) == (0, PROFILES.of_users[2])


def test_of_whom_little_is_said_is_the_average_of_those_who_agree() -> None:
    """Both women write, and one of them is young; what is true of nobody is answered by a part of it."""
    asked = pl.DataFrame(
        {
            "user_id": ["woman", "man", "young artist", "young man"],
            "gender": ["F", "M", "", "M"],
            "age": [None, None, 19, 19],
            "occupation": ["", "", "artist", ""],
        },
        schema_overrides={"age": pl.Int32},
    )
    people = pl.concat([USERS, USERS.head(1).with_columns(user_id=pl.lit("d"), age=pl.lit(60, pl.Int32))])
    profiles = Profiles.of(people.filter(pl.col("user_id") != "c"), Vocabulary(users=("a", "b", "d"), titles=()))
    told = profiles.values[profiles.rows(asked, asked["user_id"])]
    shares = [dict(zip(profiles.names, row.tolist(), strict=True)) for row in told]

    woman = {"age: 18 to 24": 0.5, "age: 56 and older": 0.5, "gender: F": 1.0, "occupation: writer": 1.0}
    assert {name: share for name, share in shares[0].items() if share} == woman
    assert told[1].tolist() == profiles.values[profiles.of_users[2]].tolist()
    assert [bool(share["gender: F"] or share["gender: M"]) for share in shares] == [True] * 4


def test_what_servers_are_told_is_looked_up_in_the_same_way() -> None:
    """TensorFlow's graph finds the rows that training finds, for everything that may be said."""
    saying = [
        {"age": age, "gender": gender, "occupation": occupation}
        for age in (0, 19, 30, 70)
        for gender in ("", "F", "M", "X")
        for occupation in ("", "writer", "artist", "pilot")
    ]
    asked = pl.DataFrame(saying, {"age": pl.Int32, "gender": pl.String, "occupation": pl.String})
    users = asked.with_columns(
        user_id=pl.int_range(len(asked)).cast(pl.String), age=pl.when(pl.col("age") > 0).then("age")
    )
    columns = [tf.constant(asked[name].to_list()) for name in ("age", "gender", "occupation")]

    found = AskedProfiles(PROFILES).rows(tf.zeros([len(asked)], tf.int32), *columns)

    assert found.numpy().tolist() == PROFILES.rows(users, users["user_id"]).tolist()


def test_arrays_give_the_profiles_back() -> None:
    """What is stored with a model is what it was trained with."""
    again = Profiles.from_arrays(PROFILES.arrays())

    assert again.names == PROFILES.names
    assert np.array_equal(again.values, PROFILES.values)
    assert np.array_equal(again.said, PROFILES.said)


def test_words_are_those_that_titles_share() -> None:
    """Case and year do not count; words of a single title or two are left out, and the unknown has none."""
    words = TitleWords.of(("Star Trek (1979)", "Star Wars (1977)", "A STAR Is Born", "Wars"))

    assert words.words == ("star",)
    assert words.of_titles.tolist() == [[0], [1], [1], [1], [0]]


@pytest.mark.parametrize("name", ["ranking", "dcn"])
def test_a_model_reads_every_feature(name: str) -> None:
    """What is known of who asks and of when changes the answer, also for unknown ids."""
    model = build(model=name, features="genres,year,time,popularity,age,words,demographics", users=PROFILES)
    unknown = {column: values[:1] * 0 for column, values in BATCH.items()}
    answers = [
        model.predict_ratings({**unknown, "profile": np.array([profile], np.int32), "timestamp": np.array([moment])})[0]
        for profile, moment in ((0, 0), (1, 0), (0, 500_000))
    ]

    assert len(set(answers)) == 3


def test_profiles_of_known_users_need_not_be_given() -> None:
    """A server that is told an id only answers as if it had been told who that is."""
    model = build(features="demographics", users=PROFILES)
    told = {**BATCH, "profile": PROFILES.of_users[BATCH["user"]]}

    assert model.predict_ratings(told).tolist() == model.predict_ratings(BATCH).tolist()


def test_demographics_need_data() -> None:
    """A data set without users is refused with what to do."""
    with pytest.raises(StepError, match=r"^`features` has demographics, but the data says nothing of users: leave it"):
        build(features="demographics")


def test_features_need_a_model_that_reads_them() -> None:
    """Of the others, a wish would be ignored."""
    with pytest.raises(ValueError, match="features are for the models ranking and dcn, not for bias"):
        TrainingConfig.model_validate({"model": "bias", "features": "year"})
