"""A trained model as a TensorFlow SavedModel that takes raw text and needs none of this project's code."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import tensorflow as tf

from steps.entry import StepError
from steps.recommender import load_and_predict, warmup
from steps.recommender.asked_profiles import DEMOGRAPHICS, AskedProfiles
from steps.recommender.check_lists import check_lists
from steps.recommender.recommend import INPUTS, MATRICES, Find, Recommender
from steps.recommender.trained_model import TrainedModel
from steps.recommender.vocabulary import OOV_ROW, Rows

Request = Mapping[str, Any]
"""Columns of equal length: `user_id` and `movie_title` text, `timestamp` whole seconds since 1970. And for each row
what the user has rated so far, filled up to equal length with empty titles: `history_titles` text, `history_ratings`,
`history_timestamps`."""

SIGNATURES: Final = {
    "serving_default": {"user_id": "string", "movie_title": "string", "timestamp": "int64"},
    "without_timestamp": {"user_id": "string", "movie_title": "string"},
}
"""The inputs of each signature, all [rows]. Every one answers `rating`, float32 [rows]."""
HISTORY_SIGNATURE: Final = {
    "with_history": {
        "movie_title": "string",
        "timestamp": "int64",
        "history_titles": "string",
        "history_ratings": "float32",
        "history_timestamps": "int64",
    }
}
"""What models that remember have besides; what is of the history is [rows, ratings]."""

DEMOGRAPHIC_SIGNATURE: Final = {"with_demographics": {**SIGNATURES["serving_default"], **DEMOGRAPHICS}}
"""What models have besides that have learned from demographics."""

TOLERANCE: Final = 1e-4
"""How far an answer may be off the trained model's, in rating units: float32 sums differ in their last digits."""

SAMPLED: Final = ("one row", "unknown ids")
"""The smoke requests that are exported with the model, for servers to begin with, and to be compared by."""

RECOMMEND: Final = {"recommend": INPUTS}
"""The signature that ranks titles: `steps.recommender.recommend` says what it answers."""
DEMOGRAPHIC_LISTS: Final = {"recommend_with_demographics": {**INPUTS, **DEMOGRAPHICS}}
"""What models have besides that have learned from demographics."""

_SMOKE_SECONDS: Final = 300
_WHO: Final[Mapping[str, Sequence[Any]]] = {
    "age": (0, 24, 70, 0),
    "gender": ("", "F", "M", "no such gender"),
    "occupation": ("", "student", "", "no such occupation"),
}


def signatures_of(trained: TrainedModel) -> dict[str, dict[str, str]]:
    """The inputs and their types of each signature that answers ratings, with which `trained` is exported."""
    of_history = HISTORY_SIGNATURE if trained.model.remembers else {}
    return {**SIGNATURES, **of_history, **(DEMOGRAPHIC_SIGNATURE if trained.profiles else {})}


def lists_of(trained: TrainedModel) -> dict[str, dict[str, str]]:
    """The same of each signature that answers lists."""
    return {**RECOMMEND, **(DEMOGRAPHIC_LISTS if trained.profiles else {})}


class RatingService(tf.Module):  # type: ignore[misc]
    """Looks users and titles up and answers ratings within the scale."""

    def __init__(self, trained: TrainedModel, find: Find | None = None) -> None:
        """`find` looks for the candidates of lists; without it, they are all titles."""
        super().__init__()
        # The variables are kept without the Keras object that made them: loading it would need its Python class.
        self.weights = list(trained.model.variables)
        # A function, not the model: what is an attribute of a module is saved with it.
        self._rate = trained.model.rate
        self._rate_with_history = trained.model.rate_with_history
        self._signatures = {**signatures_of(trained), **lists_of(trained)}
        self._list_signatures = tuple(lists_of(trained))
        self._last_moment = tf.constant(trained.last_moment, tf.int64)
        self._users = _lookup(trained.vocabulary.users)
        self._titles = _lookup(trained.vocabulary.titles)
        self._asked_profiles = AskedProfiles(trained.profiles) if trained.profiles else None
        self._recommender = Recommender(trained, self._users, self._titles, self._asked_profiles, find)

    def signatures(self) -> dict[str, Any]:
        """The concrete function of each of the model's signatures."""

        def serving_default(user_id: tf.Tensor, movie_title: tf.Tensor, timestamp: tf.Tensor) -> dict[str, tf.Tensor]:
            rows = {"user": self._users.lookup(user_id), "title": self._titles.lookup(movie_title)}
            return {"rating": self._rate({**rows, "timestamp": timestamp})}

        def without_timestamp(user_id: tf.Tensor, movie_title: tf.Tensor) -> dict[str, tf.Tensor]:
            return serving_default(user_id, movie_title, tf.fill(tf.shape(user_id), self._last_moment))

        def with_demographics(
            user_id: tf.Tensor,
            movie_title: tf.Tensor,
            timestamp: tf.Tensor,
            age: tf.Tensor,
            gender: tf.Tensor,
            occupation: tf.Tensor,
        ) -> dict[str, tf.Tensor]:
            rows = {"user": self._users.lookup(user_id), "title": self._titles.lookup(movie_title)}
            assert self._asked_profiles is not None, "only models with profiles have this signature"
            profile = self._asked_profiles.rows(rows["user"], age, gender, occupation)
            return {"rating": self._rate({**rows, "timestamp": timestamp, "profile": profile})}

        def with_history(
            movie_title: tf.Tensor,
            timestamp: tf.Tensor,
            history_titles: tf.Tensor,
            history_ratings: tf.Tensor,
            history_timestamps: tf.Tensor,
        ) -> dict[str, tf.Tensor]:
            asked = {"title": self._titles.lookup(movie_title), "timestamp": timestamp}
            history = {
                "title": self._titles.lookup(history_titles),
                "rating": history_ratings,
                "timestamp": history_timestamps,
                "known": tf.cast(history_titles != "", tf.float32),
            }
            return {"rating": self._rate_with_history(asked, history)}

        rating = (serving_default, without_timestamp, with_demographics, with_history)
        functions: dict[str, Any] = {function.__name__: function for function in rating}
        functions |= dict.fromkeys(self._list_signatures, self._recommender.recommend)
        return {
            name: tf.function(functions[name]).get_concrete_function(
                **{column: _spec(column, kind) for column, kind in inputs.items()}
            )
            for name, inputs in self._signatures.items()
        }


