"""What has run before with all the same does not run again, and every decision has its sentence."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.harness import Project, job, plan, tree
from wf.plan import LocalFile
from wf.runner import Reuse
from wf.store.layout import remove_tree

MAKE = job(outputs={"data": "volume"}, leaves={"data": "12"}, reuse=True)
USE = job(outputs={"sum": "volume"}, leaves={"sum": "3"}, inputs={"data": "make.outputs.data"}, reuse=True)
GRAPH = "make -> use"


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.run(GRAPH, make=MAKE, use=USE)
    return project


def test_nothing_is_done_twice(project: Project) -> None:
    """The second run starts nothing, succeeds, and has the same outputs."""
    before = project.job("use").outputs[0]

    result = project.run(GRAPH, make=MAKE, use=USE)

    after = project.job("use")
    assert result.state == "succeeded"
    assert project.decisions() == ["make from 1", "use from 1"]
    assert (after.state, after.cached_from) == ("succeeded", 1)
    assert after.outputs[0].digest == before.digest
    assert tree(after.outputs[0].link.resolve()) == {"data": "3"}


def test_a_reused_job_points_to_the_run_that_really_ran(project: Project) -> None:
    """Also when it is reused from a run that reused it."""
    project.run(GRAPH, make=MAKE, use=USE)
    project.run(GRAPH, make=MAKE, use=USE)

    assert project.decisions() == ["make from 1", "use from 1"]


def test_a_later_run_of_another_workflow_counts_too(project: Project) -> None:
    """The last execution stands for a job, whichever workflow it was part of."""
    other = replace(plan("make", project.root, make=MAKE), workflow=project.root / "other.yaml")
    project.run_plan(other, reuse=Reuse(allowed=False))

    for _ in range(2):
        project.run(GRAPH, make=MAKE, use=USE)

        assert project.decisions() == ["make from 2", "use from 1"]


def test_a_change_has_its_sentence_and_what_depends_on_it_runs_too(project: Project) -> None:
    """The job whose environment changed, and the one whose input came out differently."""
    changed = replace(MAKE, env={"MODE": "fast"}, leaves={"data": "13"})

    project.run(GRAPH, make=changed, use=USE)

    assert project.decisions() == [
        'make ran: env.FAKE_OUTPUT_data "12" -> "13"; env.MODE (unset) -> "fast"',
        "use ran: input data changed",
    ]


def test_what_comes_out_the_same_stops_the_change(project: Project) -> None:
    """A job that ran again with the same result does not make those after it run."""
    project.run(GRAPH, make=replace(MAKE, env={"MODE": "fast"}), use=USE)

    assert project.decisions() == ['make ran: env.MODE (unset) -> "fast"', "use from 1"]


def test_an_older_execution_is_found_too(project: Project) -> None:
    """Going back to earlier settings costs nothing."""
    project.run(GRAPH, make=replace(MAKE, env={"MODE": "fast"}), use=USE)

    project.run(GRAPH, make=MAKE, use=USE)

    assert project.decisions() == ["make from 1", "use from 1"]


def test_a_failed_execution_is_not_reused(tmp_path: Path) -> None:
    """It runs again, and says so."""
    project = Project(tmp_path)
    failing = replace(MAKE, does=lambda _: 1)
    project.run("make", make=failing)

    project.run("make", make=MAKE)

    assert project.decisions() == ["make ran: it failed in run 1"]


def test_outputs_that_are_gone_are_made_again(project: Project) -> None:
    """Deleting an artifact by hand costs one execution."""
    remove_tree(project.job("use").outputs[0].path)

    project.run(GRAPH, make=MAKE, use=USE)

    assert project.decisions() == ["make from 1", "use ran: its outputs of run 1 are gone, or changed"]


def test_outputs_that_were_tampered_with_are_made_again(project: Project) -> None:
    """Content that is not what was stored is noticed, and replaced."""
    damaged = project.job("use").outputs[0].path / "data"
    damaged.chmod(0o644)
    damaged.write_text("4")

    project.run(GRAPH, make=MAKE, use=USE)

    assert project.decisions()[1] == "use ran: its outputs of run 1 are gone, or changed"
    assert tree(project.job("use").outputs[0].path) == {"data": "3"}


def test_a_touched_file_is_looked_at_and_found_good(project: Project) -> None:
    """A time that changed alone changes nothing."""
    (project.job("use").outputs[0].path / "data").touch()

    project.run(GRAPH, make=MAKE, use=USE)

    assert project.decisions() == ["make from 1", "use from 1"]


def test_jobs_can_be_forced(project: Project) -> None:
    """Only those that are named."""
    project.run(GRAPH, make=MAKE, use=USE, reuse=Reuse(forced=frozenset({"use"})))

    assert project.decisions() == ["make from 1", "use ran: forced"]


def test_reuse_can_be_off_for_a_run_or_a_job(project: Project) -> None:
    """Each with its sentence."""
    project.run(GRAPH, make=MAKE, use=USE, reuse=Reuse(allowed=False))
    assert project.decisions() == ["make ran: nothing is reused", "use ran: nothing is reused"]

    project.run(GRAPH, make=replace(MAKE, reuse=False), use=USE)
    assert project.decisions() == ["make ran: its cache is off", "use from 2"]


def test_a_job_without_outputs_runs_every_time(tmp_path: Path) -> None:
    """It runs for its effect."""
    project = Project(tmp_path)
    project.run("tell")

    project.run("tell")

    assert project.decisions() == ["tell ran"]


def test_a_dataset_gets_no_version_for_what_it_holds_already(tmp_path: Path) -> None:
    """Unless something else has become its latest version in between."""
    project = Project(tmp_path)
    one = job(outputs={"data": "numbers"}, leaves={"data": "1"}, reuse=True)
    two = replace(one, leaves={"data": "2"})

    project.run("a", a=one)
    first = project.store.datasets.find("numbers").version
    project.run("a", a=one)
    assert project.store.datasets.find("numbers").version == first
    assert project.job("a").outputs[0].dataset == f"numbers:{first}"

    project.run("a", a=two)
    project.run("a", a=one)
    assert project.decisions() == ["a from 1"]
    assert tree(project.store.artifacts.path(project.store.datasets.find("numbers").digest)) == {"data": "1"}


def test_a_local_file_counts_by_its_content(tmp_path: Path) -> None:
    """Not by its name or time."""
    project = Project(tmp_path)
    source = tmp_path / "ratings.csv"

    def run() -> list[str]:
        whole = plan("a", tmp_path, a=MAKE)
        task = replace(whole.tasks[0], local_files=(LocalFile("path", source),))
        project.run_plan(replace(whole, tasks=(task,)))
        return project.decisions()

    source.write_text("1")
    assert run() == ["a ran"]
    source.write_text("1")
    assert run() == ["a from 1"]
    source.write_text("2")
    assert run() == ["a ran: the file of with.path changed"]


def test_a_step_runs_again_when_its_code_changes_and_only_then(tmp_path: Path) -> None:
    """The file that changed is named; a file that the step does not import changes nothing."""
    steps = tmp_path / "steps"
    steps.mkdir()
    (steps / "__init__.py").touch()
    (steps / "a.py").write_text("x = 1")
    (steps / "other.py").write_text("y = 1")
    project = Project(tmp_path)

    def run() -> list[str]:
        whole = plan("a", tmp_path, a=replace(MAKE, is_step=True))
        project.run_plan(replace(whole, tasks=(replace(whole.tasks[0], action="./steps/a"),)))
        return project.decisions()

    assert run() == ["a ran"]
    (steps / "other.py").write_text("y = 2")
    assert run() == ["a from 1"]
    (steps / "a.py").write_text("x = 2")
    assert run() == ["a ran: steps/a.py changed"]


def test_variables_that_do_not_count_and_a_key_that_does(tmp_path: Path) -> None:
    """The job gets the variable as it is; another key of the workflow's runs it again."""
    project = Project(tmp_path)

    def run(mode: str, key: str, secrets: dict[str, str]) -> list[str]:
        whole = plan("a", tmp_path, a=replace(MAKE, env={"MODE": mode}, secrets={"TOKEN": "TOKEN?"}))
        task = replace(whole.tasks[0], cache_key=key, ignored_env=frozenset({"MODE", "TOKEN"}))
        project.run_plan(replace(whole, tasks=(task,)), secrets=secrets)
        return project.decisions()

    assert run("slow", "1", {}) == ["a ran"]
    assert run("fast", "1", {"TOKEN": "a-value"}) == ["a from 1"]
    assert run("fast", "2", {}) == ['a ran: cache.key "1" -> "2"']
    assert project.backend.launch("a").env["MODE"] == "fast"
