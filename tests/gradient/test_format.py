"""§1 to §5 and §13, what is accepted and what it means. Nothing runs; texts of refusals are in docs/errors.md."""

import subprocess
from pathlib import Path

import pytest

from tests.programs.git_server import Repository
from tests.projects import compile_text, make_project, problems_of
from wf.compile import compile_file
from wf.plan import SharedVolume, TaskInput, TaskOutput, UpstreamOutput

CLONE = "CloneRepo: {uses: git-checkout@v1, with: {url: 'https://example.com/x'}, outputs: {repo: {type: volume}}}"


def warnings_of(folder: Path, workflow: str) -> list[str]:
    """What is warned about in a workflow that is accepted."""
    _, warnings = compile_file(make_project(folder, workflow), folder)
    return [warning.message for warning in warnings]


@pytest.mark.parametrize("on", ["on", "'on'", '"on"'])
def test_s1_on_may_be_quoted_or_bare(tmp_path: Path, on: str) -> None:
    """YAML 1.1 would read the bare one as a truth value."""
    workflow = f"{on}: {{github: {{branches: {{only: main}}, tags: {{include: [v1]}}}}}}\njobs: {{{CLONE}}}"

    assert compile_text(tmp_path, workflow).tasks


@pytest.mark.parametrize("on", ["push", "[push, pull_request]", "{workflow_dispatch: null}", "{github: {paths: [a]}}"])
def test_s8_triggers_of_github_actions_do_nothing(tmp_path: Path, on: str) -> None:
    """They are accepted, and said to do nothing."""
    assert all("does nothing" in text for text in warnings_of(tmp_path, f"on: {on}\njobs: {{{CLONE}}}"))
    assert warnings_of(tmp_path, f"on: {on}\njobs: {{{CLONE}}}")


def test_s2_the_whole_workflow_has_a_timeout(tmp_path: Path) -> None:
    """In seconds."""
    assert compile_text(tmp_path, f"timeout: 90\njobs: {{{CLONE}}}").timeout == 90


def test_s3_an_ancestor_may_be_read_without_being_needed_directly(tmp_path: Path) -> None:
    """It is enough that a job between them needs it."""
    plan = compile_text(
        tmp_path,
        f"""
        jobs:
          {CLONE}
          Middle: {{needs: [CloneRepo], uses: container@v1, with: {{image: x}}}}
          Last: {{needs: [Middle], uses: container@v1, with: {{image: x}}, inputs: {{r: CloneRepo.outputs.repo}}}}
        """,
    )

    assert plan.task("Last").inputs == (TaskInput("r", "volume", UpstreamOutput("CloneRepo", "repo")),)


def test_s3_a_descendant_may_not_be_read(tmp_path: Path) -> None:
    """Nor any other job that need not have ended."""
    text = problems_of(
        tmp_path,
        f"jobs:\n  {CLONE}\n  A: {{uses: container@v1, with: {{image: x}}, inputs: {{r: CloneRepo.outputs.repo}}}}",
    )

    assert text.splitlines()[0] == "error: job `A` reads `CloneRepo.outputs.repo` but does not need `CloneRepo`"


def test_s4_an_alias_is_the_reference_in_it(tmp_path: Path) -> None:
    """So the service keeps references."""
    plan = compile_text(
        tmp_path,
        f"""
        jobs:
          {CLONE}
          A:
            needs: [CloneRepo]
            uses: container@v1
            with: {{image: x}}
            inputs: {{r: {{type: alias, with: {{ref: CloneRepo.outputs.repo}}}}}}
        """,
    )

    assert plan.task("A").inputs == (TaskInput("r", "volume", UpstreamOutput("CloneRepo", "repo")),)