def export(trained: TrainedModel, folder: Path) -> None:
    """Write the SavedModel into `folder`, which exists."""
    service = RatingService(trained)
    tf.saved_model.save(service, str(folder), signatures=service.signatures())
    requests = smoke_requests(trained)
    warmup.write(folder, {**signatures_of(trained), **lists_of(trained)}, (requests[name] for name in SAMPLED))


def smoke_requests(trained: TrainedModel) -> dict[str, Request]:
    """Requests that a server will meet: one row, unknown ids, text that is not ASCII, none at all, and many."""
    users, titles = trained.vocabulary.users, trained.vocabulary.titles
    random = np.random.default_rng(0)
    many = 10_000
    return {
        "one row": _request(users[:1], titles[:1]),
        "unknown ids": _request(
            ["no such user", users[0], "", "\u00e9\u4e16"], [titles[0], "No Such Title", "", "\u00e9\u4e16"]
        ),
        "no rows": _request([], []),
        "many rows": _request(
            [users[row] for row in random.integers(0, len(users), many)],
            [titles[row] for row in random.integers(0, len(titles), many)],
        ),
    }


def smoke_test(trained: TrainedModel, folder: Path) -> dict[str, Any]:
    """Load the SavedModel in a new process that has only TensorFlow, and compare its answers with the model's.

    Returns what was checked and the largest difference, for `export.json`.

    Raises:
        StepError: it cannot be loaded, an answer differs by more than `TOLERANCE`, or one is outside the scale.
    """
    signatures, lists, requests = signatures_of(trained), lists_of(trained), smoke_requests(trained)
    asked = {**{name: list(requests) for name in signatures}, **{name: list(SAMPLED) for name in lists}}
    answers = _ask_in_fresh_process(folder, {**signatures, **lists}, requests, asked)
    expected = {
        signature: {
            name: expected_ratings(trained, {column: request[column] for column in inputs})
            for name, request in requests.items()
        }
        for signature, inputs in signatures.items()
    }
    largest = 0.0
    for signature, by_name in expected.items():
        for name, ratings in by_name.items():
            answered = np.asarray(answers[signature][name]["rating"], np.float64)
            if answered.shape != ratings.shape:
                raise StepError(
                    f"smoke test: {signature} answers {name} with {len(answered)} of {len(ratings)} ratings"
                )
            difference = float(np.max(np.abs(answered - ratings), initial=0.0))
            # Written so that NaN fails too.
            if not difference <= TOLERANCE:
                raise StepError(f"smoke test: {signature} answers {name} {difference} off the trained model's rating")
            largest = max(largest, difference)
    for signature, inputs in lists.items():
        for name in SAMPLED:
            request = {column: requests[name][column] for column in inputs}
            profile = _profiles(trained, request)
            check_lists(trained, request, profile, answers[signature][name], TOLERANCE)
    by_default = expected["serving_default"]
    return {
        "largest_difference": largest,
        "tolerance": TOLERANCE,
        "rows": {name: len(ratings) for name, ratings in by_default.items()},
        "samples": {
            name: {column: requests[name][column] for column in SIGNATURES["serving_default"]}
            | {"rating": by_default[name].tolist()}
            for name in SAMPLED
        },
    }


