"""Whether lists that an exported model answers are those that the trained model's scores make."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from steps.entry import StepError
from steps.recommender.data import where
from steps.recommender.models.history import REMEMBERED
from steps.recommender.trained_model import TrainedModel
from steps.recommender.vocabulary import OOV_ROW, Rows


def check_lists(
    trained: TrainedModel,
    request: Mapping[str, Any],
    profiles: Rows | None,
    answer: Mapping[str, Any],
    tolerance: float,
) -> None:
    """Compare the answer of the signature `recommend`, by output, with the scores of the trained model, for each row.

    `profiles` are those of the users that the request describes.

    Raises:
        StepError: a list has a title that it should not, a score that is not the title's, or not the best ones.
    """
    rows = {title: row for row, title in enumerate(trained.vocabulary.titles, start=1)}
    for place, user in enumerate(request["user_id"]):
        one = {name: column[place] for name, column in request.items()}
        profile = {} if profiles is None else {"profile": tf.constant(profiles[place : place + 1])}
        scores = _scores(trained, user, profile, one, rows)
        listed = [title for title in answer["titles"][place] if title]
        answered = np.asarray(answer["scores"][place][: len(listed)], np.float64)
        expected = np.array([scores[rows[title]] for title in listed])
        if len(set(listed)) < len(listed) or not np.all(np.abs(answered - expected) <= tolerance):
            raise StepError(f"smoke test: recommend answers {one['user_id']!r} {listed} with scores {answered}")
        best = np.sort(scores[np.isfinite(scores)])[::-1][: one["k"]]
        if len(best) != len(listed) or (not one["diversity"] and not np.all(np.abs(answered - best) <= tolerance)):
            raise StepError(f"smoke test: recommend answers {one['user_id']!r} {answered}, and the best are {best}")


def _scores(
    trained: TrainedModel,
    user: str,
    profile: Mapping[str, tf.Tensor],
    one: Mapping[str, Any],
    rows: Mapping[str, int],
) -> npt.NDArray[np.float32]:
    """The score of each title, minus infinity for those that are to be left out."""
    known = trained.vocabulary.users.index(user) + 1 if user in trained.vocabulary.users else OOV_ROW
    own = where(trained.basis.train, lambda part: (part["user"] == known) & (known != OOV_ROW))
    order = np.argsort(own["timestamp"], kind="stable")
    own = {name: column[order] for name, column in own.items()}
    latest = {name: column[-REMEMBERED:] for name, column in own.items()}
    given = [place for place, title in enumerate(one["history_titles"]) if title]
    given_rows = [rows.get(one["history_titles"][place], OOV_ROW) for place in given]
    still = ~np.isin(latest["title"], given_rows)
    history = {
        "title": _joined(latest["title"][still], given_rows, np.int32),
        "rating": _joined(latest["rating"][still], [one["history_ratings"][place] for place in given], np.float32),
        "timestamp": _joined(
            latest["timestamp"][still], [one["history_timestamps"][place] for place in given], np.int64
        ),
    }
    history["known"] = tf.ones_like(history["rating"])
    asked = {"user": tf.constant([known], tf.int32), "timestamp": tf.constant([one["timestamp"]], tf.int64)}
    scores: npt.NDArray[np.float32] = np.array(trained.model.score_titles({**asked, **profile}, history))[0]
    excluded = [rows.get(title, OOV_ROW) for title in one["exclude_titles"]]
    scores[[OOV_ROW, *own["title"], *given_rows, *excluded]] = -np.inf
    return scores


def _joined(stored: npt.NDArray[Any], given: Sequence[Any], kind: Any) -> tf.Tensor:
    return tf.constant([[*stored.tolist(), *given]], kind, shape=[1, len(stored) + len(given)])