def test_s4_2_a_volume_among_the_inputs_of_a_checkout_is_shared(tmp_path: Path) -> None:
    """The first form of the format: the same name means the same volume, filled by the nearest checkout before."""
    path = make_project(
        tmp_path,
        """
        jobs:
          Clone:
            uses: git-checkout@v1
            with: {url: "https://example.com/x", path: /inputs/repo/sub}
            inputs: {repo: {type: volume}}
          Mid: {needs: [Clone], uses: container@v1, with: {image: x}}
          Use: {needs: [Mid], uses: container@v1, with: {image: x}, inputs: {repo: {type: volume}}}
        """,
    )

    plan, warnings = compile_file(path, tmp_path)

    assert plan.task("Clone").outputs == (TaskOutput("repo", "volume"),)
    assert plan.task("Clone").parameters["path"] == "/outputs/repo/sub"
    assert plan.task("Use").inputs == (TaskInput("repo", "volume", UpstreamOutput("Clone", "repo")),)
    assert len(warnings) == 2


def test_s5_the_context_is_the_repository_around_the_file(tmp_path: Path) -> None:
    """Its folder, and the commit that it is at."""
    repository = Repository(tmp_path / "project")
    commit = repository.commit(a_txt="a")

    task = compile_text(
        repository.folder,
        """
        jobs:
          Clone:
            uses: git-checkout@v1
            with: {url: context.event.github.url, ref: context.event.github.ref}
            outputs: {repo: {type: volume}}
        """,
    ).task("Clone")

    assert task.parameters == {"work-tree": str(repository.folder), "ref": commit, "path": "/outputs/repo"}


def test_s5_a_run_needs_a_repository_around_the_file(tmp_path: Path) -> None:
    """Where the file says nothing under `context:`."""
    assert subprocess.run(["git", "-C", tmp_path, "rev-parse"], capture_output=True, check=False).returncode

    text = problems_of(
        tmp_path,
        "jobs: {A: {uses: git-checkout@v1, with: {url: context.event.github.url}, outputs: {r: {type: volume}}}}",
    )

    assert text.splitlines()[0] == (
        "error: job `A`: `context.event.github.url` is about the git repository around this file, and there is none"
    )


def test_s7_unknown_parameters_are_ignored_with_a_warning(tmp_path: Path) -> None:
    """As the service tolerated them."""
    workflow = "jobs: {A: {uses: container@v1, with: {image: x, dockerfile: D}}}"

    assert warnings_of(tmp_path, workflow) == ["job `A`: `container@v1` ignores `dockerfile`"]


def test_s2_accounts_of_registries_keep_their_order(tmp_path: Path) -> None:
    """The one that a job names comes first."""
    plan = compile_text(
        tmp_path,
        """
        defaults: {resources: {container-registries: [one, two, one]}}
        jobs:
          A: {uses: container@v1, with: {image: x}}
          B: {uses: script@v1, with: {image: x, script: ls, containerRegistry: two}}
        """,
    )

    assert [plan.task(name).accounts for name in "AB"] == [("one", "two"), ("two", "one")]


def test_s4_2_a_volume_of_scripts_is_shared(tmp_path: Path) -> None:
    """Nobody's output, and an input of several; what they do to it nothing may stand for, in any mode."""
    text = "inputs: {work: {type: volume}}, uses: script@v1, with: {image: x, script: ls}"
    path = make_project(
        tmp_path, f"jobs: {{A: {{{text}, outputs: {{o: {{type: volume}}}}}}, B: {{needs: [A], {text}}}}}"
    )

    plan, warnings = compile_file(path, tmp_path)

    for task in (*plan.tasks, *plan.with_inputs_mode("ro").tasks):
        assert task.inputs == (TaskInput("work", "volume", SharedVolume("work")),)
        assert (task.inputs_mode, task.reuse) == ("shared", False)
    assert [each.message for each in warnings] == ["the volume `work` is one that all jobs of the run share"] * 2


@pytest.mark.parametrize("where", ["env: {X: '${{ a }}'}", "with: {image: x, args: ['${{ a }}']}"])
def test_s16_expressions_are_found_everywhere(tmp_path: Path, where: str) -> None:
    """In `env`, and deep in `with`."""
    rest = "" if where.startswith("with") else "with: {image: x}, "

    text = problems_of(tmp_path, f"jobs: {{A: {{uses: container@v1, {rest}{where}}}}}")

    assert text.splitlines()[0] == "error: job `A`: `${{ }}` means nothing in this format"
