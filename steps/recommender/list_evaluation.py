"""Judging the lists that a model makes, beside those of simple baselines, for the same users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from steps.recommender import data, list_baselines, lists
from steps.recommender.data import Columns, Split
from steps.recommender.list_baselines import Chosen
from steps.recommender.list_requests import ListRequests
from steps.recommender.lists import Floats, ListComparison, Pairs, Question, Ranking
from steps.recommender.metrics import Estimate
from steps.recommender.models.base import RatingModel
from steps.recommender.vocabulary import OOV_ROW, Vocabulary

MODEL: Final = "model"
COMPARED: Final = (f"ndcg@{lists.LENGTH}", f"recall@{lists.LENGTH}")
"""The figures by which systems are compared."""


@dataclass(frozen=True, slots=True)
class ListQuality:
    """The lists of one system."""

    figures: Mapping[str, Estimate]
    """Means over users, with intervals, by the names of `lists.accuracy` and `lists.variety`."""
    coverage: float
    gini: float
    validation: float | None
    """The mean NDCG on validation; None where it has no user to ask about."""
    choices: Mapping[str, float]
    """What was chosen on validation, of a baseline."""


@dataclass(frozen=True, slots=True)
class ListEvaluation:
    """Every system's lists for the users of the part `judged_on`."""

    judged_on: str
    users: int
    wanted: int
    """How many ratings there were to find."""
    titles: int
    distance_of: Literal["genres", "vectors of ALS"]
    """What `distance` compares."""
    systems: Mapping[str, ListQuality]
    best_baseline: str
    """The baseline with the best lists on validation."""
    comparisons: Mapping[str, Mapping[str, ListComparison]]
    """The model with each baseline, by figure."""
    seed: int
    flips: int = lists.FLIPS


def judge_lists(
    split: Split, model: RatingModel, vocabulary: Vocabulary, *, seed: int
) -> tuple[ListEvaluation, pl.DataFrame] | None:
    """The model's lists beside the baselines', and the figures of each user; None where nobody is known before.

    Asked about are the users of the last part who had rated something in earlier ones. Weights are those of training;
    what the users had rated before, in training and validation, is known to every system that can read it, and is in
    no list.
    """
    parts = split.parts()
    together = data.encode_in_turn(list(parts.values()), vocabulary)
    ends = np.cumsum([0, *(len(part) for part in parts.values())])
    encoded = {
        name: {column: values[start:stop] for column, values in together.items()}
        for name, start, stop in zip(parts, ends, ends[1:], strict=False)
    }
    judged_on = list(parts)[-1]
    names = [name for name in parts if name != judged_on]
    if not names:
        return None
    titles = len(vocabulary.titles) + 1
    earlier = {column: np.concatenate([encoded[name][column] for name in names]) for column in together}
    requests = ListRequests.of(earlier, encoded[judged_on], titles)
    if not requests.question.users:
        return None
    choosing = None
    if judged_on == "test" and "validation" in parts:
        choosing = ListRequests.of(encoded["train"], encoded["validation"], titles)
        choosing = choosing if choosing.question.users else None
    return _judge(split, model, vocabulary, encoded["train"], requests, choosing, judged_on=judged_on, seed=seed)


