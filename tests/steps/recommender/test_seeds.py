"""Tests of `steps.recommender.seeds`: whether several trainings say the same."""

import numpy as np
import pytest

from steps.recommender.seeds import judge_seeds, seeds_section, verdict

USERS = np.repeat(np.arange(50), 8)
RANDOM = np.random.default_rng(1)
TRUTH = RANDOM.integers(1, 6, len(USERS)).astype(np.float64)
BASELINE = TRUTH + RANDOM.normal(0, 1, len(USERS))


def test_the_same_conclusion_from_every_seed_is_reproduced() -> None:
    """Three models that are all clearly better differ by little beside what drawing other users does."""
    models = {seed: TRUTH + RANDOM.normal(0, 0.8, len(USERS)) for seed in (4, 5, 6)}

    result = judge_seeds(USERS, TRUTH, models, BASELINE, seed=1)

    assert result.is_reproduced
    assert set(result.conclusions.values()) == {"better than"}
    assert result.mean == pytest.approx(np.mean([found.value for found in result.rmse.values()]))
    assert result.spread == pytest.approx(np.std([found.value for found in result.rmse.values()], ddof=1))
    assert verdict(result, "static").startswith(
        "Static, the result is reproduced: with every one of 3 seeds the model is better than the baseline. RMSE over "
    )


def test_seeds_that_disagree_are_told_apart() -> None:
    """One seed that fails makes the result one that is not reproduced, and the page shows which."""
    models = {1: TRUTH + 0.1, 2: TRUTH + 3.0}

    result = judge_seeds(USERS, TRUTH, models, BASELINE, seed=1)
    section = seeds_section({"static": result}, {1: 0.5, 2: 0.4}, "test")

    assert result.conclusions == {1: "better than", 2: "worse than"}
    assert not result.is_reproduced
    assert "not reproduced: depending on the seed the model is better than or worse than the baseline" in section
    assert "The model of seed 2 was kept, the best on validation" in section


def test_the_standard_error_is_that_of_the_users() -> None:
    """For errors of one size in each user there is a formula: that of the root of a mean over users."""
    of_user = RANDOM.uniform(0.5, 1.5, 50)
    error = np.repeat(of_user, 8)

    result = judge_seeds(USERS, TRUTH, {1: TRUTH + error, 2: TRUTH + error}, BASELINE, seed=1)

    by_formula = np.std(of_user**2) / np.sqrt(50) / (2 * np.sqrt(np.mean(of_user**2)))
    assert result.standard_error == pytest.approx(by_formula, rel=0.1)
    assert result.spread == 0
