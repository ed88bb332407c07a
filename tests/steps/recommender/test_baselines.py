"""Tests of `steps.recommender.baselines` against examples that were computed by hand."""

from typing import Any

import numpy as np
import pytest

from steps.recommender import bias_grid
from steps.recommender.baselines import fit_global_mean, fit_title_mean

TRAIN: dict[str, Any] = {
    "user": np.array([1, 1, 2], np.int32),
    "title": np.array([1, 2, 1], np.int32),
    "rating": np.array([5, 3, 4], np.float32),
}
ASKED: dict[str, Any] = {"user": np.array([1, 2, 0], np.int32), "title": np.array([2, 1, 0], np.int32)}


def test_the_global_mean_is_the_same_for_all() -> None:
    """(5 + 3 + 4) / 3 for known and unknown alike."""
    assert fit_global_mean(TRAIN, 2, 2).predict(ASKED).tolist() == [4, 4, 4]


def test_the_title_mean_is_damped() -> None:
    """Title 1 deviates by +1 and 0, damped with two zeros: +1/4. Title 2 by -1, damped: -1/3. Unknown: 0."""
    predicted = fit_title_mean(TRAIN, 2, 2, 2.0).predict(ASKED)

    assert predicted == pytest.approx([4 - 1 / 3, 4 + 1 / 4, 4])


def test_biases_are_the_penalised_least_squares_solution() -> None:
    """With damping 1 alternating steps end where the normal equations, solved at once, do."""
    (fitted,) = bias_grid.fit(TRAIN, 2, 2, [(1.0, 1.0)])
    # Unknowns b1, b2 (users), c1, c2 (titles); (ratings + 1) x own + the others' = the sum of the deviations 1, -1, 0.
    normal = np.array([[3, 0, 1, 1], [0, 2, 1, 0], [1, 1, 3, 0], [1, 0, 0, 2]], float)
    solution = np.linalg.solve(normal, np.array([0, 0, 1, -1], float))

    assert fitted.users == pytest.approx([0, *solution[:2]], abs=1e-4)
    assert fitted.titles == pytest.approx([0, *solution[2:]], abs=1e-4)


def test_the_unknown_gets_what_is_known_of_the_rest() -> None:
    """A new user's rating of a known title is the mean and the title's bias."""
    (fitted,) = bias_grid.fit(TRAIN, 2, 2, [(1.0, 1.0)])
    asked: dict[str, Any] = {"user": np.array([0], np.int32), "title": np.array([1], np.int32)}

    assert fitted.predict(asked) == pytest.approx([4 + fitted.titles[1]])


def test_several_dampings_are_fitted_as_each_alone() -> None:
    """Side by side they come to the same, but for rounding."""
    dampings = [(1.0, 1.0), (3.0, 0.5), (0.1, 10.0)]

    for fitted, damping in zip(bias_grid.fit(TRAIN, 2, 2, dampings), dampings, strict=True):
        (alone,) = bias_grid.fit(TRAIN, 2, 2, [damping])
        assert fitted.mean == alone.mean
        assert fitted.users == pytest.approx(alone.users)
        assert fitted.titles == pytest.approx(alone.titles)
