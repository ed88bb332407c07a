"""`strategy: {matrix: ...}`: what a job becomes, and what is refused. The texts of refusals are in docs/errors.md."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Project, job, once_started
from tests.projects import compile_text, problems_of
from wf.cli import main
from wf.events import Event, JobFinished
from wf.plan import GatheredOutput, MatrixMember, UpstreamOutput

TRAIN = """
jobs:
  Train:
    uses: container@v1
    strategy:
      matrix: {MATRIX}
    with: {image: x, args: [--model, matrix.model]}
    outputs: {model: {type: volume}}
"""


def members(folder: Path, matrix: str, **settings: str) -> list[str]:
    """The ids of the jobs that a matrix makes."""
    inputs = "inputs: {models: {type: string, optional: true}}\n"
    plan = compile_text(folder, inputs + TRAIN.replace("{MATRIX}", matrix), **settings)
    return [task.id for task in plan.tasks]


@pytest.mark.parametrize(
    ("matrix", "names"),
    [
        ("{model: [bias, mf]}", ["Train (bias)", "Train (mf)"]),
        ("{model: [bias, mf], n: [1, 2]}", ["Train (bias, 1)", "Train (bias, 2)", "Train (mf, 1)", "Train (mf, 2)"]),
        (
            "{model: [bias, mf], n: [1, 2], exclude: [{model: mf, n: 2}]}",
            ["Train (bias, 1)", "Train (bias, 2)", "Train (mf, 1)"],
        ),
        ("{model: [bias, mf], n: [1, 2], exclude: [{n: 2}]}", ["Train (bias, 1)", "Train (mf, 1)"]),
        ("{model: [bias], n: [1], include: [{model: mf, n: 9}]}", ["Train (bias, 1)", "Train (mf, 9)"]),
        ("{include: [{model: bias, n: 1}, {model: mf, n: 20}]}", ["Train (bias, 1)", "Train (mf, 20)"]),
        ("{model: [a/b, '..', 0.10, true]}", ["Train (model-1)", "Train (model-2)", "Train (0.10)", "Train (true)"]),
        ("{model: [a/b, model-1]}", ["Train (#1)", "Train (#2)"]),
    ],
)
def test_a_matrix_makes_a_job_for_each_combination(tmp_path: Path, matrix: str, names: list[str]) -> None:
    """Named by its values, or by places where a value cannot stand in a name."""
    assert members(tmp_path, matrix) == names


def test_values_can_come_from_outside(tmp_path: Path) -> None:
    """A list, as an input of the workflow."""
    assert members(tmp_path, "{model: workflow.inputs.models}", models="[bias, 2]") == ["Train (bias)", "Train (2)"]


def test_values_stand_wherever_they_are_named(tmp_path: Path) -> None:
    """As text as it is written in env, and with their types under `with` and `resources`."""
    plan = compile_text(
        tmp_path,
        """
        jobs:
          Train:
            uses: ./steps/train
            needs: [Split]
            strategy: {matrix: {epochs: [1, 2], rate: [0.10]}}
            with: {epochs: matrix.epochs, learning_rate: matrix.rate}
            env: {RATE: matrix.rate}
            resources: {gpus: matrix.epochs}
            inputs: {split: Split.outputs.split}
            outputs: {model: {type: volume}}
          Split: {uses: script@v1, with: {image: x, script: "true"}, outputs: {split: {type: volume}}}
        """,
    )

    task = plan.task("Train (2, 0.10)")
    assert task.parameters["epochs"] == 2
    assert task.parameters["learning_rate"] == 0.1
    assert task.env == {"RATE": "0.10"}
    assert task.resources.gpus == 2
    assert task.member == MatrixMember("Train", {"epochs": 2, "rate": 0.1})


CHAIN = """
jobs:
  Train:
    uses: script@v1
    strategy: &each
      matrix: {model: [bias, mf]}
      fail-fast: false
      max-parallel: 1
    with: {image: x, script: "true"}
    outputs: {model: {type: volume}, name: {type: string}}
  Test:
    needs: [Train]
    uses: script@v1
    strategy: *each
    with: {image: x, script: "true"}
    inputs: {model: Train.outputs.model}
    outputs: {report: {type: string}}
  Compare:
    needs: [Test]
    uses: script@v1
    with: {image: x, script: "true"}
    inputs: {reports: Test.outputs.report, models: Train.outputs.model}
