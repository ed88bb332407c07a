"""Workflow -> Plan: what is merged, resolved and refused. The texts of refusals are tested with docs/errors.md."""

import shutil
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from tests.projects import REPOSITORY, compile_text, make_project, problems_of
from wf.compile import compile_file
from wf.errors import InvalidWorkflow
from wf.plan import DatasetRef, LocalFile, ProjectImage, RegistryImage, SecretRef, Text, UpstreamOutput

INGEST = "Ingest: {uses: ./steps/ingest, outputs: {ratings: {type: volume}}}"


def test_a_script_runs_in_bash_over_the_entrypoint(tmp_path: Path) -> None:
    """The script is one argument, as it is written."""
    task = compile_text(
        tmp_path,
        """
        jobs:
          Hello:
            uses: script@v1
            with:
              image: bash:5
              script: |-
                cd /inputs
                echo "$HOME"
        """,
    ).task("Hello")

    assert task.image == RegistryImage("bash:5")
    assert task.entrypoint == ("bash",)
    assert task.command == ("-c", 'cd /inputs\necho "$HOME"')
    assert task.network
    assert not task.is_step


@pytest.mark.parametrize(
    ("parameters", "entrypoint", "command"),
    [
        ("image: x", None, ()),
        ("image: x, args: [a, b]", None, ("a", "b")),
        ("image: x, command: bash, args: [-c, ls]", ("bash",), ("-c", "ls")),
        ("image: x, command: [python, run.py]", ("python", "run.py"), ()),
    ],
)
def test_args_replace_the_command_and_command_the_entrypoint(
    tmp_path: Path, parameters: str, entrypoint: tuple[str, ...] | None, command: tuple[str, ...]
) -> None:
    """What is left out keeps what the image says."""
    task = compile_text(tmp_path, f"jobs: {{A: {{uses: container@v1, with: {{{parameters}}}}}}}").task("A")

    assert (task.entrypoint, task.command) == (entrypoint, command)


def test_a_step_becomes_a_python_program_in_the_project_image(tmp_path: Path) -> None:
    """Only what the workflow sets is on the command line; the record holds every parameter."""
    task = compile_text(
        tmp_path, "jobs: {Ingest: {uses: ./steps/ingest, with: {dataset: ml-1m}, outputs: {ratings: {type: volume}}}}"
    ).task("Ingest")

    assert task.image == ProjectImage("train", tmp_path / "containers" / "train")
    assert task.entrypoint == ("python",)
    assert task.command == ("-m", "steps.ingest", "--with", '{"dataset": "ml-1m"}')
    assert task.is_step
    assert len(task.parameters) > 1


def test_defaults_yield_to_what_a_job_says(tmp_path: Path) -> None:
    """Environment and resources are merged key by key."""
    plan = compile_text(
        tmp_path,
        """
        defaults:
          env: {CITY: Berlin, YEAR: "2021"}
          resources: {instance-type: C5, memory: 2GiB}
        jobs:
          A:
            uses: container@v1
            with: {image: x}
            env: {CITY: Paris}
            resources: {instance-type: P4000, cpus: 1.5}
            timeout: 60
          B: {uses: container@v1, with: {image: x}}
        """,
    )

    first, second = plan.task("A"), plan.task("B")
    assert first.env == {"CITY": "Paris", "YEAR": "2021"}
    assert (first.resources.instance_type, first.resources.cpus, first.resources.memory) == ("P4000", 1.5, 2 * 2**30)
    assert first.timeout == 60
    assert second.env == {"CITY": "Berlin", "YEAR": "2021"}
    assert second.resources.instance_type == "C5"


@pytest.mark.parametrize(
    ("written", "seconds"), [("60", 60), ("0.5", 0.5), ("90s", 90), ("1.5 h", 5400), ("2d", 172800), ("1w", 604800)]
)
def test_a_timeout_may_have_a_unit(tmp_path: Path, written: str, seconds: float) -> None:
    """Seconds are meant where none is named."""
    plan = compile_text(tmp_path, f"jobs: {{A: {{uses: container@v1, with: {{image: x}}, timeout: {written}}}}}")

    assert plan.task("A").timeout == seconds


