"""A trained model as a TensorFlow SavedModel that takes raw text and needs none of this project's code."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from steps.entry import StepError
from steps.recommender import load_and_predict
from steps.recommender.models import predict_ratings
from steps.recommender.trained_model import TrainedModel
from steps.recommender.vocabulary import OOV_ROW

Request = Mapping[str, Sequence[Any]]
"""Columns of equal length: `user_id` and `movie_title` text, `timestamp` whole seconds since 1970."""

SIGNATURES: Final = {
    "serving_default": {"user_id": "string", "movie_title": "string", "timestamp": "int64"},
    "without_timestamp": {"user_id": "string", "movie_title": "string"},
}
"""The inputs of each signature, all [rows]. Every one answers `rating`, float32 [rows]."""

TOLERANCE: Final = 1e-4
"""How far an answer may be off the trained model's, in rating units: float32 sums differ in their last digits."""

_SMOKE_SECONDS: Final = 300


class RatingService(tf.Module):  # type: ignore[misc]
    """Looks users and titles up and answers ratings within the scale."""

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__()
        # The variables are kept without the Keras object that made them: loading it would need its Python class.
        self.weights = list(trained.model.variables)
        self._rate = trained.model.rate.python_function
        self._users = _lookup(trained.vocabulary.users)
        self._titles = _lookup(trained.vocabulary.titles)

    def signatures(self) -> dict[str, Any]:
        """The concrete function of each signature in `SIGNATURES`."""

        def without_timestamp(user_id: tf.Tensor, movie_title: tf.Tensor) -> dict[str, tf.Tensor]:
            rows = {"user": self._users.lookup(user_id), "title": self._titles.lookup(movie_title)}
            return {"rating": self._rate(rows)}

        def serving_default(user_id: tf.Tensor, movie_title: tf.Tensor, timestamp: tf.Tensor) -> dict[str, tf.Tensor]:
            del timestamp  # clients send it; models that use the moment of the request will read it
            return without_timestamp(user_id, movie_title)

        functions = {"serving_default": serving_default, "without_timestamp": without_timestamp}
        return {
            name: tf.function(functions[name]).get_concrete_function(
                **{column: tf.TensorSpec([None], kind, column) for column, kind in columns.items()}
            )
            for name, columns in SIGNATURES.items()
        }


def export(trained: TrainedModel, folder: Path) -> None:
    """Write the SavedModel into `folder`, which exists."""
    service = RatingService(trained)
    tf.saved_model.save(service, str(folder), signatures=service.signatures())


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
    requests = smoke_requests(trained)
    expected = {name: expected_ratings(trained, request) for name, request in requests.items()}
    answers = _ask_in_fresh_process(folder, requests)
    largest = 0.0
    for name, ratings in expected.items():
        for signature in SIGNATURES:
            answered = np.asarray(answers[signature][name], np.float64)
            if answered.shape != ratings.shape:
                raise StepError(
                    f"smoke test: {signature} answers {name} with {len(answered)} of {len(ratings)} ratings"
                )
            difference = float(np.max(np.abs(answered - ratings), initial=0.0))
            # Written so that NaN fails too.
            if not difference <= TOLERANCE:
                raise StepError(f"smoke test: {signature} answers {name} {difference} off the trained model's rating")
            largest = max(largest, difference)
    sample = ("one row", "unknown ids")
    return {
        "largest_difference": largest,
        "tolerance": TOLERANCE,
        "rows": {name: len(ratings) for name, ratings in expected.items()},
        "samples": {name: {**requests[name], "rating": expected[name].tolist()} for name in sample},
    }


def expected_ratings(trained: TrainedModel, request: Request) -> npt.NDArray[np.float32]:
    """What the trained model itself answers, looked up without TensorFlow's tables."""
    users = {user: row for row, user in enumerate(trained.vocabulary.users, start=1)}
    titles = {title: row for row, title in enumerate(trained.vocabulary.titles, start=1)}
    columns = {
        "user": np.array([users.get(user, OOV_ROW) for user in request["user_id"]], np.int32),
        "title": np.array([titles.get(title, OOV_ROW) for title in request["movie_title"]], np.int32),
    }
    return predict_ratings(trained.model, columns)


def _lookup(values: Sequence[str]) -> tf.lookup.StaticHashTable:
    rows = tf.range(1, len(values) + 1, dtype=tf.int32)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(list(values), rows), default_value=OOV_ROW)


def _request(users: Sequence[str], titles: Sequence[str]) -> Request:
    return {"user_id": list(users), "movie_title": list(titles), "timestamp": [892_870_992] * len(users)}


def _ask_in_fresh_process(folder: Path, requests: Mapping[str, Request]) -> dict[str, Any]:
    """The answers to each request by signature and name, from `load_and_predict` run on its own."""
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch, "requests.json"), Path(scratch, "answers.json")
        asked.write_text(json.dumps({"signatures": SIGNATURES, "requests": requests}))
        # -I keeps this project, and any setting of Python in the environment, out of the process.
        command = [sys.executable, "-I", load_and_predict.__file__, str(folder), str(asked), str(answered)]
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
