"""`wf graph`. The pictures themselves are tested in tests/test_graph.py."""

from pathlib import Path

import pytest

from tests.projects import REPOSITORY
from wf.cli import main

TRAIN = str(REPOSITORY / "workflows" / "train-model.yaml")


def test_mermaid_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Text that a Markdown file can hold."""
    assert main(["graph", TRAIN]) == 0
    assert capsys.readouterr().out.startswith("flowchart LR\n")


def test_the_name_of_the_file_decides_the_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`-o picture.svg` writes an SVG."""
    picture = tmp_path / "picture.svg"

    assert main(["graph", TRAIN, "-o", str(picture)]) == 0

    assert picture.read_text().startswith("<svg ")
    assert capsys.readouterr().out == f"wrote {picture}\n"
