"""Who is asked for lists at which moment, and who rated what in training, shard by shard."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from steps.recommender import list_baselines
from steps.recommender.data import Columns
from steps.recommender.list_requests import ListRequests
from steps.recommender.lists import Pairs
from steps.recommender.stored_split import Encoding, StoredSplit, together
from steps.recommender.vocabulary import Vocabulary

MOST_USERS: Final = 10_000
"""Of more users in a part as many are asked for lists, drawn with a fixed seed: a bound on time, as each ranks all
titles for every system and every choice of one."""

Moment = Literal["choosing", "static", "prequential"]
"""Before a user's validation rows, before those of the judged part, and before the last of these."""


class ListShards:
    """The requests of a split for a model with some vocabulary."""

    def __init__(self, split: StoredSplit, vocabulary: Vocabulary, *, seed: int) -> None:
        self.split, self.vocabulary, self._seed = split, vocabulary, seed
        self.encoding = split.encoding(vocabulary)
        self.titles = len(vocabulary.titles) + 1
        """Those of the vocabulary and the unknown."""

    def training(self) -> "TrainingBlocks":
        """Who rated what in training, as matrices that add up."""
        return TrainingBlocks(self.split, self.encoding, len(self.vocabulary.users) + 1, self.titles)

    def requests(self, moment: Moment) -> Iterator[ListRequests]:
        """Those of each shard that has some."""
        judged_on = "validation" if moment == "choosing" else self.split.judged_on
        parts = list(self.split.parts)
        drawn = self._drawn(judged_on)
        for shard in self.split.shards(*parts[: parts.index(judged_on) + 1]):
            rows = {name: self._of(drawn, part) for name, part in shard.items()}
            judged = rows.pop(judged_on)
            earlier = together(rows)
            if moment == "prequential":
                is_last = _of_last_moments(judged)
                earlier = {name: np.concatenate([earlier[name], judged[name][~is_last]]) for name in judged}
                judged = {name: column[is_last] for name, column in judged.items()}
            requests = ListRequests.of(earlier, judged, self.titles)
            if requests.question.users:
                yield requests

    def notes(self) -> list[str]:
        """Whether some users only are asked."""
        users = int(np.count_nonzero(self.split.ratings[self.split.judged_on]))
        if users <= MOST_USERS:
            return []
        return [f"Lists are those of {MOST_USERS:,} users, drawn from the {users:,} of {self.split.judged_on}."]

    def _drawn(self, part: str) -> npt.NDArray[np.bool_]:
        users = np.flatnonzero(self.split.ratings[part])
        drawn = np.zeros(len(self.split.owners), np.bool_)
        drawn[
            users if len(users) <= MOST_USERS else np.random.default_rng(self._seed).permutation(users)[:MOST_USERS]
        ] = True
        return drawn

    def _of(self, drawn: npt.NDArray[np.bool_], rows: Columns) -> dict[str, npt.NDArray[Any]]:
        chosen = drawn[rows["owner"]]
        return self.encoding.rows({name: column[chosen] for name, column in rows.items()})


class TrainingBlocks:
    """Who rated what in training, as sparse matrices [users, titles] that add up, as often as wanted."""

    def __init__(self, split: StoredSplit, encoding: Encoding, users: int, titles: int) -> None:
        self._split, self._encoding, self._users, self._titles = split, encoding, users, titles

    def __iter__(self) -> Iterator[Any]:
        for shard in self._split.shards("train"):
            rows = self._encoding.rows(shard["train"])
            yield list_baselines.matrix(Pairs.of(rows["user"], rows["title"]), self._users, self._titles)


def _of_last_moments(judged: Columns) -> npt.NDArray[np.bool_]:
    """Which rows are of the last moment of their owner, [rows]."""
    last = np.full(int(judged["owner"].max(initial=0)) + 1, np.iinfo(np.int64).min)
    np.maximum.at(last, judged["owner"], judged["timestamp"])
    is_last: npt.NDArray[np.bool_] = judged["timestamp"] == last[judged["owner"]]
    return is_last
