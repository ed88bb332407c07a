"""Several trainings that differ by their seed only: by how much figures move, and whether what they say stays.

Bouthillier, Laurent and Vincent, Unreproducible Research is Reproducible (ICML 2019), tell figures that come out again
from conclusions that do (inferential reproducibility). The conclusion here is how the model compares with its baseline:
better, worse, or not surely either. A result is reproduced when every seed comes to the same one. Beside it stands how
much of the doubt is the seed's: the standard deviation over seeds beside the standard error of drawing users, the other
source of variance (Bouthillier and others, Accounting for Variance in Machine Learning Benchmarks, MLSys 2021).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist, mean, stdev
from typing import Any, Final

import numpy.typing as npt

from steps.recommender import document
from steps.recommender.metrics import CONFIDENCE, Bootstrap, Comparison, Estimate, Floats

_BASELINE: Final = "baseline"


@dataclass(frozen=True, slots=True)
class SeedsResult:
    """The trainings by seed, on the rows judged, and what they are worth together."""

    rmse: Mapping[int, Estimate]
    differences: Mapping[int, Estimate]
    """Each one's RMSE minus the baseline's."""
    conclusions: Mapping[int, str]
    mean: float
    spread: float
    """The standard deviation of the RMSE over seeds."""
    standard_error: float
    """That of the RMSE when other users are drawn, the mean over seeds."""
    is_reproduced: bool
    """Whether all conclusions are the same."""


def judge_seeds(
    users: npt.NDArray[Any], truth: Floats, predictions: Mapping[int, Floats], baseline: Floats, *, seed: int
) -> SeedsResult:
    """Two trainings or more on the same rows, which belong to `users`."""
    systems = {str(each): predicted for each, predicted in predictions.items()}
    bootstrap = Bootstrap.of(users, truth, {**systems, _BASELINE: baseline}, seed=seed)
    rmse = {each: bootstrap.quality(str(each)).rmse for each in predictions}
    comparisons = {each: bootstrap.compare(str(each), _BASELINE) for each in predictions}
    conclusions = {each: _conclusion(comparison) for each, comparison in comparisons.items()}
    width = 2 * NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return SeedsResult(
        rmse=rmse,
        differences={each: comparison.difference for each, comparison in comparisons.items()},
        conclusions=conclusions,
        mean=mean(found.value for found in rmse.values()),
        spread=stdev(found.value for found in rmse.values()),
        standard_error=mean(found.high - found.low for found in rmse.values()) / width,
        is_reproduced=len(set(conclusions.values())) == 1,
    )


def verdict(result: SeedsResult, protocol: str) -> str:
    """Whether the result is reproduced, and how much of the doubt is the seed's."""
    found = sorted(set(result.conclusions.values()))
    said = (
        f"reproduced: with every one of {len(result.rmse)} seeds the model is {found[0]} the baseline"
        if result.is_reproduced
        else f"not reproduced: depending on the seed the model is {' or '.join(found)} the baseline"
    )
    return (
        f"{protocol.capitalize()}, the result is {said}. RMSE over seeds {result.mean:.4f} \u00b1 {result.spread:.4f}, "
        f"{result.spread / result.standard_error:.0%} of the standard error of drawing other users."
    )


def seeds_section(results: Mapping[str, SeedsResult], validation: Mapping[int, float], judged_on: str) -> str:
    """The trainings side by side, by protocol; `validation` is the RMSE by which one of them was kept."""
    kept = min(validation, key=lambda each: validation[each])
    about = (
        f"The model of seed {kept} was kept, the best on validation; all else on this page is about it. A result is "
        "reproduced when every seed comes to the same conclusion about the baseline: better, worse, or not surely "
        "either (Bouthillier and others, ICML 2019)."
    )
    tables = [
        document.table(
            verdict(result, protocol),
            ["seed", "validation RMSE", f"{judged_on} RMSE", "minus the baseline", "the model is"],
            [
                [
                    str(each),
                    f"{validation[each]:.4f}",
                    document.estimate(found),
                    document.estimate(result.differences[each], sign="+"),
                    f"{result.conclusions[each]} the baseline",
                ]
                for each, found in result.rmse.items()
            ],
            emphasised=str(kept),
        )
        for protocol, result in results.items()
    ]
    return document.section("Several seeds", f"<p>{document.text(about)}</p>", *tables)


def _conclusion(comparison: Comparison) -> str:
    if comparison.better:
        return "better than"
    return "worse than" if comparison.worse else "not surely better or worse than"
