"""Judging predictions beside what two averages know: the figures that `evaluate` writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from steps.recommender import metrics, rating_baselines
from steps.recommender.data import RatingScale
from steps.recommender.fairness import Gap, SliceResult, judge_slices
from steps.recommender.judged_rows import JudgedRows
from steps.recommender.metrics import Bootstrap, CalibrationBin, Comparison, Floats, Quality
from steps.recommender.rating_baselines import PREQUENTIAL_BASELINE
from steps.recommender.seeds import SeedsResult, judge_seeds
from steps.recommender.slices import slices
from steps.recommender.stored_split import Shard, StoredSplit

MODEL: Final = "model"
"""The name of the judged model among the systems; the others are baselines."""
STATIC: Final = "static"
PREQUENTIAL: Final = "prequential"


class Rater(Protocol):
    """What answers ratings, by part for the rows of a shard."""

    def static(self, shard: Shard) -> Mapping[str, Floats]:
        """What is answered where everything is frozen where training ends."""

    def in_turn(self, shard: Shard) -> Mapping[str, Floats]:
        """What is answered to each row when the same user's rows of earlier moments are known."""


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
    left_out: Sequence[str]
    """Baselines for which there are too many titles, with the reason."""
    resamples: int = metrics.RESAMPLES
    confidence: float = metrics.CONFIDENCE


def judge(
    split: StoredSplit,
    model: Rater,
    *,
    seed: int,
    of_seeds: Mapping[int, Rater] | None = None,
    some: StoredSplit | None = None,
) -> tuple[Evaluation, JudgedRows]:
    """Compare what a `model` answers for each part of `split` with the truth and with baselines.

    Where `some` has the rows of some users (`judged_users.take`), only these are judged.

    Static, everything is frozen where training ends. Prequentially, as strictly, the weights are frozen and the ratings
    known that the user gave at earlier moments. Both kinds are judged apart. `of_seeds` has several trainings, which
    are compared on the last part.

    The baselines see the training rows only; how strongly they are damped is chosen on the validation rows, as the
    model's epoch was, so that neither side has an advantage.

    Of the rows of the last part come along `owner`, `name`, `item` and `rating`, and by protocol what was predicted by
    `MODEL`, by the baseline that it is compared with, and by each of `of_seeds`.
    """
    some = some or split
    others, judged_on, raters = rating_baselines.fit(split, some), split.judged_on, of_seeds or {}
    systems = {
        STATIC: {MODEL: model.static, **others.static},
        PREQUENTIAL: {MODEL: model.in_turn, **others.in_turn},
    }
    compared = {STATIC: others.best, PREQUENTIAL: PREQUENTIAL_BASELINE}
    judged = JudgedRows(some.parts[judged_on].rows)
    sums: dict[str, list[Floats]] = {part: [] for part in split.parts}
    for shard in some.shards():
        place = shard[judged_on]["place"]
        for name in ("owner", "name", "item", "rating"):
            judged.put((name,), place, shard[judged_on][name])
        rated = {(protocol, name): rate(shard) for protocol, of in systems.items() for name, rate in of.items()}
        for part, rows in shard.items():
            predictions = [each[part] for each in rated.values()]
            sums[part].append(metrics.sums_by_user(rows["owner"], rows["rating"], predictions))
        for protocol, baseline in compared.items():
            for name in (MODEL, baseline):
                judged.put((protocol, name), place, rated[protocol, name][judged_on])
        for number, rater in raters.items():
            judged.put((STATIC, str(number)), place, rater.static(shard)[judged_on])
            judged.put((PREQUENTIAL, str(number)), place, rater.in_turn(shard)[judged_on])
    # Both protocols see the same draws, which take most of the time where users are many.
    of_both = [(protocol, name) for protocol, by_name in systems.items() for name in by_name]
    by_user = {part: np.concatenate(found) for part, found in sums.items()}
    bootstraps = {part: Bootstrap(of_both, found, seed=seed) for part, found in by_user.items()}
    results = {
        protocol: {
            part: PartResult(
                rows=some.parts[part].rows,
                users=len(by_user[part]),
                systems={name: found.quality((protocol, name)) for name in by_name},
            )
            for part, found in bootstraps.items()
        }
        for protocol, by_name in systems.items()
    }
    last = bootstraps[judged_on]
    truth, predicted, owner = judged["rating",], judged[STATIC, MODEL], judged["owner",]
    rows = {name: judged[name,] for name in ("owner", "name", "item")}
    beside = judged[STATIC, others.best]
    slice_results, gaps = judge_slices(slices(split, rows), owner, truth, predicted, beside, seed=seed)
    evaluation = Evaluation(
        judged_on=judged_on,
        parts=results[STATIC],
        best_baseline=others.best,
        comparison=last.compare((STATIC, MODEL), (STATIC, others.best)),
        slices=slice_results,
        gaps=gaps,
        distribution=distribution(truth, predicted, split.about.scale),
        calibration=metrics.calibration(truth, predicted),
        prequential=results[PREQUENTIAL],
        prequential_comparison=last.compare((PREQUENTIAL, MODEL), (PREQUENTIAL, PREQUENTIAL_BASELINE)),
        seed=seed,
        seeds={
            protocol: judge_seeds(
                owner,
                truth,
                {number: judged[protocol, str(number)] for number in raters},
                judged[protocol, compared[protocol]],
                seed=seed,
            )
            for protocol in (systems if raters else ())
        },
        left_out=others.left_out,
    )
    return evaluation, judged


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
