"""`wf provenance`, and the changes beside the commit that a run keeps."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Project, job
from wf.cli import main
from wf.store.provenance import LONGEST_CHANGES

Capture = pytest.CaptureFixture[str]
SECRET = "hush-hush-5ecret"


def _git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository with one commit and a remote whose address holds a password."""
    (tmp_path / "wf.toml").touch()
    (tmp_path / "notes.txt").write_text("one\n")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    _git(tmp_path, "remote", "add", "origin", f"https://me:{SECRET}@example.org/team/repo.git")
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def _statement(capsys: Capture, *words: str) -> Any:
    capsys.readouterr()
    assert main(["provenance", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_statement_of_a_run(project: Project, tmp_path: Path, capsys: Capture) -> None:
    """Every part that in-toto's Statement v1 and SLSA's Provenance v1 ask for, under their names."""
    (tmp_path / "raw").mkdir()
    version = project.store.datasets.import_path("raw", tmp_path / "raw").version
    project.run(
        "a -> b",
        a=job(outputs={"x": "numbers"}, leaves={"x": "1"}, inputs={"raw": "dataset raw"}, env={"MODE": "fast"}),
        b=job(inputs={"x": "a.outputs.x"}, outputs={"y": "string"}, leaves={"y": "2"}),
    )
    made = {each.name: each.outputs[0] for each in project.store.history.jobs(1)}
    run = project.store.history.run()

    statement = _statement(capsys, "1")

    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [
        {
            "name": "a/x",
            "digest": {"wfManifest": made["a"].digest},
            "annotations": {"dataset": project.store.datasets.find("numbers").ref},
        },
        {"name": "b/y", "digest": {"wfManifest": made["b"].digest}},
    ]
    definition, details = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    assert definition["buildType"] == "urn:wf:workflow-run:v1"
    assert definition["externalParameters"] == {"workflow": "flow.yaml", "inputs": {}}
    assert definition["internalParameters"]["backend"] == "fake"
    assert definition["internalParameters"]["jobs"]["a"]["env"]["MODE"] == "fast"
    assert definition["resolvedDependencies"][0] == {
        "name": "source",
        "uri": "git+https://example.org/team/repo.git",
        "digest": {"gitCommit": _git(tmp_path, "rev-parse", "HEAD")},
        "annotations": {"changed": False},
    }
    assert {"name": f"dataset {version.ref}", "digest": {"wfManifest": version.digest}} in definition[
        "resolvedDependencies"
    ]
    assert details["builder"] == {"id": "urn:wf:runner", "version": {"wf": run.wf_version}}
    assert details["metadata"]["invocationId"].endswith("/1")
    assert (details["metadata"]["startedOn"], details["metadata"]["finishedOn"]) == (run.started, run.finished)
    assert details["byproducts"] == []


def test_changes_beside_the_commit_are_kept_and_no_secret_is(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A secret that somebody wrote into a file, an input or a variable is masked, whether a job asks for it or not."""
    monkeypatch.setenv("WF_SECRET_TOKEN", SECRET)
    (tmp_path / "notes.txt").write_text(f"two {SECRET} and other-5ecret\n")
    project.run(
        "a",
        a=job(outputs={"x": "volume"}, env={"PLAIN": SECRET}, secrets={"OTHER": "OTHER"}),
        secrets={"OTHER": "other-5ecret"},
    )

    statement = _statement(capsys)

    kept = project.store.layout.changes(1).read_text()
    (changes,) = statement["predicate"]["runDetails"]["byproducts"]
    assert "-one\n+two " in kept
    assert "other-5ecret" not in kept
    assert base64.b64decode(changes["content"]).decode() == kept.replace(SECRET, "***")
    assert statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]["annotations"] == {"changed": True}
    assert SECRET not in json.dumps(statement)
    assert base64.b64encode(SECRET.encode()).decode() not in json.dumps(statement)
    assert main(["show"]) == 0
    assert " with changes  .wf/runs/1/changes.diff\n" in capsys.readouterr().out


def test_changes_are_bounded_and_run_no_program(project: Project, tmp_path: Path) -> None:
    """Whatever the repository names for diffs."""
    _git(tmp_path, "config", "diff.external", f"touch {tmp_path / 'ran'}")
    (tmp_path / "notes.txt").write_text("x" * 79 + "\n" + "many\n" * LONGEST_CHANGES)

    project.run("a")

    text = project.store.layout.changes(1).read_text()
    assert text.endswith("\n... cut after 1 MiB\n")
    assert len(text) < LONGEST_CHANGES + 50
    assert not (tmp_path / "ran").exists()


def test_a_run_without_outputs_has_nothing_to_state(project: Project, capsys: Capture) -> None:
    """A statement needs a subject."""
    project.run("a")

    assert main(["provenance"]) == 2
    assert capsys.readouterr().err == "error: run 1 left no outputs, so there is nothing to state\n\n1 error\n"
