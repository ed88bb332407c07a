"""How good predicted ratings are, and how sure we can be of it."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

RESAMPLES: Final = 2000
"""Bootstrap resamples: the ends of a 95 % interval then rest on 50 resamples each."""
CONFIDENCE: Final = 0.95

_BLOCK_CELLS: Final = 4_000_000  # resamples x users drawn at a time: bounds memory to 32 MB


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the interval that holds it with `CONFIDENCE`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quality:
    """The errors of one system's predictions on some rows."""

    rmse: Estimate
    mae: Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the same rows: `difference` is the RMSE of the first minus that of the second."""

    difference: Estimate

    @property
    def better(self) -> bool:
        """Whether the first one's RMSE is lower with confidence."""
        return self.difference.high < 0

    @property
    def worse(self) -> bool:
        """Whether the first one's RMSE is higher with confidence."""
        return self.difference.low > 0


def rmse(truth: Floats, predicted: Floats) -> float:
    """Root of the mean squared error."""
    return rmse_of([(truth, predicted)])


def rmse_of(parts: Iterable[tuple[Floats, Floats]]) -> float:
    """The same of rows that come some at a time: what is true of them, and what was predicted."""
    squares, rows = 0.0, 0
    for truth, predicted in parts:
        squares += float(np.sum(np.square(predicted.astype(np.float64) - truth)))
        rows += len(truth)
    return float(np.sqrt(squares / rows))


class Bootstrap:
    """Confidence intervals for predictions of the same rows, by drawing users anew.

    Rows of one user depend on one another, so whole users are drawn with replacement, as many as there are, and a
    user's rows come along with every draw (the cluster bootstrap: Davison and Hinkley, Bootstrap Methods and their
    Application, 1997, section 3.8). Intervals are percentiles. All systems see the same draws, so differences
    between them are paired.
    """

    def __init__(self, systems: Sequence[Hashable], by_user: Floats, *, seed: int, resamples: int = RESAMPLES) -> None:
        """Compare `systems`, of which `sums_by_user` says what their predictions come to."""
        drawn = np.concatenate([drawn_users @ by_user for drawn_users in draws(len(by_user), resamples, seed)])
        self._systems = list(systems)
        self._rmse, self._mae = _root_mean(by_user.sum(axis=0)[None]), _mean(by_user.sum(axis=0)[None])
        self._drawn_rmse, self._drawn_mae = _root_mean(drawn), _mean(drawn)

    @classmethod
    def of(
        cls,
        users: npt.NDArray[Any],
        truth: Floats,
        predictions: Mapping[str, Floats],
        *,
        seed: int,
        resamples: int = RESAMPLES,
    ) -> "Bootstrap":
        """Compare `predictions`, by system, with `truth` in rows that belong to `users`; all [rows], not empty."""
        sums = sums_by_user(users, truth, list(predictions.values()))
        return cls(list(predictions), sums, seed=seed, resamples=resamples)

    def quality(self, system: Hashable) -> Quality:
        """The errors of one system."""
        column = self._systems.index(system)
        return Quality(
            rmse=estimate(self._rmse[0, column], self._drawn_rmse[:, column]),
            mae=estimate(self._mae[0, column], self._drawn_mae[:, column]),
        )

    def compare(self, system: Hashable, other: Hashable) -> Comparison:
        """The RMSE of `system` minus that of `other`."""
        first, second = self._systems.index(system), self._systems.index(other)
        return Comparison(
            estimate(
                self._rmse[0, first] - self._rmse[0, second],
                self._drawn_rmse[:, first] - self._drawn_rmse[:, second],
            )
        )


def sums_by_user(users: npt.NDArray[Any], truth: Floats, predictions: Sequence[Floats]) -> Floats:
    """For each user, in their order: rows, then squared errors and then absolute ones of each system.

    `users` and `truth` are [rows], as each of `predictions` is; the sums are [users, 1 + 2 x systems].
    """
    _, owner = np.unique(users, return_inverse=True)
    errors = [np.asarray(predicted, np.float64) - truth for predicted in predictions]
    sums = [np.bincount(owner)]
    sums += [np.bincount(owner, weights=np.square(error)) for error in errors]
    sums += [np.bincount(owner, weights=np.abs(error)) for error in errors]
    return np.stack(sums, axis=1).astype(np.float64)


def draws(users: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each user is drawn, [some resamples, users], block by block."""
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // users)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        yield random.multinomial(users, np.full(users, 1 / users), size=size).astype(np.float64)


def _root_mean(sums: Floats) -> Floats:
    systems = (sums.shape[1] - 1) // 2
    return np.sqrt(sums[:, 1 : 1 + systems] / sums[:, :1])


def _mean(sums: Floats) -> Floats:
    systems = (sums.shape[1] - 1) // 2
    return sums[:, 1 + systems :] / sums[:, :1]


def estimate(value: float, drawn: Floats) -> Estimate:
    """A figure with the percentiles of what resamples came to, [resamples]."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high))


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows with similar predictions: how many, what was predicted on average, and what was true."""

    rows: int
    predicted: float
    actual: float


def calibration(truth: Floats, predicted: Floats, bins: int = 10) -> list[CalibrationBin]:
    """Rows sorted by prediction and cut into `bins` of equal size; equal predictions may share several bins."""
    order = np.argsort(predicted, kind="stable")
    return [
        CalibrationBin(len(part), float(np.mean(predicted[part])), float(np.mean(truth[part])))
        for part in np.array_split(order, bins)
        if len(part)
    ]


def histogram(values: Floats, edges: Sequence[float]) -> list[int]:
    """How many values lie in each bin; the last bin includes its upper edge."""
    return [int(count) for count in np.histogram(values, bins=np.asarray(edges))[0]]