def test_secrets_are_kept_as_names(tmp_path: Path) -> None:
    """A variable is either plain or secret; the job's word replaces the default."""
    task = compile_text(
        tmp_path,
        """
        defaults: {env: {KEY: plain, TOKEN: "secret:TOKEN", COMET_API_KEY: "secret:COMET_API_KEY?"}}
        jobs: {A: {uses: container@v1, with: {image: x}, env: {KEY: "secret:KEY", TOKEN: none}}}
        """,
    ).task("A")

    assert task.env == {"TOKEN": "none"}
    assert task.secrets == {"COMET_API_KEY": SecretRef("COMET_API_KEY", optional=True), "KEY": SecretRef("KEY")}


def test_workflow_inputs_reach_parameters_as_whole_values(tmp_path: Path) -> None:
    """A setting replaces the default, and the step's model reads the text."""
    workflow = """
        inputs:
          epochs: {type: string, with: {value: 5}}
          rate: {type: string, with: {value: "0.1"}}
          layers: {type: string, with: {value: "64,32"}}
        jobs:
          Split: {uses: script@v1, with: {image: x, script: "true"}, outputs: {split: {type: volume}}}
          Train:
            needs: [Split]
            uses: ./steps/train
            with: {epochs: workflow.inputs.epochs, learning_rate: workflow.inputs.rate, layers: workflow.inputs.layers}
            inputs: {split: Split.outputs.split}
            outputs: {model: {type: volume}}
        """

    plan = compile_text(tmp_path, workflow, rate="0.5")

    parameters = plan.task("Train").parameters
    assert (parameters["epochs"], parameters["learning_rate"], parameters["layers"]) == (5, 0.5, [64, 32])
    assert plan.inputs == {"epochs": "5", "rate": "0.5", "layers": "64,32"}


def test_an_optional_input_without_a_value_leaves_the_parameter_to_its_default(tmp_path: Path) -> None:
    """Nothing is passed on, so the step's own default holds."""
    plan = compile_text(
        tmp_path,
        """
        inputs: {path: {type: string, optional: true}}
        jobs:
          Ingest: {uses: ./steps/ingest, with: {path: workflow.inputs.path}, outputs: {ratings: {type: volume}}}
        """,
    )

    assert plan.task("Ingest").command[-1] == "{}"


def test_a_path_parameter_becomes_a_local_file(tmp_path: Path) -> None:
    """It is found from the project's folder, and known to the backend by its parameter."""
    (tmp_path / "ratings.csv").write_text("user_id,item_id,rating,timestamp\n")

    task = compile_text(
        tmp_path,
        "jobs: {Ingest: {uses: ./steps/ingest, with: {path: ratings.csv}, outputs: {ratings: {type: volume}}}}",
    ).task("Ingest")

    assert task.local_files == (LocalFile("path", tmp_path / "ratings.csv"),)


def test_inputs_know_where_they_come_from(tmp_path: Path) -> None:
    """Outputs of jobs, datasets, text: inline or through the workflow's inputs."""
    plan = compile_text(
        tmp_path,
        """
        inputs:
          data: {type: dataset, with: {ref: "team/ratings:latest"}}
          note: {type: string, with: {value: hello}}
        jobs:
          Make:
            uses: container@v1
            with: {image: x}
            outputs: {text: {type: string}, files: {type: volume}}
          Mid: {needs: [Make], uses: container@v1, with: {image: x}}
          Use:
            needs: [Mid]
            uses: container@v1
            with: {image: x}
            inputs:
              files: Make.outputs.files
              text: Make.outputs.text
              data: workflow.inputs.data
              note: workflow.inputs.note
              inline: {type: dataset, with: {ref: movies}}
              word: {type: string, with: {value: "42"}}
              spare: {type: dataset, optional: true}
        """,
    )

    assert {(port.name, port.type, port.source) for port in plan.task("Use").inputs} == {
        ("files", "volume", UpstreamOutput("Make", "files")),
        ("text", "string", UpstreamOutput("Make", "text")),
        ("data", "dataset", DatasetRef("team/ratings:latest")),
        ("note", "string", Text("hello")),
        ("inline", "dataset", DatasetRef("movies")),
        ("word", "string", Text("42")),
    }


