"""Tests of `steps.recommender.metrics`."""

import numpy as np
import pytest

from steps.recommender.metrics import Bootstrap, calibration, histogram, rmse


def bootstrap(users: list[int], truth: list[float], **predictions: list[float]) -> Bootstrap:
    """A small bootstrap of systems by name."""
    arrays = {name: np.array(values) for name, values in predictions.items()}
    return Bootstrap.of(np.array(users), np.array(truth), arrays, seed=1, resamples=400)


def test_rmse_is_the_root_of_the_mean_square() -> None:
    """Errors of 3 and 4 make the root of 12.5."""
    assert rmse(np.array([0.0, 0.0]), np.array([3.0, 4.0])) == pytest.approx(12.5**0.5)


def test_quality_counts_rows_not_users() -> None:
    """A user with three rows weighs three times as much as one with a single row."""
    quality = bootstrap([7, 7, 7, 8], [1, 1, 1, 1], model=[2, 2, 2, 4]).quality("model")

    assert quality.rmse.value == pytest.approx((12 / 4) ** 0.5)
    assert quality.mae.value == pytest.approx(6 / 4)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Over 200 data sets with users of unequal skill, 95 % intervals miss the true RMSE in few."""
    random = np.random.default_rng(5)
    held = 0
    for seed in range(200):
        spread = random.choice([0.5, 1.5], size=80)  # the true mean square is (0.25 + 2.25) / 2
        errors = random.normal(0, np.repeat(spread, 12))
        users = np.repeat(np.arange(80), 12)
        estimate = Bootstrap.of(users, np.zeros(960), {"model": errors}, seed=seed, resamples=400).quality("model").rmse
        held += estimate.low <= 1.25**0.5 <= estimate.high

    assert 0.9 <= held / 200 <= 0.99


def test_rows_of_one_user_are_not_independent() -> None:
    """Copying each user's row ten times adds no knowledge, so the interval stays as wide."""
    errors = np.random.default_rng(1).normal(size=100)
    once = Bootstrap.of(np.arange(100), np.zeros(100), {"model": errors}, seed=1).quality("model").rmse
    users, copies = np.repeat(np.arange(100), 10), np.repeat(errors, 10)
    copied = Bootstrap.of(users, np.zeros(1000), {"model": copies}, seed=1).quality("model").rmse

    assert copied.low == pytest.approx(once.low)
    assert copied.high == pytest.approx(once.high)


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    """A system that is a little worse on every row is worse with confidence, though the intervals overlap."""
    errors = np.random.default_rng(2).normal(size=200)
    both = Bootstrap.of(np.arange(200), np.zeros(200), {"model": errors * 1.05, "other": errors}, seed=1)
    comparison = both.compare("model", "other")

    assert comparison.worse
    assert not comparison.better
    assert both.quality("model").rmse.low < both.quality("other").rmse.high


def test_equal_predictions_are_neither_better_nor_worse() -> None:
    """The difference of a system with itself is zero, without doubt and without a verdict."""
    comparison = bootstrap([1, 2, 3], [1, 2, 3], model=[2, 2, 2], other=[2, 2, 2]).compare("model", "other")

    assert (comparison.difference.low, comparison.difference.high) == (0, 0)
    assert not comparison.better
    assert not comparison.worse


def test_the_seed_decides_the_intervals() -> None:
    """The same seed draws the same users."""
    arguments = ([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0])

    assert bootstrap(*arguments, model=[1, 1, 5, 4]).quality("model") == bootstrap(
        *arguments, model=[1, 1, 5, 4]
    ).quality("model")


def test_calibration_groups_rows_by_prediction() -> None:
    """Sorted by prediction and cut in equal parts, each with its means."""
    groups = calibration(np.array([1.0, 5.0, 2.0, 4.0]), np.array([1.5, 4.5, 2.5, 4.0]), bins=2)

    assert [(group.rows, group.predicted, group.actual) for group in groups] == [(2, 2.0, 1.5), (2, 4.25, 4.5)]


def test_a_histogram_loses_no_value_at_its_ends() -> None:
    """The first bin includes its lower edge, the last its upper one."""
    assert histogram(np.array([1.0, 1.5, 3.0]), [1, 2, 3]) == [2, 1]
