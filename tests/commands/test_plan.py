"""`wf plan`."""

import json
import re
from pathlib import Path

import pytest

from tests.commands.test_run import Small
from tests.projects import make_project
from wf.cli import main
from wf.store import Store

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
        "   runs    it has not run before\n"
        "   image   bash:5\n"
        "   with    image: bash:5\n"
        "           script: cat /inputs/word > /outputs/text\n"
        "   env     CITY=Berlin\n"
        "           TOKEN=secret:MY_TOKEN\n"
        "   input   word <- text 'bye'\n"
        "   output  text (string)\n"
        "           copy (dataset texts)\n"
        "   limits  cpus 0.5, memory 1.0 GiB, gpus auto, timeout 60 s\n"
        "\n"
        "2. Read  (container@v1)\n"
        "   runs    it leaves no outputs, so it runs for its effect\n"
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
    assert write["resources"] == {"cpus": 0.5, "memory": 2**30, "pids": None, "gpus": "auto", "instance-type": None}
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

    assert shown[5:8] == [
        "   with    dataset: ml-1m",
        f"           ({len(parameters) - 1} more at their defaults: wf steps ingest)",
        "   env     KEY=secret:KEY?",
    ]


def _expected(small: Small, *words: str) -> list[str]:
    """What `wf plan` expects of the jobs."""
    planned = small.wf("plan", "say.yaml", *words)
    assert (planned.code, planned.err) == (0, "")
    return [planned.out.splitlines()[0], *re.findall(r"^   ((?:runs|cached)  .*)", planned.out, flags=re.MULTILINE)]


def test_a_plan_says_what_is_done_already_and_why_the_rest_is_not(tmp_path: Path) -> None:
    """Through the jobs: what depends on one that runs cannot be known before. Nothing is recorded."""
    small = Small(tmp_path)
    small.wf("run", "say.yaml")

    assert _expected(small) == ["say.yaml: 2 jobs, 2 of them cached", "cached  from run 1", "cached  from run 1"]
    assert _expected(small, "--set", "word=hi") == [
        "say.yaml: 2 jobs",
        'runs    with.word "hello" -> "hi"',
        "runs    depends on what `First` makes",
    ]
    assert _expected(small, "--force", "Second")[1:] == ["cached  from run 1", "runs    forced"]
    (tmp_path / "steps" / "say.py").write_text((tmp_path / "steps" / "say.py").read_text() + "# later\n")
    assert _expected(small)[1:] == [
        "runs    steps/say.py changed",
        "runs    steps/say.py changed; depends on what `First` makes",
    ]
    assert [run["id"] for run in json.loads(small.wf("runs", "--json").out)] == [1]


def test_a_plan_of_a_failed_job_says_so(tmp_path: Path) -> None:
    """With the number of the run."""
    small = Small(tmp_path)
    small.wf("run", "say.yaml", "--set", "word=no")

    assert _expected(small, "--set", "word=no")[1:] == ["runs    it failed in run 1", "runs    it has not run before"]


def test_a_plan_says_what_an_if_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first run from inputs alone, later also from what is done."""
    workflow = """
        inputs: {ask: {type: string, with: {value: no}}}
        jobs:
          First: {uses: script@v1, with: {image: x, script: "true"}}
          Asked: {needs: [First], if: workflow.inputs.ask == yes, uses: script@v1, with: {image: x, script: "true"}}
          After: {needs: [Asked], uses: script@v1, with: {image: x, script: "true"}}
          Repair: {needs: [First], if: failure(), uses: script@v1, with: {image: x, script: "true"}}
        """
    make_project(tmp_path, workflow)
    monkeypatch.chdir(tmp_path)

    for is_first in (True, False):
        assert main(["plan", "workflow.yaml"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "workflow.yaml: 4 jobs, 2 of them skipped"
        assert [line.strip() for line in lines if re.match("   (runs|skipped|perhaps)", line)] == [
            "runs    it leaves no outputs, so it runs for its effect",
            "skipped `workflow.inputs.ask == yes` does not hold: it is `no`",
            "perhaps only if a job before it fails; then it runs: it leaves no outputs, so it runs for its effect",
            "skipped it needs `Asked`, which is skipped",
        ]
        if is_first:
            Store.open(tmp_path).close()
