"""Files and folders that this user may not read, or that are not what they should be: each is told in a sentence."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.projects import REPOSITORY
from wf.cli import main

WORKFLOW = 'jobs: {a: {uses: container@v1, with: {image: x, command: "true"}}}\n'
_BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all")
"""What makes the permissions of files count for root too."""

Told = tuple[int, str]


@pytest.fixture(name="wf")
def _wf(tmp_path: Path) -> Callable[..., Told]:
    """Runs `wf` in the folder as somebody who may do only what the permissions of files say."""
    (tmp_path / "wf.toml").touch()
    (tmp_path / "flow.yaml").write_text(WORKFLOW)

    def wf(*words: str, folder: str = ".") -> Told:
        bound = _BOUND if os.geteuid() == 0 else ()
        for path in (tmp_path, *tmp_path.rglob("*")) if bound else ():
            os.chown(path, 1234, -1, follow_symlinks=False)
        tmp_path.chmod(0o777)
        done = subprocess.run(
            [*bound, sys.executable, "-m", "wf", *words],
            cwd=tmp_path / folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr.replace(str(tmp_path), "PROJECT")

    return wf


def test_a_workflow_in_a_folder_that_may_not_be_entered(wf: Callable[..., Told], tmp_path: Path) -> None:
    """The user's own mistake, not a bug: 2, and what cannot be read."""
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "flow.yaml").write_text(WORKFLOW)
    closed.chmod(0)

    told = wf("run", "closed/flow.yaml")

    closed.chmod(0o755)
    assert told == (2, "error: cannot read `closed/flow.yaml`: Permission denied\n\n1 error\n")


def test_settings_that_may_not_be_read(wf: Callable[..., Told], tmp_path: Path) -> None:
    """The project's `wf.toml` counts for every run, so none starts without."""
    (tmp_path / "wf.toml").chmod(0)

    assert wf("plan", "flow.yaml") == (2, "error: cannot read `PROJECT/wf.toml`: Permission denied\n\n1 error\n")


def test_a_file_of_secrets_that_may_not_be_read(wf: Callable[..., Told], tmp_path: Path) -> None:
    """As everything that this machine refuses, it ends with 3."""
    (tmp_path / "secrets").mkdir(mode=0)

    told = wf("run", "flow.yaml", "--backend", "process", "--secrets", "secrets/mine")

    (tmp_path / "secrets").chmod(0o755)
    assert told == (3, "error: PROJECT/secrets/mine: Permission denied\n")


def test_a_store_in_a_folder_that_may_not_be_written(wf: Callable[..., Told], tmp_path: Path) -> None:
    """Nothing runs whose history cannot be kept."""
    below = tmp_path / "below"
    below.mkdir()
    (below / "wf.toml").touch()
    (below / "flow.yaml").write_text(WORKFLOW)
    below.chmod(0o555)

    told = wf("run", "below/flow.yaml")

    below.chmod(0o755)
    hint = "  wf keeps its history and artifacts there: give it a folder that you may write to.\n"
    assert told == (3, f"error: PROJECT/below/.wf cannot be written: Permission denied\n{hint}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder.yaml", "Is a directory"),
        ("dangling.yaml", "No such file or directory"),
        ("ring.yaml", "Too many levels of symbolic links"),
        ("flow.yaml/below.yaml", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_is_no_file_cannot_be_a_workflow(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has the reason that the system gives, for a workflow and for the values of its inputs."""
    (tmp_path / "wf.toml").touch()
    (tmp_path / "flow.yaml").write_text(WORKFLOW)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    (tmp_path / "ring.yaml").symlink_to("ring.yaml")
    monkeypatch.chdir(tmp_path)

    for words in (["run", name], ["validate", name], ["run", "flow.yaml", "--inputs", name]):
        assert main(words) == 2
        assert capsys.readouterr().err == f"error: cannot read `{name}`: {reason}\n\n1 error\n"


def test_a_ring_of_links_in_data_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It leads nowhere, and so not out of the data."""
    (tmp_path / "wf.toml").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ring").symlink_to("ring")
    monkeypatch.chdir(tmp_path)

    assert main(["datasets", "import", "numbers", "data"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["datasets", "import", "numbers", "data/ring"]) == 2
    assert capsys.readouterr().err == "error: there is no file or folder `data/ring`\n\n1 error\n"


def test_a_current_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to begin with."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    code = main(["runs"])

    monkeypatch.chdir(tmp_path)
    assert code == 3
    assert capsys.readouterr().err == "error: the current folder is gone\n  Go to one that is there: cd ~\n"
