"""Whether a model serves some groups worse than others: errors of each slice, and the gaps between them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from steps.recommender.metrics import CONFIDENCE, RESAMPLES, Comparison, Estimate, Floats, Quality, draws, estimate
from steps.recommender.slices import WARMTH, Slice

Integers = npt.NDArray[np.integer[Any]]

RMSE, MAE, ERROR = range(3)

FEWEST_USERS: Final = 10
"""Slices of fewer users get no figures: an interval from so few would say nothing."""

_CELLS: Final = 2**24  # sums of users by slice in memory at once: bounds them to 128 MB


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The model and the best baseline on the rows of a slice; None where there are too few users."""

    dimension: str
    name: str
    rows: int
    users: int
    model: Quality | None
    baseline: Quality | None
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A slice beside all other rows: figures of the slice minus those of the others."""

    dimension: str
    name: str
    rows: int
    users: int
    rmse: Estimate
    """Above zero the model serves this group worse."""
    error: Estimate
    """The mean of prediction minus rating: above zero the group is flattered, below it is sold short."""
    baseline_rmse: Estimate
    """The same gap of the baseline's: what lies in the group, whoever predicts."""

    @property
    def is_certain(self) -> bool:
        """Whether the interval of the gap in RMSE leaves zero out."""
        return self.rmse.low > 0 or self.rmse.high < 0


def judge_slices(
    slices: Iterable[Slice], users: Integers, truth: Floats, model: Floats, baseline: Floats, *, seed: int
) -> tuple[list[SliceResult], list[Gap]]:
    """Every slice, and the gap of each that leaves enough users on both sides, but for known and new ones.

    All is [rows]. Intervals are of the same resamples of all users of the part, so the two sides of a gap and the two
    systems are paired (`metrics.Bootstrap` says why users are drawn). As many slices are looked at together as memory
    should hold.
    """
    people, owner = np.unique(users, return_inverse=True)
    errors = [np.asarray(predicted, np.float64) - truth for predicted in (model, baseline)]
    together = max(1, _CELLS // (len(people) * 8))
    whole = _sums_by_user(owner, errors, len(people))
    left = (
        (each, _sums_by_user(owner[each.rows], [error[each.rows] for error in errors], len(people))) for each in slices
    )
    results, gaps = [], []
    while some := [(each.dimension, each.name, sums) for each, sums in islice(left, together)]:
        found, between = _judge(some, whole, seed)
        results += found
        gaps += between
    return results, gaps


def _judge(slices: Sequence[tuple[str, str, Floats]], whole: Floats, seed: int) -> tuple[list[SliceResult], list[Gap]]:
    """Slices by dimension and name, with what `_sums_by_user` says of them; `whole` is that of all rows."""
    people = len(whole)
    sums = np.stack([whole, *(own for *_, own in slices)], axis=1)
    drawn = np.concatenate([drawn @ sums.reshape(people, -1) for drawn in draws(people, RESAMPLES, seed)])
    # The first place is that of the rows as they are, the others are of resamples.
    both = np.concatenate([sums.sum(axis=0)[None], drawn.reshape(-1, *sums.shape[1:])])
    within, beside = _figures(both[:, 1:]), _figures(both[:, :1] - both[:, 1:])
    results, gaps = [], []
    for number, (dimension, name, own) in enumerate(slices):
        rows, all_rows = own[:, 0, 0], whole[:, 0, 0]
        about = (dimension, name, int(rows.sum()), int(np.count_nonzero(rows)))
        if about[-1] < FEWEST_USERS:
            results.append(SliceResult(*about, None, None, None))
            continue
        here, there = within[:, number], beside[:, number]
        results.append(
            SliceResult(
                *about,
                Quality(rmse=_interval(here[..., 0, RMSE]), mae=_interval(here[..., 0, MAE])),
                Quality(rmse=_interval(here[..., 1, RMSE]), mae=_interval(here[..., 1, MAE])),
                Comparison(_interval(here[..., 0, RMSE] - here[..., 1, RMSE])),
            )
        )
        if dimension != WARMTH and np.count_nonzero(all_rows - rows) >= FEWEST_USERS:
            gap = here - there
            gaps.append(
                Gap(*about, _interval(gap[:, 0, RMSE]), _interval(gap[:, 0, ERROR]), _interval(gap[:, 1, RMSE]))
            )
    return results, gaps


def summary(gaps: Sequence[Gap]) -> str:
    """How many gaps are more than chance, and how many would look like that by chance alone."""
    certain = sum(gap.is_certain for gap in gaps)
    return (
        f"Of {len(gaps)} groups, {certain} have a gap in RMSE whose interval leaves zero out; "
        f"if all were served alike, about {round(len(gaps) * (1 - CONFIDENCE))} would by chance."
    )


def _sums_by_user(owner: Integers, errors: Sequence[Floats], people: int) -> Floats:
    """Of some rows, for each user, for each system: rows, squared, absolute and signed errors, [users, systems, 4]."""
    rows = np.bincount(owner, minlength=people)
    sums = [
        [rows, *(np.bincount(owner, term, people) for term in (np.square(error), np.abs(error), error))]
        for error in errors
    ]
    return np.moveaxis(np.array(sums, np.float64), -1, 0)


def _figures(sums: Floats) -> Floats:
    """RMSE, MAE and mean error, in the last place, from the sums there; NaN of no rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[..., 1:] / sums[..., :1]
    means[..., RMSE] = np.sqrt(np.maximum(means[..., RMSE], 0))
    return means


def _interval(values: Floats) -> Estimate:
    # A resample may have drawn none of a small slice's users.
    return estimate(float(values[0]), values[1:][~np.isnan(values[1:])])
