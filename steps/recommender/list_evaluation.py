"""Judging the lists that a model makes, beside those of simple baselines, for the same users."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from steps.recommender import list_baselines, lists
from steps.recommender.list_baselines import Chosen, Interactions, ListBaseline
from steps.recommender.list_requests import ListRequests, compile_scores
from steps.recommender.list_shards import ListShards, Moment
from steps.recommender.lists import Floats, ListComparison, Rows
from steps.recommender.metrics import Estimate
from steps.recommender.models.base import RatingModel
from steps.recommender.stored_split import StoredSplit
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
    distance_of: Literal["genres", "vectors of ALS", "the model's vectors"]
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
    notes: Sequence[str] = ()
    """What was done of a part only, or left out, for the data is large."""


@dataclass(frozen=True, slots=True)
class _Field:
    """What is the same under both protocols."""

    asked: ListShards
    model: RatingModel
    scores: Any
    """The model's, compiled."""
    fitted: Mapping[str, Chosen]
    validation: Mapping[str, float | None]
    """How good each system's lists are on validation."""
    popularity: Floats
    vectors: Floats
    distance_of: Literal["genres", "vectors of ALS", "the model's vectors"]
    seed: int

    def scorers(self, requests: ListRequests) -> dict[str, lists.Scorer]:
        """What answers requests, by system."""
        rated = _rated(requests)
        scorers = {MODEL: requests.scorer(self.model, self.scores)}
        return scorers | {name: list_baselines.scorer(each.baseline, rated) for name, each in self.fitted.items()}


def judge_lists(split: StoredSplit, model: RatingModel, vocabulary: Vocabulary, *, seed: int) -> JudgedLists:
    """The model's lists beside the baselines', and the figures of each user.

    Asked about are the users of the last part who had rated something before. Weights are those of training; what the
    users had rated before is known to every system that can read it, and is in no list.
    """
    asked = ListShards(split, vocabulary, seed=seed)
    if len(split.parts) == 1 or next(asked.requests("prequential"), None) is None:
        return JudgedLists(None, None, None)
    interactions = Interactions(asked.training())
    field = _field(asked, interactions, model, seed=seed)
    notes = [*asked.notes(), *interactions.left_out().values()]
    prequential, *_ = _judge(field, "prequential")
    if next(asked.requests("static"), None) is None:
        return JudgedLists(None, prequential, None, notes)
    evaluation, by_user, owners = _judge(field, "static")
    figures = {"user_id": split.owners.gather(owners), **{name: by_user[name] for name in COMPARED}}
    return JudgedLists(evaluation, prequential, pl.DataFrame(figures), notes)


def _field(asked: ListShards, interactions: Interactions, model: RatingModel, *, seed: int) -> _Field:
    split, scores = asked.split, compile_scores(model)
    choosing = list(asked.requests("choosing")) if list(split.parts)[1:] == ["validation", "test"] else []

    def gain(scorer: Callable[[ListRequests], lists.Scorer]) -> float:
        return float(np.concatenate([lists.gains(scorer(each), each.question) for each in choosing]).mean())

    def gain_of(baseline: ListBaseline) -> float:
        return gain(lambda requests: list_baselines.scorer(baseline, _rated(requests)))

    fitted = list_baselines.fit(interactions, gain_of if choosing else None, seed=seed)
    own = gain(lambda requests: requests.scorer(model, scores)) if choosing else None
    vectors = _genres(split, asked.vocabulary)
    distance_of: Literal["genres", "vectors of ALS", "the model's vectors"] = "genres"
    if vectors is None and list_baselines.ALS in fitted:
        vectors, distance_of = fitted[list_baselines.ALS].baseline.title_vectors(), "vectors of ALS"
    elif vectors is None:
        vectors, distance_of = np.asarray(model.title_vectors(), np.float64), "the model's vectors"
    return _Field(
        asked=asked,
        model=model,
        scores=scores,
        fitted=fitted,
        validation={MODEL: own, **{name: chosen.validation for name, chosen in fitted.items()}},
        # A title that an earlier training knew and this one does not counts as if one user had rated it.
        popularity=np.maximum(interactions.counts.astype(np.float64), 1.0) / len(asked.vocabulary.users),
        vectors=vectors,
        distance_of=distance_of,
        seed=seed,
    )


def _judge(field: _Field, moment: Moment) -> tuple[ListEvaluation, Mapping[str, Floats], npt.NDArray[np.int32]]:
    """Every system's lists, the figures of the model by user, and who these are."""
    parts: dict[str, list[Mapping[str, Floats]]] = {name: [] for name in (MODEL, *field.fitted)}
    tops: dict[str, list[Rows]] = {name: [] for name in parts}
    owners, wanted = [], 0
    for requests in field.asked.requests(moment):
        question = requests.question
        for name, scorer in field.scorers(requests).items():
            ranking = lists.rank(scorer, question)
            variety = lists.variety(ranking, question, field.popularity, field.vectors)
            parts[name].append({**lists.accuracy(ranking, question), **variety})
            tops[name].append(ranking.top)
        owners.append(requests.owner)
        wanted += int(question.wanted.sum())
    by_user = {
        name: {figure: np.concatenate([part[figure] for part in found]) for figure in found[0]}
        for name, found in parts.items()
    }
    titles, seed = field.asked.titles, field.seed
    figures = lists.estimates(
        {(name, figure): values for name, found in by_user.items() for figure, values in found.items()}, seed=seed
    )
    compared = lists.compare(
        {
            (name, figure): (by_user[MODEL][figure], by_user[name][figure])
            for name in field.fitted
            for figure in COMPARED
        },
        seed=seed,
    )
    evaluation = ListEvaluation(
        judged_on=field.asked.split.judged_on,
        users=len(by_user[MODEL][COMPARED[0]]),
        wanted=wanted,
        titles=titles - 1,
        distance_of=field.distance_of,
        systems={
            name: ListQuality(
                figures={figure: figures[name, figure] for figure in found},
                coverage=lists.coverage(np.concatenate(tops[name]), titles),
                gini=lists.gini(np.concatenate(tops[name]), titles),
                validation=field.validation[name],
                choices=field.fitted[name].choices if name in field.fitted else {},
            )
            for name, found in by_user.items()
        },
        best_baseline=max(field.fitted, key=lambda name: field.validation[name] or 0.0),
        comparisons={name: {figure: compared[name, figure] for figure in COMPARED} for name in field.fitted},
        seed=seed,
    )
    return evaluation, by_user[MODEL], np.concatenate(owners)


def _rated(requests: ListRequests) -> Any:
    question = requests.question
    return list_baselines.matrix(question.seen, question.users, question.titles)


def _genres(split: StoredSplit, vocabulary: Vocabulary) -> Any:
    """Which genres each title has, [titles, genres] of 0 and 1; None where no title has any."""
    items = split.about.items
    if items is None or "genres" not in items.columns:
        return None
    of_items = items.select("item_id", "genres").unique("item_id", keep="first").explode("genres")
    ids = pl.scan_parquet(split.folder / "train.parquet").select("title", "item_id").unique()
    known = ids.collect(engine="streaming").join(of_items, on="item_id").drop_nulls("genres")
    pairs = known.select("title", "genres").unique()
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
