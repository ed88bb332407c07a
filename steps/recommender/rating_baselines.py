"""The baselines that ratings are judged beside, fitted on training rows and chosen on validation rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Final

import numpy as np

from steps.recommender import baselines, bias_grid, data, item_neighbours, metrics
from steps.recommender.baselines import Bias
from steps.recommender.data import Columns, RatingScale
from steps.recommender.item_neighbours import ItemNeighbours
from steps.recommender.metrics import Floats
from steps.recommender.stored_split import Encoding, Shard, StoredSplit, parted, together
from steps.recommender.vocabulary import Vocabulary

NEIGHBOURS: Final = "item-kNN"
PREQUENTIAL_BASELINE: Final = "title mean + user so far"

Rate = Callable[[Shard], Mapping[str, Floats]]
"""The ratings of a shard's rows, by part."""


@dataclass(frozen=True, slots=True)
class RatingBaselines:
    """All of them, from the simplest."""

    static: Mapping[str, Rate]
    """Everything frozen where training ends."""
    in_turn: Mapping[str, Rate]
    """Each row knowing the same user's rows of earlier moments."""
    best: str
    """The static one with the lowest RMSE on the validation rows."""
    left_out: Sequence[str]
    """Sentences about those that would not fit into memory."""


@dataclass(frozen=True, slots=True)
class _Static:
    """What a function says of rows and the training rows of the same users, within the scale."""

    predict: Callable[[Columns, Columns], Floats]
    encoding: Encoding
    scale: RatingScale

    def __call__(self, shard: Shard) -> Mapping[str, Floats]:
        train = self.encoding.rows(shard["train"])
        return {part: self.rate(self.encoding.rows(rows), train) for part, rows in shard.items()}

    def rate(self, asked: Columns, train: Columns) -> Floats:
        return np.clip(self.predict(asked, train), self.scale.minimum, self.scale.maximum)


@dataclass(frozen=True, slots=True)
class _InTurn:
    """What a function says of all rows of a shard, within the scale."""

    predict: Callable[[Columns], Floats]
    encoding: Encoding
    scale: RatingScale

    def __call__(self, shard: Shard) -> Mapping[str, Floats]:
        rated = self.predict(self.encoding.rows(together(shard)))
        return parted(np.clip(rated, self.scale.minimum, self.scale.maximum), shard)


def fit(split: StoredSplit, some: StoredSplit) -> RatingBaselines:
    """Fit all on `split`, and choose on the validation rows of `some` of its users; without such, on training rows."""
    encoding, scale, chosen_on = split.encoding(split.vocabulary), split.about.scale, split.chosen_on
    train, validation = (encoding.columns(split.parts[part]) for part in ("train", chosen_on))
    simple = fit_simple(train, validation, split.vocabulary)
    title_mean = simple["title mean"]

    def chosen_and_train() -> Iterator[tuple[Columns, Columns]]:
        for shard in some.shards(*dict.fromkeys(("train", chosen_on))):
            rows = {part: encoding.rows(found) for part, found in shard.items()}
            yield rows[chosen_on], rows["train"]

    def error(system: _Static) -> float:
        return metrics.rmse_of((asked["rating"], system.rate(asked, known)) for asked, known in chosen_and_train())

    def best(answers: Iterator[tuple[Floats, Iterable[Floats]]]) -> float:
        """The damping by which the answers, one of each, are nearest to what is true, part by part."""
        squares = sum(
            np.array([np.sum(np.square(np.clip(each, scale.minimum, scale.maximum) - truth)) for each in rated])
            for truth, rated in answers
        )
        return baselines.USER_DAMPINGS[int(np.argmin(squares))]

    def in_turn_of(title_mean: Bias) -> Iterator[tuple[Floats, Iterable[Floats]]]:
        for shard in some.shards():
            known, sums, counts = (
                parted(each, shard)[chosen_on] for each in title_mean.earlier(encoding.rows(together(shard)))
            )
            yield shard[chosen_on]["rating"], [known + sums / (counts + each) for each in baselines.USER_DAMPINGS]

    def static_of(neighbours: ItemNeighbours) -> Iterator[tuple[Floats, Iterable[Floats]]]:
        candidates = [replace(neighbours, damping=each) for each in baselines.USER_DAMPINGS]
        for asked, known in chosen_and_train():
            evidence = neighbours.evidence(asked, known)
            yield asked["rating"], [each.rate(asked, evidence) for each in candidates]

    static = {name: _Static(_alone(fitted), encoding, scale) for name, fitted in simple.items()}
    damping = best(in_turn_of(title_mean))
    in_turn = {PREQUENTIAL_BASELINE: _InTurn(partial(title_mean.predict_in_turn, damping=damping), encoding, scale)}
    left_out = []
    if len(title_mean.titles) <= item_neighbours.MOST_TITLES:
        neighbours = item_neighbours.fit(_TrainingShards(split, encoding), title_mean, damping)
        static[NEIGHBOURS] = _Static(replace(neighbours, damping=best(static_of(neighbours))).predict, encoding, scale)
        in_turn[NEIGHBOURS] = _InTurn(neighbours.predict_in_turn, encoding, scale)
    else:
        left_out.append(
            f"{NEIGHBOURS} of ratings is left out: it needs a number for each two titles, which is done for up to "
            f"{item_neighbours.MOST_TITLES:,} titles."
        )
    return RatingBaselines(static, in_turn, min(static, key=lambda name: error(static[name])), left_out)


def _alone(fitted: Bias) -> Callable[[Columns, Columns], Floats]:
    return lambda asked, _: fitted.predict(asked)


def fit_simple(train: Columns, validation: Columns, vocabulary: Vocabulary) -> dict[str, Bias]:
    """Averages by name, from the simplest, each with the damping that suits `validation` best."""
    users, titles = len(vocabulary.users), len(vocabulary.titles)

    def error(fitted: Bias) -> float:
        rows = data.parts(validation, "user", "title", "rating")
        return metrics.rmse_of((part["rating"], fitted.predict(part)) for part in rows)

    return {
        "global mean": baselines.fit_global_mean(train, users, titles),
        "title mean": min(
            (baselines.fit_title_mean(train, users, titles, damping) for damping in baselines.TITLE_DAMPINGS),
            key=error,
        ),
        "user + title bias": min(
            bias_grid.fit(train, users, titles, list(product(baselines.USER_DAMPINGS, baselines.TITLE_DAMPINGS))),
            key=error,
        ),
    }


class _TrainingShards:
    """The training rows with the embedding rows of an encoding, shard by shard, as often as wanted."""

    def __init__(self, split: StoredSplit, encoding: Encoding) -> None:
        self._split, self._encoding = split, encoding

    def __iter__(self) -> Iterator[Columns]:
        return (self._encoding.rows(shard["train"]) for shard in self._split.shards("train"))
