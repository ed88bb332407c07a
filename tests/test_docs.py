"""What the documents say is true: their examples run here."""

import re
from pathlib import Path

import pytest

from tests.projects import REPOSITORY, compile_text, make_project
from wf.cli import main
from wf.spec import Job, ResourcesSpec, Workflow

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
    keys = [info.alias or name for model in (Workflow, Job, ResourcesSpec) for name, info in model.model_fields.items()]

    assert [key for key in keys if f"`{key}`" not in _SYNTAX] == []
