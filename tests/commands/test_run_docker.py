"""`wf run` of scripts in Docker: images that stand in for others, inputs that jobs change, the storage."""

import json
from pathlib import Path

import pytest

from wf.cli import main

WORKFLOW = """
jobs:
  Make:
    uses: script@v1
    with: {image: "gone.invalid/old:1.14", script: "echo made > /outputs/repo/file; echo kept > /storage/kept"}
    outputs: {repo: {type: volume}}
  Change:
    needs: [Make]
    uses: script@v1
    with: {image: "gone.invalid/old:1.15", script: "cd /inputs/repo; echo changed > file; cp file /outputs/mine"}
    inputs: {repo: Make.outputs.repo}
    outputs: {mine: {type: volume}}
  Look:
    needs: [Change]
    uses: script@v1
    with: {image: "gone.invalid/other", script: "cat /inputs/repo/file /inputs/mine/file /storage/kept"}
    inputs: {repo: Make.outputs.repo, mine: Change.outputs.mine}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base_image: str) -> Path:
    """A project whose images are gone, and which says what stands in for some of them."""
    (tmp_path / "wf.toml").write_text(f'[images]\n"gone.invalid/old:1.*" = "{base_image}"\n"gone.*" = "not.this/one"\n')
    (tmp_path / "flow.yaml").write_text(WORKFLOW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.docker
@pytest.mark.parametrize(
    ("mode", "seen"), [((), ["made", "changed", "kept"]), (("--inputs-mode", "shared"), ["changed", "changed", "kept"])]
)
def test_jobs_may_change_what_they_read(
    project: Path, base_image: str, capsys: pytest.CaptureFixture[str], mode: tuple[str, ...], seen: list[str]
) -> None:
    """By default for themselves only, with `shared` for the rest of the run; what is stored never changes."""
    assert main(["run", "flow.yaml", "--output", "plain", "--image", f"gone.invalid/other={base_image}", *mode]) == 0
    out = capsys.readouterr().out

    assert [line.split("│ ")[1] for line in out.splitlines() if "Look   │" in line] == seen
    assert (project / ".wf/runs/1/outputs/Make/repo/file").read_text() == "made\n"
    assert (project / ".wf/storage/kept").read_text() == "kept\n"


@pytest.mark.docker
def test_what_ran_with_another_mode_does_not_stand_in(
    project: Path, base_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Jobs that share views run again each time, as they may change them; others are reused."""
    words = ["run", "flow.yaml", "--output", "plain", "--image", f"gone.invalid/other={base_image}", "--inputs-mode"]
    shown = []
    for mode in ("shared", "shared", "cow", "cow"):
        assert main([*words, mode]) == 0
        main(["show", "--json"])
        jobs = json.loads(capsys.readouterr().out.split("next: wf show")[1].partition("\n")[2])["jobs"]
        shown.append([job["name"] for job in jobs if job["cached_from"]])

    assert shown == [[], ["Make"], ["Make"], ["Make", "Change"]]


@pytest.mark.docker
def test_read_only_inputs_fail_the_job_that_writes(project: Path, base_image: str) -> None:
    """With `ro`, as the format's documentation says."""
    images = ["--image", f"gone.invalid/*={base_image}"]
    (project / "flow.yaml").write_text(WORKFLOW.replace("cd /inputs", "set -e; cd /inputs"))

    assert main(["run", "flow.yaml", "--output", "plain", "--inputs-mode", "ro", *images]) == 1

    assert "file: Read-only file system\n" in (project / ".wf/runs/1/jobs/Change/log").read_text()


@pytest.mark.docker
def test_an_image_that_stands_in_is_told_and_recorded(
    project: Path, base_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the run is prepared, and by `wf show`; the command line wins over the project."""
    assert main(["run", "flow.yaml", "--output", "plain", "--image", f"gone.invalid/other={base_image}"]) == 0
    out = capsys.readouterr().out
    main(["show"])
    shown = capsys.readouterr().out
    main(["show", "--json"])
    jobs = json.loads(capsys.readouterr().out)["jobs"]

    asked = ["gone.invalid/old:1.14", "gone.invalid/old:1.15", "gone.invalid/other"]
    assert [line[10:] for line in out.splitlines() if "stands in" in line] == [
        f"image {base_image}: stands in for `{ref}`, as an alias says" for ref in asked
    ]
    assert [line for line in shown.splitlines() if "image" in line] == [
        f"  image    {base_image}, for {ref}" for ref in asked
    ]
    assert [(job["image"], job["image_stands_for"]) for job in jobs] == [(base_image, ref) for ref in asked]


def test_a_plan_shows_what_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything runs, in both forms."""
    (tmp_path / "wf.toml").touch()
    (tmp_path / "flow.yaml").write_text("jobs: {A: {uses: container@v1, with: {image: old}}}")
    monkeypatch.chdir(tmp_path)

    main(["plan", "flow.yaml", "--image", "old=new"])
    assert "   image   new, for old\n" in capsys.readouterr().out
    main(["plan", "flow.yaml", "--image", "old=new", "--json"])
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert (job["image"], job["image_stands_for"]) == ("new", "old")
