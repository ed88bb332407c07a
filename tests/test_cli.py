"""The command line: finding commands, help, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wf.commands.validate
from tests.projects import make_project
from wf.cli import COMMANDS, main

NAMES = [name for group in COMMANDS.values() for name in group]
GOOD = "jobs: {A: {uses: container@v1, with: {image: x}}}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Bare `wf` and `wf --help` say the same."""
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["--help"]) == 0

    assert capsys.readouterr().out == bare
    assert all(f"\n  {name} " in bare for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`wf NAME --help` works for each command of the list."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: wf {name}")


def test_help_loads_nothing_heavy() -> None:
    """Help is quick because the libraries that runs need stay out."""
    program = (
        "import sys; from wf.cli import main; main(['--help']); "
        "print([m for m in ('docker', 'pydantic', 'rich', 'yaml', 'requests', 'sqlite3') if m in sys.modules])"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed.splitlines()[-1] == "[]"


def test_help_starts_quickly() -> None:
    """With less than 0.2 s of a CPU, the best of five; how long that takes is up to what else the machine does."""
    times = []
    for _ in range(5):
        before = os.times()
        subprocess.run([sys.executable, "-m", "wf", "--help"], capture_output=True, check=True)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)

    assert min(times) < 0.2


def test_an_unknown_command_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the finger ends with 2 and a suggestion."""
    assert main(["valdate"]) == 2
    assert capsys.readouterr().err == ("error: wf has no command `valdate`\n  did you mean `wf validate`?\n\n1 error\n")


def test_a_setting_without_a_value_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--set epochs` sets nothing."""
    assert main(["plan", str(make_project(tmp_path, GOOD)), "--set", "epochs"]) == 2
    assert capsys.readouterr().err == "error: `--set epochs` sets nothing\n  write `--set NAME=VALUE`\n\n1 error\n"


def test_a_bug_shows_one_message_and_keeps_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4; the traceback is in the file that the message names."""

    def break_down(_: object) -> int:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(wf.commands.validate, "execute", break_down)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert main(["validate", "x"]) == 4

    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: this is a bug in wf: ZeroDivisionError: oh"
    log = Path(second.split()[0])
    assert second == f"  {log} tells where; please report it"
    assert "Traceback (most recent call last)" in log.read_text()


def test_output_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    """`wf ... | head -1` ends quietly."""
    path = make_project(tmp_path, GOOD)
    command = f"{sys.executable} -m wf plan {path} --json | head -1"

    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)

    assert ended.stdout == "{\n"
    assert ended.stderr == ""