"""


def test_jobs_that_are_alike_meet_one_to_one_and_others_get_all(tmp_path: Path) -> None:
    """A member waits for its counterpart alone; a job without a matrix for all members, whose outputs are gathered."""
    plan = compile_text(tmp_path, CHAIN)

    test, compare = plan.task("Test (mf)"), plan.task("Compare")
    assert test.needs == ("Train (mf)",)
    assert test.inputs[0].source == UpstreamOutput("Train (mf)", "model")
    assert test.member == MatrixMember("Test", {"model": "mf"}, 1, fail_fast=False)
    assert compare.needs == ("Test (bias)", "Test (mf)")
    assert [(each.type, each.source) for each in compare.inputs] == [
        ("volume", GatheredOutput("Test", "report", (("Test (bias)", "bias"), ("Test (mf)", "mf")))),
        ("volume", GatheredOutput("Train", "model", (("Train (bias)", "bias"), ("Train (mf)", "mf")))),
    ]


def test_datasets_can_be_named_by_the_matrix(tmp_path: Path) -> None:
    """Each member writes its own."""
    plan = compile_text(
        tmp_path,
        """
        jobs:
          Train:
            uses: container@v1
            strategy: {matrix: {include: [{model: a, to: model-a}, {model: b, to: model-b}]}}
            with: {image: x}
            outputs: {model: {type: dataset, with: {ref: matrix.to}}}
        """,
    )

    assert [task.outputs[0].dataset for task in plan.tasks] == ["model-a", "model-b"]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("[1]", "a matrix is a mapping from names to lists of values"),
        ("{}", "a matrix is a mapping from names to lists of values"),
        ("{model: []}", "the values of `model` must be a list"),
        ("{model: [[1]]}", "a value of `model` must be text, a number or a truth value"),
        ("{model: [null]}", "a value of `model` must be text, a number or a truth value"),
        ("{model: [a, a]}", "the matrix has the combination `model: a` twice"),
        ("{model: [a], exclude: [{model: a}]}", "the matrix has no combinations"),
        ("{model: [a], include: [{n: 1}]}", "this combination must give `model`"),
        ("{model: [a], include: {n: 1}}", "`include` is a list of combinations"),
        ("{model: workflow.inputs.models}", "the matrix needs a value for the input `models`"),
        (f"{{model: {list(range(300))}}}", "300 combinations are too many: there may be 256"),
        ("{'a b': [1]}", "`a b` cannot name a variable of a matrix: use letters, digits, `-` and `_`"),
    ],
)
def test_what_is_no_matrix_is_refused(tmp_path: Path, matrix: str, message: str) -> None:
    """With one error, which says what it should be."""
    text = problems_of(
        tmp_path, f"jobs: {{A: {{uses: container@v1, with: {{image: x}}, strategy: {{matrix: {matrix}}}}}}}"
    )

    assert text.count("error:") == 1
    assert message in text


def test_a_matrix_cannot_exhaust_memory(tmp_path: Path) -> None:
    """What a few lines become, written out, is counted."""
    big = ", ".join(["x"] * 30_000)
    strategy = f"{{matrix: {{n: {list(range(200))}}}}}"
    job = f"{{uses: container@v1, with: {{image: x, args: [{big}]}}, strategy: {strategy}}}"

    text = problems_of(tmp_path, f"jobs: {{A: {job}}}")

    assert text.startswith("error: job `A`: written out, the matrix makes the workflow too big\n")


def member(value: int, **settings: object) -> MatrixMember:
    """One of the members of `t`."""
    return MatrixMember("t", {"n": value}, **settings)  # type: ignore[arg-type]


def test_no_more_than_max_parallel_run_at_once(tmp_path: Path) -> None:
    """While other jobs use the room that is left."""
    project = Project(tmp_path)
    other_runs = threading.Event()
    jobs: dict[str, Any] = {
        f"t{n}": job(does=lambda _: int(not other_runs.wait(60)), sleep=0.1, member=member(n, max_parallel=1))
        for n in range(3)
    }
    project.emit = once_started("other", other_runs.set)

    project.run("t0, t1, t2, other", **jobs, other=job(sleep=0.25))

    assert sorted(project.starts_and_ends()[:2]) == ["+other", "+t0"]
    assert project.backend.most_at_once == 2


def test_a_failed_member_ends_the_others(tmp_path: Path) -> None:
    """Those that run are stopped, those that wait are skipped; what has to do with none of them goes on."""
    project, t1_runs, all_ended = Project(tmp_path), threading.Event(), threading.Event()
    jobs: dict[str, Any] = {
        "t0": job(does=lambda _: int(t1_runs.wait(60)), member=member(0)),
        "t1": job(sleep=300, member=member(1)),
        "t2": job(member=member(2)),
        "other": job(does=lambda _: int(not all_ended.wait(60))),
    }

    def listen(event: Event) -> None:
        once_started("t1", t1_runs.set)(event)
        if isinstance(event, JobFinished) and event.job == "after":
            all_ended.set()

    project.emit = listen

    result = project.run("t0, t1, t2, t1 -> after, other", at_once=2, **jobs)

    assert result.state == "failed"
    assert project.story() == [
        "t0 failed: exited with code 1",
        "t2 skipped: `t0` failed, and its matrix is fail-fast",
        "t1 cancelled: `t0` failed, and its matrix is fail-fast",
        "after skipped: it needs `t1`, which was stopped",
        "other succeeded",
    ]


def test_a_failed_member_may_leave_the_others_alone(tmp_path: Path) -> None:
    """With `fail-fast: false`."""
    project = Project(tmp_path)
    jobs: dict[str, Any] = {
        "t0": job(exit=1, member=member(0, fail_fast=False)),
        "t1": job(member=member(1, fail_fast=False)),
    }

    project.run("t0, t1", at_once=1, **jobs)

    assert project.story() == ["t0 failed: exited with code 1", "t1 succeeded"]


@pytest.mark.docker
def test_outputs_of_all_members_lie_in_one_folder(
    base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders and files, with an index; `wf logs` takes the job's name, a member's, and one that is easy to type."""
    compile_text(
        tmp_path,
        f"""
        jobs:
          Train:
            uses: script@v1
            strategy: {{matrix: {{model: [bias, mf], n: [1]}}}}
            env: {{MODEL: matrix.model}}
            with:
              image: {base_image}
              script: echo "model $MODEL" | tee /outputs/model/name > /outputs/text; echo "made $MODEL"
            outputs: {{model: {{type: volume}}, text: {{type: string}}}}
          Compare:
            needs: [Train]
            uses: script@v1
            with:
              image: {base_image}
              script: |-
                cd /inputs && cat models/*/name texts/bias,1 && touch models/mf,1/mine
                cp models/index.json /outputs/index
            inputs: {{models: Train.outputs.model, texts: Train.outputs.text}}
            outputs: {{index: {{type: string}}}}
        """,
    )
    monkeypatch.chdir(tmp_path)

    assert main(["run", "workflow.yaml", "--backend", "docker"]) == 0
    assert json.loads((tmp_path / ".wf/runs/1/outputs/Compare/index").read_text()) == [
        {"name": "bias,1", "job": "Train (bias, 1)", "matrix": {"model": "bias", "n": 1}},
        {"name": "mf,1", "job": "Train (mf, 1)", "matrix": {"model": "mf", "n": 1}},
    ]
    capsys.readouterr()
    main(["logs", "1", "Compare"])
    main(["logs", "1", "train"])
    main(["logs", "1", "Train (mf, 1)"])
    main(["logs", "1", "train-mf-1"])
    assert capsys.readouterr().out.splitlines() == [
        "model bias",
        "model mf",
        "model bias",
        "Train (bias, 1) | made bias",
        "Train (mf, 1)   | made mf",
        "made mf",
        "made mf",
    ]
    assert main(["run", "workflow.yaml", "--backend", "docker", "--force", "Train"]) == 0
    assert "cached from run 1" in capsys.readouterr().out
