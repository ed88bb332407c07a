"""Judging predictions beside what two averages know: the figures that `evaluate` writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np
import polars as pl

from steps.recommender import baselines, data, item_neighbours, metrics
from steps.recommender.baselines import Baseline, Bias
from steps.recommender.data import Columns, RatingScale, Split
from steps.recommender.fairness import Gap, SliceResult, judge_slices
from steps.recommender.item_neighbours import ItemNeighbours
from steps.recommender.metrics import Bootstrap, CalibrationBin, Comparison, Floats, Quality
from steps.recommender.seeds import SeedsResult, judge_seeds
from steps.recommender.slices import slices
from steps.recommender.vocabulary import Vocabulary

MODEL: Final = "model"
"""The name of the judged model among the systems; the others are baselines."""
NEIGHBOURS: Final = "item-kNN"
PREQUENTIAL_BASELINE: Final = "title mean + user so far"


@dataclass(frozen=True, slots=True)
class PartResult:
    """Every system on one part of the split."""

    rows: int
    users: int
    systems: Mapping[str, Quality]


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many ratings and predictions lie in each bin around `centers`."""

    centers: Sequence[float]
    ratings: Sequence[int]
    predictions: Sequence[int]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was measured. `slices` and what follows them concern the part `judged_on`."""

    judged_on: str
    parts: Mapping[str, PartResult]
    best_baseline: str
    """The baseline with the lowest RMSE on the validation rows, which `comparison` is with."""
    comparison: Comparison
    slices: Sequence[SliceResult]
    gaps: Sequence[Gap]
    distribution: Distribution
    calibration: Sequence[CalibrationBin]
    prequential: Mapping[str, PartResult]
    """Systems on each part when the user's own earlier ratings, of any part, are known at the moment of the request."""
    prequential_comparison: Comparison
    """The model with `PREQUENTIAL_BASELINE` in that case, on `judged_on`."""
    seed: int
    seeds: Mapping[str, SeedsResult]
    """Several trainings by protocol, on `judged_on`; empty of a single one."""
    resamples: int = metrics.RESAMPLES
    confidence: float = metrics.CONFIDENCE


def judge(
    split: Split,
    predictions: Mapping[str, Floats],
    predictions_in_turn: Mapping[str, Floats],
    *,
    seed: int,
    of_seeds: Mapping[str, Mapping[int, Floats]] | None = None,
) -> Evaluation:
    """Compare a model's `predictions` for each part of `split`, [rows], with the truth and with baselines.

    Those are static: everything is frozen where training ends. In `predictions_in_turn`, as strictly, the weights are
    frozen and the ratings known that the user gave at earlier moments. Both kinds are judged apart. `of_seeds` has
    those of several trainings for the part judged on, by protocol and seed.

    The baselines see the training rows only; how strongly they are damped is chosen on the validation rows, as the
    model's epoch was, so that neither side has an advantage.
    """
    vocabulary = Vocabulary.of(split.train)
    parts = split.parts()
    columns = {name: data.encode(part, vocabulary) for name, part in parts.items()}
    chosen_on = columns.get("validation", columns["train"])
    simple = fit_baselines(columns["train"], chosen_on, vocabulary)
    neighbours = _fit_neighbours(columns["train"], chosen_on, simple["title mean"])
    fitted: dict[str, Baseline] = {**simple, **({NEIGHBOURS: neighbours} if neighbours else {})}
    systems = {
        name: {MODEL: predictions[name]} | {b: _rate(f, columns[name], split.scale) for b, f in fitted.items()}
        for name in parts
    }
    bootstraps = {name: _bootstrap(part, systems[name], seed) for name, part in parts.items()}
    best = min(fitted, key=lambda name: metrics.rmse(chosen_on["rating"], _rate(fitted[name], chosen_on, split.scale)))
    judged_on = list(parts)[-1]
    in_turn = _systems_in_turn(split, vocabulary, simple["title mean"], neighbours, predictions_in_turn)
    bootstraps_in_turn = {name: _bootstrap(part, in_turn[name], seed) for name, part in parts.items()}
    truth, predicted = columns[judged_on]["rating"], predictions[judged_on]
    slice_results, gaps = judge_slices(
        slices(split, parts[judged_on], columns["train"], columns[judged_on]),
        parts[judged_on]["user_id"].rank("dense").to_numpy(),
        truth,
        predicted,
        systems[judged_on][best],
        seed=seed,
    )
    baselines_of = {
        "static": systems[judged_on][best],
        "prequential": in_turn[judged_on][PREQUENTIAL_BASELINE],
    }
    return Evaluation(
        judged_on=judged_on,
        parts={name: _part_result(part, systems[name], bootstraps[name]) for name, part in parts.items()},
        best_baseline=best,
        comparison=bootstraps[judged_on].compare(MODEL, best),
        slices=slice_results,
        gaps=gaps,
        distribution=distribution(truth, predicted, split.scale),
        calibration=metrics.calibration(truth, predicted),
        prequential={name: _part_result(part, in_turn[name], bootstraps_in_turn[name]) for name, part in parts.items()},
        prequential_comparison=bootstraps_in_turn[judged_on].compare(MODEL, PREQUENTIAL_BASELINE),
        seed=seed,
        seeds={
            protocol: judge_seeds(
                parts[judged_on]["user_id"].rank("dense").to_numpy(), truth, found, baselines_of[protocol], seed=seed
            )
            for protocol, found in (of_seeds or {}).items()
        },
    )


