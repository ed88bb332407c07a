"""What the documents say is true: their examples run here."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from steps import STEPS
from tests.commands.test_run import Small
from tests.projects import REPOSITORY, compile_text, make_project
from wf.cli import COMMANDS, main
from wf.compile import compile_file
from wf.picture import svg
from wf.spec import CacheSpec, Job, ResourcesSpec, Workflow

_ERRORS = (REPOSITORY / "docs" / "errors.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```\n\n```text\n(.*?)```", _ERRORS, flags=re.DOTALL)


@pytest.mark.parametrize(("workflow", "printed"), EXAMPLES)
def test_errors_are_printed_as_the_document_says(
    workflow: str,
    printed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """docs/errors.md shows what `wf validate` prints, to the letter."""
    make_project(tmp_path, workflow)
    monkeypatch.chdir(tmp_path)

    exit_code = main(["validate", "workflow.yaml"])

    out, err = capsys.readouterr()
    assert (out + err).replace(str(tmp_path), "/home/me/project").strip() == printed.strip()
    assert exit_code == (2 if "error:" in printed else 0)


def test_the_document_has_every_kind_of_error() -> None:
    """At least twenty."""
    assert len(EXAMPLES) >= 20
    assert _ERRORS.count("```yaml") == len(EXAMPLES)


_SYNTAX = (REPOSITORY / "docs" / "syntax.md").read_text()


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", _SYNTAX, flags=re.DOTALL))
def test_examples_of_the_syntax_are_valid(example: str, tmp_path: Path) -> None:
    """Each example of docs/syntax.md compiles without a warning."""
    whole = example if "jobs:" in example else example + "jobs: {A: {uses: container@v1, with: {image: x}}}\n"

    assert compile_text(tmp_path, whole).tasks


def test_the_syntax_names_every_key() -> None:
    """No key of a workflow or a job is missing from docs/syntax.md."""
    keys = [
        info.alias or name
        for model in (Workflow, Job, ResourcesSpec, CacheSpec)
        for name, info in model.model_fields.items()
    ]

    assert [key for key in keys if f"`{key}`" not in _SYNTAX] == []


_README = (REPOSITORY / "README.md").read_text()


def _shell_lines(text: str) -> list[list[str]]:
    """The commands of a document, each as its words."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.mark.parametrize("words", _shell_lines(_README), ids=" ".join)
def test_commands_of_the_readme_are_real(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets of make exist; what only looks is run; what runs a workflow is planned with the same inputs."""
    if words[0] == "make":
        assert (
            subprocess.run(["make", "-n", words[1]], cwd=REPOSITORY, capture_output=True, check=False).returncode == 0
        )
        return
    if words[0] == "curl":
        return  # tests/test_train_workflow.py asks what it has deployed
    assert words[0] == ".venv/bin/wf"
    if words[1] in ("resume", "fsck", "runs", "show", "logs", "why", "diff", "gc", "artifacts"):
        return  # tests/commands/ runs them after a run
    shutil.copytree(REPOSITORY / "workflows", tmp_path / "workflows")
    make_project(tmp_path, "jobs: {}")
    (tmp_path / "my-ratings.csv").touch()
    monkeypatch.chdir(tmp_path)

    assert main(["plan" if word == "run" else word for word in words[1:]]) in (0, 3)


@pytest.mark.docker
def test_the_workflow_of_the_readme_runs(
    base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In Docker, with the base image of this machine in place of the one that is named."""
    (workflow,) = re.findall(r"```yaml\n(.*?)```", _README, flags=re.DOTALL)
    make_project(tmp_path, workflow.replace("python:3.11-slim-bookworm", base_image))
    monkeypatch.chdir(tmp_path)

    assert main(["run", "workflow.yaml", "--backend", "docker"]) == 0
    assert re.search(r"Tell │ It is a [1-6]\n", capsys.readouterr().out)


def test_the_error_in_the_readme_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the letter."""
    make_project(tmp_path, "jobs:\n  Train:\n    uses: ./steps/train\n    neds: [Split]\n")
    monkeypatch.chdir(tmp_path)
    (shown,) = re.findall(r"```text\n(.*?)```", _README, flags=re.DOTALL)

    main(["validate", "workflow.yaml"])

    assert capsys.readouterr().err.split("\n\n")[0] == shown.strip()


@pytest.mark.parametrize("path", [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))], ids=str)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link of a document names a file of the project."""
    prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", prose)

    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_picture_in_the_readme_is_the_workflows() -> None:
    """docs/train-model.svg is what `wf graph` draws today."""
    plan, _ = compile_file(REPOSITORY / "workflows" / "train-model.yaml", REPOSITORY)

    assert (REPOSITORY / "docs" / "train-model.svg").read_text() == svg(plan)


def test_every_command_is_in_the_readme_or_the_syntax() -> None:
    """No command stays a secret."""
    names = [name for group in COMMANDS.values() for name in group]

    assert [name for name in names if f"wf {name}" not in _README + _SYNTAX] == []


_HISTORY = (REPOSITORY / "docs" / "history.md").read_text()


def _plainly(text: str) -> list[str]:
    """Lines without what differs from run to run: times, names of versions, and the widths of columns."""
    text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?|\b\d\d:\d\d:\d\d\b", "TIME", text)
    text = re.sub(r"\b\d+(\.\d+)? m?s\b", "SOME s", text)
    return [" ".join(line.split()) for line in re.sub(r"words:\w{7}\b", "words:VERSION", text).strip().splitlines()]


def test_the_history_is_as_its_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command of docs/history.md, run in order: what is printed begins as the document says."""
    small = Small(tmp_path)
    (workflow,) = re.findall(r"```yaml\n(.*?)```", _HISTORY, flags=re.DOTALL)
    (small.folder / "say.yaml").write_text(workflow)
    monkeypatch.chdir(small.folder)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    for words in ([], ["--set", "word=no"], ["--set", "word=good"]):
        main(["run", "say.yaml", *words])
    capsys.readouterr()

    for block in re.findall(r"```console\n(.*?)```", _HISTORY, flags=re.DOTALL):
        for command, shown in re.findall(r"^\$ wf ([^\n]*)\n(.*?)(?=^\$ |\Z)", block, flags=re.DOTALL | re.MULTILINE):
            main(shlex.split(command))
            printed, wanted = _plainly(capsys.readouterr().out), _plainly(shown)
            assert printed[: len(wanted)] == wanted, command


def test_every_step_and_setting_is_documented() -> None:
    """containers/README.md names the keys of wf.toml but one, docs/recommender.md the steps."""
    containers = (REPOSITORY / "containers" / "README.md").read_text()
    recommender = (REPOSITORY / "docs" / "recommender.md").read_text()

    keys = ("base-images", "base-bootstrap", "build-args", "ca-bundle", "[images]")
    assert [key for key in keys if key not in containers] == []
    assert "`log-limit` under `[run]`" in _SYNTAX
    assert [step for step in STEPS if f"`{step}`" not in recommender] == []