def test_tasks_come_after_what_they_need(tmp_path: Path) -> None:
    """The order of the file does not matter."""
    plan = compile_text(
        tmp_path,
        """
        jobs:
          C: {needs: [B], uses: container@v1, with: {image: x}}
          B: {needs: [A], uses: container@v1, with: {image: x}}
          A: {uses: container@v1, with: {image: x}}
        """,
    )

    assert [task.id for task in plan.tasks] == ["A", "B", "C"]


def test_gpus_default_to_what_the_step_wants(tmp_path: Path) -> None:
    """`auto` for training, unless the job says otherwise."""
    workflow = """
        jobs:
          Split: {{uses: container@v1, with: {{image: x}}, outputs: {{split: {{type: volume}}}}}}
          Train:
            needs: [Split]
            uses: ./steps/train
            inputs: {{split: Split.outputs.split}}
            outputs: {{model: {{type: volume}}}}
            resources: {{{resources}}}
        """

    assert compile_text(tmp_path, workflow.format(resources="")).task("Train").resources.gpus == "auto"
    assert compile_text(tmp_path, workflow.format(resources="gpus: 0")).task("Train").resources.gpus == 0


def test_problems_of_all_jobs_come_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    """A job that does not fit the format does not hide the mistakes of the others."""
    text = problems_of(
        tmp_path,
        """
        jobs:
          A: {uses: container@v1, wiht: {image: x}}
          B: {needs: [A], uses: contaner@v1, inputs: {x: A.outputs.y}}
        """,
    )

    assert [line for line in text.splitlines() if line.startswith("error")] == [
        "error: job `A` has an unknown key `wiht`",
        "error: job `B`: unknown action `contaner@v1`",
    ]


def test_settings_for_unknown_inputs_are_refused(tmp_path: Path) -> None:
    """With the name that was probably meant."""
    workflow = "inputs: {epochs: {type: string, with: {value: 5}}}\njobs: {A: {uses: container@v1, with: {image: x}}}"

    assert problems_of(tmp_path, workflow, epoch="3") == (
        "error: the workflow has no input `epoch` to set\n  did you mean `epochs`?"
    )


def test_triggers_and_context_are_accepted(tmp_path: Path) -> None:
    """Files of the format keep them."""
    workflow = """
        on: {github: {branches: {only: main}}}
        context: {event: {github: {ref: abc, url: "https://example.com/x.git"}}}
        defaults: {clusterId: cl1, resources: {instance-type: C5, container-registries: [mine]}}
        jobs: {A: {uses: container@v1, with: {image: x}}}
        """

    assert [task.id for task in compile_text(tmp_path, workflow).tasks] == ["A"]


def test_ten_thousand_jobs_compile_quickly(tmp_path: Path) -> None:
    """Nothing grows with the square of the jobs: seconds of a CPU, whatever else the machine does."""
    jobs = "".join(
        f"  J{n}: {{needs: [{f'J{n - 1}' if n else ''}], uses: container@v1, with: {{image: x}}, "
        f"outputs: {{o: {{type: volume}}}}, inputs: {{{f'i: J{n - 1}.outputs.o' if n else ''}}}}}\n"
        for n in range(10_000)
    )
    path = make_project(tmp_path, f"jobs:\n{jobs}")
    started = time.process_time()

    plan, _ = compile_file(path, tmp_path)

    assert len(plan.tasks) == 10_000
    assert time.process_time() - started < 20