def _judge(
    split: Split,
    model: RatingModel,
    vocabulary: Vocabulary,
    train: Columns,
    requests: ListRequests,
    choosing: ListRequests | None,
    *,
    judged_on: str,
    seed: int,
) -> tuple[ListEvaluation, pl.DataFrame]:
    question = requests.question
    trained_on = Pairs.of(train["user"], train["title"])
    users = len(vocabulary.users) + 1
    ones = list_baselines.matrix(trained_on, users, question.titles)
    fitted = list_baselines.fit(ones, choosing.question if choosing else None, seed=seed)
    # A title that an earlier training knew and this one does not counts as if one user had rated it.
    popularity = np.maximum(np.asarray(ones.sum(axis=0), np.float64).ravel(), 1.0) / (users - 1)
    genres = _genres(split, vocabulary)
    vectors = fitted["ALS"].baseline.title_vectors() if genres is None else genres

    rated = list_baselines.matrix(question.seen, question.users, question.titles)
    scorers = {MODEL: requests.scorer(model)}
    scorers |= {name: list_baselines.scorer(chosen.baseline, rated) for name, chosen in fitted.items()}
    validation = {MODEL: lists.mean_gain(choosing.scorer(model), choosing.question) if choosing else None}
    validation |= {name: chosen.validation for name, chosen in fitted.items()}

    by_user: dict[str, Mapping[str, Floats]] = {}
    systems: dict[str, ListQuality] = {}
    for name, scorer in scorers.items():
        ranking = lists.rank(scorer, question)
        by_user[name] = {
            **lists.accuracy(ranking, question),
            **lists.variety(ranking, question, popularity, vectors),
        }
        systems[name] = _quality(by_user[name], ranking, question, fitted.get(name), validation[name], seed)
    evaluation = ListEvaluation(
        judged_on=judged_on,
        users=question.users,
        wanted=int(question.wanted.sum()),
        titles=question.titles - 1,
        distance_of="vectors of ALS" if genres is None else "genres",
        systems=systems,
        best_baseline=max(fitted, key=lambda name: validation[name] or 0.0),
        comparisons={
            name: {
                figure: lists.compare(by_user[MODEL][figure], by_user[name][figure], seed=seed) for figure in COMPARED
            }
            for name in fitted
        },
        seed=seed,
    )
    together = pl.concat(list(split.parts().values()))["user_id"]
    ids = together.unique().sort()  # owners are dense ranks of the same texts
    return evaluation, pl.DataFrame(
        {"user_id": ids.gather(requests.owner - 1), **{name: by_user[MODEL][name] for name in COMPARED}}
    )


def _quality(
    figures: Mapping[str, Floats],
    ranking: Ranking,
    question: Question,
    chosen: Chosen | None,
    validation: float | None,
    seed: int,
) -> ListQuality:
    return ListQuality(
        figures=lists.estimates(figures, seed=seed),
        coverage=lists.coverage(ranking, question.titles),
        gini=lists.gini(ranking, question.titles),
        validation=validation,
        choices=chosen.choices if chosen else {},
    )


def _genres(split: Split, vocabulary: Vocabulary) -> Any:
    """Which genres each title has, [titles, genres] of 0 and 1; None where no title has any."""
    if split.items is None or "genres" not in split.items.columns:
        return None
    of_items = split.items.select("item_id", "genres").unique("item_id", keep="first").explode("genres")
    ids = split.train.select("title", "item_id").unique()
    pairs = ids.join(of_items, on="item_id").drop_nulls("genres").select("title", "genres").unique()
    if pairs.is_empty():
        return None
    genres = pairs["genres"].rank("dense").to_numpy() - 1
    table = np.zeros((len(vocabulary.titles) + 1, int(genres.max()) + 1))
    table[vocabulary.title_rows(pairs["title"]), genres] = 1.0
    table[OOV_ROW] = 0.0
    return table


def verdict(evaluation: ListEvaluation) -> str:
    """How the model's lists compare with the best baseline's, in one sentence."""
    best = evaluation.best_baseline
    comparison = evaluation.comparisons[best][COMPARED[0]]
    model, baseline = (evaluation.systems[name].figures[COMPARED[0]] for name in (MODEL, best))
    low, high = comparison.difference.low, comparison.difference.high
    relation = "better than" if low > 0 else "worse than" if high < 0 else "not better than"
    return (
        f"Lists on {evaluation.judged_on}: NDCG@{lists.LENGTH} {_interval(model)}, {relation} {best} "
        f"({_interval(baseline)}; p {p_value(comparison)})."
    )


def p_value(comparison: ListComparison) -> str:
    """`= 0.0120`, or `< 0.0002` where no drawn difference was as large."""
    least = 2 / (lists.FLIPS + 1)
    return f"< {least:.4f}" if comparison.p_value < least else f"= {comparison.p_value:.4f}"


def curve(quality: ListQuality, figure: str) -> Sequence[tuple[float, float]]:
    """A figure over the lengths of lists."""
    return [(float(cutoff), quality.figures[f"{figure}@{cutoff}"].value) for cutoff in lists.CUTOFFS]


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
