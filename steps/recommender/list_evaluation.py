"""Judging the lists that a model makes, beside those of simple baselines, for the same users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
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


@dataclass(frozen=True, slots=True)
class JudgedLists:
    """The same systems asked at two moments, which are different questions."""

    static: ListEvaluation | None
    """Asked when the judged part begins, knowing the parts before; None where nobody had rated before."""
    prequential: ListEvaluation | None
    """Asked before the last rating of each user, knowing all earlier ones, those of the judged part too."""
    by_user: pl.DataFrame | None
    """The figures `COMPARED` of the model for each user, static."""


@dataclass(frozen=True, slots=True)
class _Field:
    """What is the same under both protocols."""

    judged_on: str
    model: RatingModel
    fitted: Mapping[str, Chosen]
    validation: Mapping[str, float | None]
    """How good each system's lists are on validation."""
    popularity: Floats
    vectors: Floats
    distance_of: Literal["genres", "vectors of ALS"]
    seed: int


def judge_lists(split: Split, model: RatingModel, vocabulary: Vocabulary, *, seed: int) -> JudgedLists:
    """The model's lists beside the baselines', and the figures of each user.

    Asked about are the users of the last part who had rated something before. Weights are those of training; what the
    users had rated before is known to every system that can read it, and is in no list.
    """
    parts = split.parts()
    together = data.encode_in_turn(list(parts.values()), vocabulary)
    ends = np.cumsum([0, *(len(part) for part in parts.values())])
    encoded = {
        name: {column: values[start:stop] for column, values in together.items()}
        for name, start, stop in zip(parts, ends, ends[1:], strict=False)
    }
    judged_on, titles = list(parts)[-1], len(vocabulary.titles) + 1
    if len(parts) == 1:
        return JudgedLists(None, None, None)
    judged = encoded[judged_on]
    before = {column: values[: len(values) - len(judged[column])] for column, values in together.items()}
    is_last = _of_last_moments(judged)
    earlier = {column: np.concatenate([before[column], values[~is_last]]) for column, values in judged.items()}
    static = ListRequests.of(before, judged, titles)
    in_turn = ListRequests.of(earlier, {column: values[is_last] for column, values in judged.items()}, titles)
    if not in_turn.question.users:
        return JudgedLists(None, None, None)
    choosing = None
    if judged_on == "test" and "validation" in parts:
        choosing = ListRequests.of(encoded["train"], encoded["validation"], titles)
        choosing = choosing if choosing.question.users else None
    field = _field(split, model, vocabulary, encoded["train"], choosing, judged_on=judged_on, seed=seed)
    prequential, _ = _judge(field, in_turn)
    if not static.question.users:
        return JudgedLists(None, prequential, None)
    evaluation, by_user = _judge(field, static)
    ids = pl.concat(list(parts.values()))["user_id"].unique().sort()  # owners are dense ranks of the same texts
    figures = {"user_id": ids.gather(static.owner - 1), **{name: by_user[name] for name in COMPARED}}
    return JudgedLists(evaluation, prequential, pl.DataFrame(figures))


def _of_last_moments(judged: Columns) -> npt.NDArray[np.bool_]:
    """Which rows are of the last moment of their owner, [rows]."""
    last = np.full(int(judged["owner"].max()) + 1, np.iinfo(np.int64).min)
    np.maximum.at(last, judged["owner"], judged["timestamp"])
    is_last: npt.NDArray[np.bool_] = judged["timestamp"] == last[judged["owner"]]
    return is_last


def _field(
    split: Split,
    model: RatingModel,
    vocabulary: Vocabulary,
    train: Columns,
    choosing: ListRequests | None,
    *,
    judged_on: str,
    seed: int,
) -> _Field:
    users, titles = len(vocabulary.users) + 1, len(vocabulary.titles) + 1
    ones = list_baselines.matrix(Pairs.of(train["user"], train["title"]), users, titles)
    fitted = list_baselines.fit(ones, choosing.question if choosing else None, seed=seed)
    genres = _genres(split, vocabulary)
    gain = lists.mean_gain(choosing.scorer(model), choosing.question) if choosing else None
    return _Field(
        judged_on=judged_on,
        model=model,
        fitted=fitted,
        validation={MODEL: gain, **{name: chosen.validation for name, chosen in fitted.items()}},
        # A title that an earlier training knew and this one does not counts as if one user had rated it.
        popularity=np.maximum(np.asarray(ones.sum(axis=0), np.float64).ravel(), 1.0) / (users - 1),
        vectors=fitted["ALS"].baseline.title_vectors() if genres is None else genres,
        distance_of="vectors of ALS" if genres is None else "genres",
        seed=seed,
    )


def _judge(field: _Field, requests: ListRequests) -> tuple[ListEvaluation, Mapping[str, Floats]]:
    """Every system's lists, and the figures of the model by user."""
    question, seed = requests.question, field.seed
    rated = list_baselines.matrix(question.seen, question.users, question.titles)
    scorers = {MODEL: requests.scorer(field.model)}
    scorers |= {name: list_baselines.scorer(chosen.baseline, rated) for name, chosen in field.fitted.items()}
    by_user: dict[str, Mapping[str, Floats]] = {}
    systems: dict[str, ListQuality] = {}
    for name, scorer in scorers.items():
        ranking = lists.rank(scorer, question)
        by_user[name] = {
            **lists.accuracy(ranking, question),
            **lists.variety(ranking, question, field.popularity, field.vectors),
        }
        chosen, validation = field.fitted.get(name), field.validation[name]
        systems[name] = _quality(by_user[name], ranking, question, chosen, validation, seed)
    evaluation = ListEvaluation(
        judged_on=field.judged_on,
        users=question.users,
        wanted=int(question.wanted.sum()),
        titles=question.titles - 1,
        distance_of=field.distance_of,
        systems=systems,
        best_baseline=max(field.fitted, key=lambda name: field.validation[name] or 0.0),
        comparisons={
            name: {
                figure: lists.compare(by_user[MODEL][figure], by_user[name][figure], seed=seed) for figure in COMPARED
            }
            for name in field.fitted
        },
        seed=seed,
    )
    return evaluation, by_user[MODEL]


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


def verdict(evaluation: ListEvaluation, protocol: str) -> str:
    """How the model's lists compare with the best baseline's under a protocol, in one sentence."""
    best = evaluation.best_baseline
    comparison = evaluation.comparisons[best][COMPARED[0]]
    model, baseline = (evaluation.systems[name].figures[COMPARED[0]] for name in (MODEL, best))
    low, high = comparison.difference.low, comparison.difference.high
    relation = "better than" if low > 0 else "worse than" if high < 0 else "not better than"
    return (
        f"Lists on {evaluation.judged_on}, {protocol}: NDCG@{lists.LENGTH} {_interval(model)}, {relation} {best} "
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