def expected_ratings(trained: TrainedModel, request: Request) -> npt.NDArray[np.float32]:
    """What the trained model itself answers, looked up without TensorFlow's tables."""
    titles = {title: row for row, title in enumerate(trained.vocabulary.titles, start=1)}

    def title_rows(asked: Iterable[str]) -> npt.NDArray[np.int32]:
        return np.array([titles.get(title, OOV_ROW) for title in asked], np.int32)

    title = title_rows(request["movie_title"])
    timestamp = np.array(request.get("timestamp", [trained.last_moment] * len(title)), np.int64)
    if "history_titles" in request:
        texts = np.array(request["history_titles"], np.str_).reshape(len(title), -1 if len(title) else 0)
        history = {
            "title": title_rows(texts.ravel()).reshape(texts.shape),
            "rating": np.array(request["history_ratings"], np.float32).reshape(texts.shape),
            "timestamp": np.array(request["history_timestamps"], np.int64).reshape(texts.shape),
            "known": (texts != "").astype(np.float32),
        }
        rated: npt.NDArray[np.float32] = trained.model.rate_with_history(
            {"title": title, "timestamp": timestamp}, history
        ).numpy()
        return rated
    asked: dict[str, npt.NDArray[Any]] = {"user": _users(trained, request), "title": title, "timestamp": timestamp}
    profile = _profiles(trained, request)
    return trained.model.predict_ratings(asked if profile is None else {**asked, "profile": profile})


def _users(trained: TrainedModel, request: Request) -> Rows:
    users = {user: row for row, user in enumerate(trained.vocabulary.users, start=1)}
    return np.array([users.get(user, OOV_ROW) for user in request["user_id"]], np.int32)


def _profiles(trained: TrainedModel, request: Request) -> Rows | None:
    """What `AskedProfiles` finds, looked up without TensorFlow's tables; None where the request may not say it."""
    if trained.profiles is None or "age" not in request:
        return None
    profiles, user = trained.profiles, _users(trained, request)
    schema = {name: pl.Int32 if kind == "int32" else pl.String for name, kind in DEMOGRAPHICS.items()}
    said = pl.DataFrame({name: request[name] for name in DEMOGRAPHICS}, schema).with_columns(
        user_id=pl.int_range(len(user)).cast(pl.String), age=pl.when(pl.col("age") > 0).then("age")
    )
    silent = said.select(pl.col("age").is_null() & (pl.col("gender") == "") & (pl.col("occupation") == ""))
    return np.where(silent.to_series().to_numpy(), profiles.of_users[user], profiles.rows(said, said["user_id"]))


def _lookup(values: Sequence[str]) -> tf.lookup.StaticHashTable:
    # 64 bits, since TensorFlow Lite, into which servers may convert this, has no tables of smaller numbers.
    rows = tf.range(1, len(values) + 1, dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(list(values), rows), default_value=OOV_ROW)


def _request(users: Sequence[str], titles: Sequence[str]) -> Request:
    # Histories of 0 to 3 ratings, the first of which are of one moment.
    lengths = [row % 4 for row in range(len(users))]
    return {
        "user_id": list(users),
        "movie_title": list(titles),
        "timestamp": [892_870_992] * len(users),
        "history_titles": [[*titles[:length], *[""] * (3 - length)] for length in lengths],
        "history_ratings": [[4.0, 2.0, 5.0][:length] + [0.0] * (3 - length) for length in lengths],
        "history_timestamps": [[892_000_000, 892_000_000, 892_870_000]] * len(users),
        **{name: [values[row % 4] for row in range(len(users))] for name, values in _WHO.items()},
        "exclude_titles": [[title] for title in titles],
        "k": [5, 2, 0, 8][: len(users)] if len(users) <= 4 else [5] * len(users),
        "diversity": [0.0, 0.0, 0.0, 0.4][: len(users)] if len(users) <= 4 else [0.0] * len(users),
        "per_genre": [0] * len(users),
    }


def _spec(column: str, kind: str) -> tf.TensorSpec:
    return tf.TensorSpec([None, None] if column in MATRICES else [None], kind, column)


def _ask_in_fresh_process(
    folder: Path,
    signatures: Mapping[str, Mapping[str, str]],
    requests: Mapping[str, Request],
    asked: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """The answers by signature, name of the request and output, from `load_and_predict` run on its own."""
    with tempfile.TemporaryDirectory() as scratch:
        document = {"signatures": signatures, "requests": requests, "asked": asked, "matrices": sorted(MATRICES)}
        question, answered = Path(scratch, "requests.json"), Path(scratch, "answers.json")
        question.write_text(json.dumps(document))
        # -I keeps this project, and any setting of Python in the environment, out of the process.
        command = [sys.executable, "-I", load_and_predict.__file__, str(folder), str(question), str(answered)]
        # Servers are not told to use Keras 2, as this package tells its own process.
        environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
        try:
            finished = subprocess.run(
                command,
                cwd=scratch,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_SMOKE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StepError(f"smoke test: loading the SavedModel took more than {_SMOKE_SECONDS} s") from error
        if finished.returncode:
            raise StepError(f"smoke test: plain TensorFlow cannot use the SavedModel:\n{finished.stderr[-2000:]}")
        answers: dict[str, Any] = json.loads(answered.read_text())
        return answers
