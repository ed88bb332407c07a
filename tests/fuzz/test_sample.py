"""A short sample of what `make fuzz` does for an hour."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.workflows import check, corpus, mutate, run
from tests.projects import make_project

TEXTS = corpus()


def test_nothing_breaks_in_a_few_seconds(tmp_path: Path) -> None:
    """Files that nobody has seen before: each becomes a plan, or errors."""
    tried, accepted = run(2, random.SystemRandom().randrange(10**9), tmp_path)

    assert tried >= accepted >= 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_mutations_are_told_in_words(tmp_path: Path, rng: random.Random) -> None:
    """The same, where hypothesis finds the smallest change that breaks something."""
    make_project(tmp_path, "jobs: {}")

    check(mutate(rng, TEXTS), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "jobs",
        # What fuzzing has found.
        "jobs: {A: {uses: script@v1, resources: {memory: null}, timeout: 0}}",
        "jobs: {A: {uses: ./steps/ingest, with: {path: " + "x" * 5000 + "}, outputs: {ratings: {type: volume}}}}",
        "jobs: {A: {uses: git-checkout@v1, with: {url: 'https://a.]b'}, outputs: {repo: {type: volume}}}}",
        "jobs: {A: {uses: ./steps/train, with: {model: {type: volume}}}}",
        "jobs: []",
        "- jobs",
        "jobs: {A: {needs: [A]}}",
        "jobs: {A: &a {with: *a}}",
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "jobs: " + "[" * 2000,
        "jobs: {A: {uses: script@v1, timeout: " + "9" * 5000 + "}}",
        "jobs: {" + ", ".join(f"J{n}: {{}}" for n in range(500)) + "}",
    ],
)
def test_hostile_files_are_refused(text: str, tmp_path: Path) -> None:
    """Bombs of aliases, rings, depths and sizes."""
    make_project(tmp_path, "jobs: {}")

    assert not check(text, tmp_path)