def fit_baselines(train: Columns, validation: Columns, vocabulary: Vocabulary) -> dict[str, Bias]:
    """Every baseline by name, from the simplest, each with the damping that suits `validation` best."""
    users, titles = len(vocabulary.users), len(vocabulary.titles)

    def best(candidates: Sequence[Bias]) -> Bias:
        return min(candidates, key=lambda fitted: metrics.rmse(validation["rating"], fitted.predict(validation)))

    return {
        "global mean": baselines.fit_global_mean(train, users, titles),
        "title mean": best(
            [baselines.fit_title_mean(train, users, titles, damping) for damping in baselines.TITLE_DAMPINGS]
        ),
        "user + title bias": best(
            [
                baselines.fit_user_and_title_bias(train, users, titles, *damping)
                for damping in product(baselines.USER_DAMPINGS, baselines.TITLE_DAMPINGS)
            ]
        ),
    }


def distribution(truth: Floats, predicted: Floats, scale: RatingScale) -> Distribution:
    """Both in bins around the ratings that occur, and halfway between where these are few."""
    span = scale.maximum - scale.minimum
    gaps = np.diff(np.unique(truth))
    width = max(float(gaps.min()) if len(gaps) else span, span / 20)
    while span / width < 8:
        width /= 2
    centers = np.arange(round(span / width) + 1) * width + scale.minimum
    edges = [*(centers - width / 2), centers[-1] + width / 2]
    return Distribution(
        centers=[float(center) for center in centers],
        ratings=metrics.histogram(truth, edges),
        predictions=metrics.histogram(predicted, edges),
    )


def verdict(evaluation: Evaluation) -> str:
    """What the figures say, in one sentence that a reader can trust without reading on."""
    part = evaluation.parts[evaluation.judged_on].systems
    model, baseline = part[MODEL].rmse, part[evaluation.best_baseline].rmse
    if evaluation.comparison.better:
        relation = "is better than"
    elif evaluation.comparison.worse:
        relation = "is worse than"
    else:
        relation = "is not better than"
    return (
        f"On {evaluation.judged_on} the model (RMSE {interval(model)}) {relation} "
        f"the {evaluation.best_baseline} ({interval(baseline)})."
    )


def interval(estimate: metrics.Estimate, sign: str = "") -> str:
    """`1.034 [1.020, 1.048]`; with `sign="+"` positive numbers have a plus."""
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def prequential_verdict(evaluation: Evaluation) -> str:
    """The same when the user's earlier ratings are known at the moment of the request."""
    part = evaluation.prequential[evaluation.judged_on].systems
    return (
        f"With the user's earlier ratings known: RMSE {interval(part[MODEL].rmse)}, "
        f"{PREQUENTIAL_BASELINE} {interval(part[PREQUENTIAL_BASELINE].rmse)}."
    )


def _part_result(part: pl.DataFrame, systems: Mapping[str, Floats], bootstrap: Bootstrap) -> PartResult:
    return PartResult(
        rows=len(part),
        users=part["user_id"].n_unique(),
        systems={system: bootstrap.quality(system) for system in systems},
    )


def _systems_in_turn(
    split: Split,
    vocabulary: Vocabulary,
    title_mean: Bias,
    neighbours: ItemNeighbours | None,
    predictions: Mapping[str, Floats],
) -> dict[str, dict[str, Floats]]:
    """The ratings of the model, of a running mean of each user and of item-kNN, one row after the other, by part."""
    parts = split.parts()
    together = data.encode_in_turn(list(parts.values()), vocabulary)
    ends = np.cumsum([len(part) for part in parts.values()])[:-1]

    def parted(rated: Floats) -> dict[str, Floats]:
        return dict(zip(parts, np.split(np.clip(rated, split.scale.minimum, split.scale.maximum), ends), strict=True))

    chosen_on = "validation" if "validation" in parts else "train"
    truth = parts[chosen_on]["rating"].to_numpy()
    running = {damping: parted(title_mean.predict_in_turn(together, damping)) for damping in baselines.USER_DAMPINGS}
    best = min(running, key=lambda damping: metrics.rmse(truth, running[damping][chosen_on]))
    systems = {name: {MODEL: predictions[name], PREQUENTIAL_BASELINE: running[best][name]} for name in parts}
    if neighbours:
        for name, rated in parted(replace(neighbours, damping=best).predict_in_turn(together)).items():
            systems[name][NEIGHBOURS] = rated
    return systems


def _fit_neighbours(train: Columns, validation: Columns, title_mean: Bias) -> ItemNeighbours | None:
    """With the damping of users' means that suits `validation` best; None where there are too many titles."""
    if len(title_mean.titles) > item_neighbours.MOST_TITLES:
        return None
    fitted = item_neighbours.fit(train, title_mean, baselines.USER_DAMPINGS[0])
    return min(
        (replace(fitted, damping=damping) for damping in baselines.USER_DAMPINGS),
        key=lambda found: metrics.rmse(validation["rating"], found.predict(validation)),
    )


def _rate(baseline: Baseline, columns: Columns, scale: RatingScale) -> Floats:
    return np.clip(baseline.predict(columns), scale.minimum, scale.maximum)


def _bootstrap(rows: pl.DataFrame, systems: Mapping[str, Floats], seed: int) -> Bootstrap:
    users = rows["user_id"].rank("dense").to_numpy()  # numbers group faster than text
    return Bootstrap(users, rows["rating"].to_numpy(), systems, seed=seed)
