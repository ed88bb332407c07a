"""Every command of docs/datasets.md runs here, one after the other, and prints what the document says."""

import re
import shlex
from pathlib import Path

import pytest

from tests.projects import REPOSITORY
from wf.cli import main
from wf.store import Store

_TEXT = (REPOSITORY / "docs" / "datasets.md").read_text()
_EXAMPLES = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", _TEXT, flags=re.DOTALL)
_WORKFLOW = """
jobs:
  Read:
    uses: container@v1
    with: {image: x}
    inputs:
      a: {type: dataset, with: {ref: rating}}
      b: {type: dataset, with: {ref: dsr8k5qzn401lb5}}
"""


def test_commands_print_what_the_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compared to the letter, but for moments and digests."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wf.toml").touch()
    (tmp_path / "workflow.yaml").write_text(_WORKFLOW)
    (tmp_path / "my-ratings").mkdir()
    (tmp_path / "my-ratings" / "ratings.csv").write_text("user,item,rating\n1,2\n")
    _ids_of_the_document(monkeypatch)
    said, printed = [], []

    for commands, text in _EXAMPLES:
        if "wf models" in commands:
            _register_a_model(tmp_path)
        for line in commands.splitlines():
            main(shlex.split(line)[1:])
        out, err = capsys.readouterr()
        said.append(_known(text))
        printed.append(_known(err if "wf run" in commands else out + err))

    assert printed == said


def test_every_command_of_the_document_is_in_an_example() -> None:
    """So that none goes without a test."""
    assert _TEXT.count("```sh") == len(_EXAMPLES)


def _register_a_model(root: Path) -> None:
    (root / "saved").mkdir()
    (root / "saved" / "saved_model.pb").write_text("network")
    store = Store.open(root)
    store.datasets.import_path("model", root / "saved")
    store.models.create("rankings", "Tensorflow", "model")
    store.close()


def _known(text: str) -> str:
    text = re.sub(r"artifacts/\w\w/\w{64}", "artifacts/ARTIFACT", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-21 21:30:00", text)


def _ids_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give out the names that the document shows, in their order, in place of random ones."""
    ids = {
        7: iter(["k3v9x0a", "p8d2m5q", "d4b7w1z"]),
        13: iter(["ds4m0x7k2qpz81c", "ds90c1u5e3hw7ba", "dsunseen0000000"]),
        12: iter(["mo5t1n8w3y0e6r"]),
    }
    for module in ("datasets", "models"):
        monkeypatch.setattr(f"wf.store.{module}.new_id", lambda length, prefix="": next(ids[length]))
