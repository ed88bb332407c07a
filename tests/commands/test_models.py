"""`wf models` after a true run, without Docker and with it."""

import json
import re
from pathlib import Path

import pytest

from tests.projects import make_project
from wf.cli import main

Capture = pytest.CaptureFixture[str]

_UPLOAD = """
  Upload:
    needs: [Train]
    uses: create-model@v1
    with: {name: rankings, type: TensorFlow}
    inputs:
      model: Train.outputs.saved
    outputs:
      model-id: {type: string}
"""
_STEP = """
jobs:
  Train:
    uses: ./steps/ingest
    with: {dataset: file, path: mine.csv, columns: "user_id=u,item_id=i,rating=r,timestamp=t"}
    outputs:
      ratings: {type: dataset, with: {ref: saved}}
""" + _UPLOAD.replace("outputs.saved", "outputs.ratings")
_SCRIPT = (
    """
jobs:
  Train:
    uses: script@v1
    with:
      image: IMAGE
      script: |
        echo network > /outputs/saved/saved_model.pb
        echo '{"classes": 10}' > /outputs/saved/gradient-model-metadata.json
    outputs:
      saved: {type: dataset, with: {ref: saved}}
"""
    + _UPLOAD
    + """
  Tell:
    needs: [Upload]
    uses: script@v1
    with: {image: IMAGE, script: "cat /inputs/model-id"}
    inputs: {model-id: Upload.outputs.model-id}
"""
)


def test_a_model_from_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A run without Docker registers what its step wrote; `wf show`, `wf plan` and `wf models` tell of it."""
    make_project(tmp_path, _STEP)
    (tmp_path / "mine.csv").write_text("u,i,r,t\n" + "".join(f"{n % 3},{n},{n % 5 + 1},{n}\n" for n in range(30)))
    monkeypatch.chdir(tmp_path)

    assert main(["plan", "workflow.yaml"]) == 0
    planned = capsys.readouterr().out
    assert planned[planned.index("2. ") :] == (
        "2. Upload  (create-model@v1)\n"
        "   runs    it registers a model, which is a new one each time\n"
        "   needs   Train\n"
        "   with    name: rankings\n"
        "           type: TensorFlow\n"
        "   input   model <- Train.outputs.ratings\n"
        "   output  model-id (string)\n"
    )
    assert main(["run", "workflow.yaml", "--backend", "process"]) == 0, capsys.readouterr().out
    capsys.readouterr()
    main(["models", "list", "--json"])
    (model,) = json.loads(capsys.readouterr().out)
    main(["show"])
    shown = capsys.readouterr().out

    upload = re.sub(r"after \d.*", "after 0.0 s", shown[shown.index("Upload") :])
    assert upload == (
        "Upload: succeeded\n"
        "  read     model <- Train.outputs.ratings\n"
        "  left     model-id  14 B in 1 file  .wf/runs/1/outputs/Upload/model-id\n"
        f"  model    {model['id']}\n"
    )
    assert (tmp_path / ".wf/runs/1/outputs/Upload/model-id").read_text() == model["id"]
    assert model["dataset"].startswith("saved:")
    assert main(["models", "show", "rankings"]) == 0
    assert "by run 1, Upload\n" in capsys.readouterr().out


@pytest.mark.docker
def test_a_model_from_docker(base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The job after it reads the id; no container was made for the model."""
    make_project(tmp_path, _SCRIPT.replace("IMAGE", base_image))
    monkeypatch.chdir(tmp_path)

    assert main(["run", "workflow.yaml", "--backend", "docker"]) == 0
    printed = capsys.readouterr().out
    main(["models", "show", "rankings", "--json"])
    model = json.loads(capsys.readouterr().out)

    assert f"Upload │ registered `rankings` (Tensorflow) as {model['id']}\n" in printed
    assert f"Tell   │ {model['id']}\n" in printed
    assert model["metadata"] == {"classes": 10}


def test_project_without_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The empty list says how to make one."""
    monkeypatch.chdir(tmp_path)
    main(["datasets", "create", "x"])
    capsys.readouterr()

    assert main(["models", "list"]) == 0
    assert capsys.readouterr().out == ("this project has no models yet: a job with `uses: create-model@v1` makes one\n")