def test_an_empty_workflow_is_refused(tmp_path: Path) -> None:
    """There is nothing to run."""
    with pytest.raises(InvalidWorkflow, match="the workflow has no jobs"):
        compile_file(make_project(tmp_path, "jobs: {}\n"), tmp_path)


def test_steps_that_are_loaded_stay_loaded(tmp_path: Path) -> None:
    """The same steps in another folder, by a link, are not imported again: their classes stay the same."""
    from steps.entry import StepError

    compile_text(tmp_path, f"jobs: {{{INGEST}}}")

    assert sys.modules["steps.entry"].StepError is StepError


def test_every_success_makes_a_new_version(tmp_path: Path) -> None:
    """So `:latest` after the name of a dataset that is written adds nothing."""
    text = (
        "jobs: {A: {uses: container@v1, with: {image: x}, outputs: {d: {type: dataset, with: {ref: 'team/d:latest'}}}}}"
    )

    (output,) = compile_text(tmp_path, text).task("A").outputs

    assert output.dataset == "team/d"


def test_what_counts_for_reuse(tmp_path: Path) -> None:
    """A key of the workflow's, as text or from an input, and variables that do not count."""
    plan = compile_text(
        tmp_path,
        """
        inputs: {week: {type: string, with: {value: 48}}, d: {type: string, optional: true}}
        defaults: {env: {LOG: info}}
        jobs:
          A:
            uses: script@v1
            with: {image: x, script: y}
            env: {TOKEN: "secret:TOKEN"}
            outputs: {o: {type: string}}
            cache: {key: workflow.inputs.week, ignore-env: [LOG, TOKEN]}
          B: {uses: script@v1, with: {image: x, script: y}, outputs: {o: {type: string}}, cache: {key: "two words"}}
          C: {uses: container@v1, with: {image: x}, outputs: {o: {type: string}}, cache: {key: workflow.inputs.d}}
          D: {uses: script@v1, with: {image: x, script: y}, outputs: {o: {type: string}}, cache: true}
          E: {uses: script@v1, with: {image: x, script: y}, outputs: {o: {type: string}}, cache: false}
        """,
    )

    assert [(task.reuse, task.cache_key, sorted(task.ignored_env)) for task in plan.tasks] == [
        (True, "48", ["LOG", "TOKEN"]),
        (True, "two words", []),
        (True, "", []),
        (True, "", []),
        (False, "", []),
    ]


def test_a_step_whose_own_check_breaks_is_named(tmp_path: Path) -> None:
    """A validator is the step's own code: a bug in it is told where the job uses the step, without a traceback."""
    steps = tmp_path / "steps"
    steps.mkdir()
    shutil.copy(REPOSITORY / "steps" / "entry.py", steps)
    (steps / "__init__.py").write_text('STEPS = {"pick": "steps.pick"}')
    (steps / "pick.py").write_text(
        dedent(
            """
            from typing import Any

            from pydantic import model_validator

            from steps.entry import Step, StepInputs


            class Inputs(StepInputs):
                color: str = "red"

                @model_validator(mode="before")
                @classmethod
                def _known(cls, given: Any) -> Any:
                    return given if given["color"] in {"red", "blue"} else {}


            STEP = Step(name="pick", summary="Pick.", inputs=Inputs, reads={}, writes={})
            """
        )
    )

    assert problems_of(tmp_path, "jobs: {A: {uses: ./steps/pick, with: {color: [red]}}}") == dedent(
        """\
        error: job `A`: step `pick` cannot check its parameters: TypeError: unhashable type: 'list'
         --> workflow.yaml:1:38
          |
        1 | jobs: {A: {uses: ./steps/pick, with: {color: [red]}}}
          |                                      ^^^^^^^^^^^^^^"""
    )
