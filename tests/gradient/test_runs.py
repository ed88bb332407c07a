"""§9: a run in the shape of Gradient's API."""

import json

import pytest

from tests.gradient.project import Gradient
from wf.cli import main

pytestmark = pytest.mark.docker


def test_s9_a_run_as_the_api_showed_it(
    gradient: Gradient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Inputs with what they were resolved to, phases in capitals, new versions of datasets, the file as it was."""
    (gradient.root / "data").mkdir()
    read = gradient.store().datasets.import_path("test-one", gradient.root / "data").version
    gradient.run(
        """
        inputs:
          data: {type: dataset, with: {ref: test-one}}
          echo: {type: string, with: {value: hello world}}
        jobs:
          job-1:
            uses: script@v1
            with: {image: IMAGE, script: touch /outputs/data2/x; cat /inputs/echo}
            inputs: {data: workflow.inputs.data, echo: workflow.inputs.echo}
            outputs: {data2: {type: dataset, with: {ref: test-two}}, text: {type: string}}
          job-2: {needs: [job-1], uses: script@v1, with: {image: IMAGE, script: 'true'}}
        """
    )
    monkeypatch.chdir(gradient.root)
    capsys.readouterr()

    assert main(["show", "1", "--json", "--format", "gradient"]) == 0

    shown = json.loads(capsys.readouterr().out)
    spec, status = shown.pop("spec"), shown.pop("status")
    times = [each.pop(key) for each in (status, status["jobs"]["job-1"]) for key in ("started", "finished")]
    assert all(time.endswith("Z") and len(time) == len("2026-11-21T21:30:00.123Z") for time in times)
    assert list(shown) == ["id", "uuid", "cluster"]
    assert spec["jobs"]["job-1"]["outputs"]["data2"] == {"type": "dataset", "with": {"ref": "test-two"}}
    assert status == {
        "phase": "FAILED",
        "logId": "wfr000000000001",
        "inputs": {
            "data": {"with": {"ref": "test-one"}, "dataset": {"ref": read.ref}},
            "echo": {"with": {"value": "hello world"}},
        },
        "jobs": {
            "job-1": {
                "phase": "FAILED",
                "message": "it did not write the file /outputs/text, which it declares as an output",
                "logId": "wfrj000000100000",
                "inputs": {"data": {"dataset": {"ref": read.ref}}},
                "outputs": {},
            },
            "job-2": {
                "phase": "SKIPPED",
                "started": None,
                "finished": status["jobs"]["job-2"]["finished"],
                "message": "it needs `job-1`, which failed",
                "logId": "wfrj000000100001",
                "outputs": {},
            },
        },
    }

    gradient.script("echo x > /outputs/out/x", "outputs: {out: {type: dataset, with: {ref: test-two}}}")
    main(["show", "--json", "--format", "gradient"])
    written = gradient.store().datasets.find("test-two").ref
    job = json.loads(capsys.readouterr().out)["status"]["jobs"]["A"]
    assert job["outputs"] == {"out": {"dataset": {"ref": written, "isCommitted": True}}}
