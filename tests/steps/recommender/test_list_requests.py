"""Tests of `steps.recommender.list_requests`: who is asked about, and what models are told."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from steps.recommender.list_requests import ListRequests

EARLIER: dict[str, Any] = {
    "owner": np.array([3, 1, 3, 1, 3], np.int32),
    "user": np.array([2, 1, 2, 1, 2], np.int32),
    "title": np.array([4, 1, 2, 3, 1], np.int32),
    "rating": np.array([1, 2, 3, 4, 5], np.float32),
    "timestamp": np.array([50, 20, 30, 10, 40], np.int64),
}
JUDGED: dict[str, Any] = {
    "owner": np.array([3, 2, 3], np.int32),
    "user": np.array([2, 0, 2], np.int32),
    "title": np.array([0, 2, 3], np.int32),
    "rating": np.array([5, 5, 5], np.float32),
    "timestamp": np.array([70, 60, 60], np.int64),
}


class Echo:
    """A model that scores titles by what it was told of the user."""

    remembers = True

    def score_titles(self, asked: Any, history: Any) -> Any:
        """The user's row, the moment, and the history's titles with what fills them up."""
        told = tf.concat([asked["user"][:, None], tf.cast(asked["timestamp"], tf.int32)[:, None]], axis=1)
        return tf.concat([told, history["title"], tf.cast(history["known"], tf.int32)], axis=1)


def test_users_with_earlier_ratings_are_asked_about() -> None:
    """What they had rated is not to be listed, what they then rated is to be found; a title unknown cannot be."""
    requests = ListRequests.of(EARLIER, JUDGED, titles=5)

    assert requests.owner.tolist() == [3]
    assert requests.question.seen.title.tolist() == [1, 2, 4]
    assert requests.question.relevant.title.tolist() == [3]
    assert requests.question.wanted.tolist() == [2]


def test_models_are_told_the_moment_and_the_history_in_order() -> None:
    """The moment is that of the first rating to be found; histories end with the latest and are filled up before."""
    model: Any = Echo()
    requests = ListRequests.of(EARLIER, JUDGED, titles=5, newcomers=True)

    told = requests.scorer(model)(0, 2)

    assert requests.owner.tolist() == [2, 3]
    assert told.tolist() == [[0, 60, 0, 0, 0, 0, 0, 0], [2, 60, 2, 1, 4, 1, 1, 1]]


@pytest.mark.parametrize("place", [0, 1])
def test_blocks_ask_the_same(place: int) -> None:
    """Each user alone is told what they are among others, but for what fills histories up."""
    model: Any = Echo()
    requests = ListRequests.of(EARLIER, JUDGED, titles=5, newcomers=True)

    (told,) = requests.scorer(model)(place, place + 1)

    assert told[:2].tolist() == requests.scorer(model)(0, 2)[place, :2].tolist()
