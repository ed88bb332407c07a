"""The step `verify` lets a model pass that answers as its export said, and says what is wrong with any other."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from steps.export import main as export
from steps.verify import main


@pytest.fixture(name="exported", scope="module")
def _exported(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("exported")
    assert export([f"--inputs-dir={inputs}", f"--outputs-dir={outputs}"]) == 0
    return outputs / "saved_model"


@pytest.fixture(name="folder")
def _folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of the model that may be damaged, as the step's input `model`."""
    return Path(shutil.copytree(exported, tmp_path / "inputs" / "model"))


def verify(folder: Path, *flags: str) -> int:
    """Run the step."""
    return main([*flags, f"--inputs-dir={folder.parent}", f"--outputs-dir={folder.parent.parent / 'outputs'}"])


def change(folder: Path, *keys: str, value: Any) -> None:
    """Put another value into `export.json`."""
    place = folder / "export.json"
    described = json.loads(place.read_text())
    inner = described
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    place.write_text(json.dumps(described))


def test_a_model_that_is_well_passes(folder: Path) -> None:
    """What was seen is written down."""
    assert verify(folder) == 0

    seen = json.loads((folder.parent.parent / "outputs" / "check" / "check.json").read_text())
    assert {"serving_default", "without_timestamp"} <= set(seen["signatures"])
    assert seen["largest_difference"] <= 1e-4


def test_what_is_wrong_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Size, files, signatures and answers."""
    said = []
    original = (folder / "export.json").read_text()

    def fails(*flags: str) -> None:
        assert verify(folder, *flags) != 0
        said.append(capsys.readouterr().err)
        (folder / "export.json").write_text(original)

    fails("--largest=0.001")
    change(folder, "signatures", "other", value={"inputs": {}})
    fails()
    change(folder, "signatures", "without_timestamp", value={"inputs": {"user_id": "int64"}})
    fails()
    change(folder, "smoke_test", "samples", "one row", "rating", value=[9.0])
    fails()
    (folder / "saved_model.pb").write_bytes(b"not a model")
    fails()
    (folder / "saved_model.pb").unlink()
    fails()

    for text, expected in zip(
        said,
        (
            "MB, more than the 0.001 MB of `largest`",
            "the model has no signature `other`, which its export.json describes",
            "signature `without_timestamp` takes",
            "off the trained model's rating",
            "TensorFlow cannot load the model",
            "is not the output of the step `export`",
        ),
        strict=True,
    ):
        assert expected in text
