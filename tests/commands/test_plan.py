"""`wf plan`."""

import json
from pathlib import Path

import pytest

from tests.projects import make_project
from wf.cli import main

WORKFLOW = """
    inputs: {word: {type: string, with: {value: hello}}}
    jobs:
      Write:
        uses: script@v1
        with: {image: "bash:5", script: "cat /inputs/word > /outputs/text"}
        env: {TOKEN: "secret:MY_TOKEN", CITY: Berlin}
        inputs: {word: workflow.inputs.word}
        outputs: {text: {type: string}, copy: {type: dataset, with: {ref: texts}}}
        resources: {memory: 1GiB, cpus: 0.5, gpus: auto}
        timeout: 60
      Read:
        needs: [Write]
        uses: container@v1
        with: {image: "bash:5", args: [cat, /inputs/text]}
        inputs: {text: Write.outputs.text, old: {type: dataset, with: {ref: "texts:latest"}}}
    """


def test_a_plan_shows_everything_that_was_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole text, secrets by name only."""
    make_project(tmp_path, WORKFLOW)
    monkeypatch.chdir(tmp_path)

    assert main(["plan", "workflow.yaml", "--set", "word=bye"]) == 0

    assert capsys.readouterr().out == (
        "workflow.yaml: 2 jobs\n"
        "inputs  word=bye\n"
        "\n"
        "1. Write  (script@v1)\n"
        "   image   bash:5\n"
        "   with    image: bash:5\n"
        "           script: cat /inputs/word > /outputs/text\n"
        "   env     CITY=Berlin\n"
        "           TOKEN=secret:MY_TOKEN\n"
        "   input   word <- text 'bye'\n"
        "   output  text (string)\n"
        "           copy (dataset texts)\n"
        "   limits  cpus 0.5, memory 1 GiB, gpus auto, timeout 60 s\n"
        "\n"
        "2. Read  (container@v1)\n"
        "   image   bash:5\n"
        "   needs   Write\n"
        "   with    image: bash:5\n"
        "           args: ['cat', '/inputs/text']\n"
        "   input   text <- Write.outputs.text\n"
        "           old <- dataset texts:latest\n"
    )


def test_a_plan_as_json_has_the_same_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs."""
    assert main(["plan", str(make_project(tmp_path, WORKFLOW)), "--json"]) == 0

    plan = json.loads(capsys.readouterr().out)
    write, read = plan["jobs"]
    assert plan["inputs"] == {"word": "hello"}
    assert write["secrets"] == {"TOKEN": "MY_TOKEN"}
    assert write["resources"] == {"cpus": 0.5, "memory": 2**30, "gpus": "auto", "instance-type": None}
    assert read["inputs"]["text"] == {"type": "string", "from": "Write.outputs.text"}


def test_warnings_go_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that the plan can be read by programs."""
    path = make_project(tmp_path, "jobs: {A: {uses: container@v1, with: {image: x}, env: {N: 5}}}")

    assert main(["plan", str(path), "--json"]) == 0

    out, err = capsys.readouterr()
    assert json.loads(out)["jobs"][0]["env"] == {"N": "5"}
    assert err.startswith("warning: `N` is read as the text `5`: put it in quotes\n")


def test_parameters_at_their_defaults_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what the workflow sets is shown; JSON has all."""
    path = make_project(
        tmp_path,
        "jobs: {Ingest: {uses: ./steps/ingest, with: {dataset: ml-1m}, env: {KEY: 'secret:KEY?'}, "
        "outputs: {ratings: {type: volume}}}}",
    )

    assert main(["plan", str(path)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert main(["plan", str(path), "--json"]) == 0
    parameters = json.loads(capsys.readouterr().out)["jobs"][0]["with"]

    assert shown[4:7] == [
        "   with    dataset: ml-1m",
        f"           ({len(parameters) - 1} more at their defaults: wf steps ingest)",
        "   env     KEY=secret:KEY?",
    ]
