"""Files in the styles of §14 to §16: what is said about each, and that the accepted ones run to their end in Docker.

A few of them run here; all do with `make corpus`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gradient.corpus import ACCEPTED, REJECTED, Accepted, CorpusProject, Outcome, corpus_project
from tests.projects import problems_of
from wf.compile import compile_file

SAMPLE = {
    "clone-and-work-in-place",
    "container-args",
    "dataset-by-old-id",
    "failed-branch",
    "legacy-volume-of-scripts",
    "links",
    "same-dataset-in-and-out",
    "workflow-inputs",
}
CHOSEN = ACCEPTED if os.environ.get("WF_CORPUS") == "whole" else [each for each in ACCEPTED if each.name in SAMPLE]
AT_ONCE = 4


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CorpusProject]:
    """The project of all these files."""
    with corpus_project(tmp_path_factory.mktemp("corpus"), os.environ.get("WF_BASE_IMAGE", "wf/base:bookworm")) as made:
        yield made


@pytest.fixture(scope="module")
def outcomes(project: CorpusProject, base_image: str) -> Iterator[Mapping[str, Future[Outcome]]]:
    """The runs, several at once."""
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {case.name: pool.submit(project.run, case) for case in CHOSEN}
    pool.shutdown(cancel_futures=True)


def names(case: Accepted | Path) -> str:
    """What a test of a file is called."""
    return case.name if isinstance(case, Accepted) else case.stem


@pytest.mark.parametrize("case", ACCEPTED, ids=names)
def test_it_is_accepted(case: Accepted, project: CorpusProject) -> None:
    """With the warnings that it tells of, and no others."""
    _, warnings = compile_file(project.path(case), project.root, {"params": "x"} if case.said("inputs") else {})

    assert [warning.message for warning in warnings] == case.said("warns")


@pytest.mark.docker
@pytest.mark.parametrize("case", CHOSEN, ids=names)
def test_it_runs(case: Accepted, outcomes: Mapping[str, Future[Outcome]]) -> None:
    """In Docker, with images that stand in for its own, and its scripts as they are."""
    outcome = outcomes[case.name].result()

    ends = case.said("ends") or [re.sub(r" .*", " succeeded", end) for end in outcome.ends]
    assert outcome.ends, outcome.errors
    assert sorted(outcome.ends) == sorted(ends), "\n".join([*outcome.prints, outcome.errors])
    assert not [line for line in case.said("prints") if line not in outcome.prints], "\n".join(outcome.prints)
    assert outcome.notes == case.said("notes")


@pytest.mark.parametrize("path", REJECTED, ids=names)
def test_it_is_rejected(path: Path, tmp_path: Path) -> None:
    """With every mistake named, and what was probably meant."""
    assert problems_of(tmp_path, path.read_text()) + "\n" == path.with_suffix(".txt").read_text()
