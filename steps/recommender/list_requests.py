"""Who is asked about in a ranking of all titles, with what they had rated before, and how models answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from steps.recommender.data import Columns
from steps.recommender.lists import Floats, Pairs, Question, Scorer
from steps.recommender.models.base import RatingModel
from steps.recommender.models.sequences import latest

LONGEST: Final = 256
"""How many of a user's latest ratings go along with a request."""

_CELLS: Final = 32_768  # ratings of histories that go along at once
_HISTORY: Final = ("title", "rating", "timestamp")


@dataclass(frozen=True, slots=True)
class ListRequests:
    """A request for each user: their embedding row, the moment, and what they had rated."""

    question: Question
    owner: npt.NDArray[np.int32]
    """Which owner each of the users is, [users]."""
    user: npt.NDArray[np.int32]
    moment: npt.NDArray[np.int64]
    """When the first of the ratings to be found was given, [users]."""
    history: Columns
    """The latest of what users had rated, in order of user and time, with `owner`: the user's place."""

    @classmethod
    def of(cls, earlier: Columns, judged: Columns, titles: int, *, newcomers: bool = False) -> "ListRequests":
        """Requests by the owners of `judged` rows of whom there are `earlier` ones; `newcomers`: also by the others.

        `titles` counts the unknown one.
        """
        owners, first = np.unique(judged["owner"], return_index=True)
        if not newcomers:
            known = np.isin(owners, earlier["owner"])
            owners, first = owners[known], first[known]
        before, after = _of_owners(earlier, owners), _of_owners(judged, owners)
        moment = np.full(len(owners), np.iinfo(np.int64).max)
        np.minimum.at(moment, after["owner"], after["timestamp"])
        places = latest(before["owner"], before["timestamp"], LONGEST)
        return cls(
            question=Question(
                users=len(owners),
                titles=titles,
                seen=Pairs.of(before["owner"], before["title"]),
                relevant=Pairs.of(after["owner"], after["title"]),
                wanted=np.bincount(after["owner"], minlength=len(owners)),
            ),
            owner=owners,
            user=judged["user"][first],
            moment=moment,
            history={name: before[name][places] for name in (*_HISTORY, "owner")},
        )

    def scorer(self, model: RatingModel, compiled: Any = None) -> Scorer:
        """What a model answers. One that remembers is told all that users had rated, others know the training rows.

        `compiled` is what `compile_scores` made of the model, where several requests are to share it.
        """
        score = compiled or compile_scores(model)

        def scores(start: int, stop: int) -> Floats:
            parts = [
                score(self._asked(first, last), self._histories(first, last) if model.remembers else None).numpy()
                for first, last in self._batches(start, stop)
            ]
            return np.concatenate(parts)

        return scores

    def _batches(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        size = _CELLS // LONGEST
        return ((first, min(first + size, stop)) for first in range(start, stop, size))

    def _asked(self, start: int, stop: int) -> dict[str, Any]:
        return {"user": tf.constant(self.user[start:stop]), "timestamp": tf.constant(self.moment[start:stop])}

    def _histories(self, start: int, stop: int) -> dict[str, Any]:
        """What these users had rated, [users, ratings]; each row ends with the latest."""
        first, last = np.searchsorted(self.history["owner"], [start, stop])
        owner = self.history["owner"][first:last] - start
        ends = np.searchsorted(owner, np.arange(stop - start), side="right")
        length = int(np.bincount(owner, minlength=1).max(initial=1))
        place = length - ends[owner] + np.arange(len(owner))

        def padded(values: npt.NDArray[Any]) -> Any:
            table = np.zeros((stop - start, length), values.dtype)
            table[owner, place] = values
            return tf.constant(table)

        filled = {name: padded(self.history[name][first:last]) for name in _HISTORY}
        return {**filled, "known": padded(np.ones(len(owner), np.float32))}


def compile_scores(model: RatingModel) -> Any:
    """The model's scores of all titles, as a graph."""
    return tf.function(model.score_titles, reduce_retracing=True)


def _of_owners(columns: Columns, owners: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[Any]]:
    """The rows of these owners, who ascend, with `owner` as the place among them."""
    chosen = np.isin(columns["owner"], owners)
    rows = {name: column[chosen] for name, column in columns.items()}
    return {**rows, "owner": np.searchsorted(owners, rows["owner"]).astype(np.int32)}
