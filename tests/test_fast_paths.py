"""What the quick commands do not import: each of these libraries takes longer than all that the command does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("pydantic", "yaml", "docker", "requests", "rich", "importlib.metadata", "http.client", "tempfile", "inspect")

STEP = """\
from types import SimpleNamespace
from pydantic import BaseModel

class Inputs(BaseModel):
    number: int

STEP = SimpleNamespace(
    name="write", summary="", inputs=Inputs, reads={}, writes={"out": "text"}, optional=frozenset(), image="base",
    gpus=0, network=False, network_with=(), cache=False, state=False, control=False,
)
if __name__ == "__main__":
    import os
    open(os.environ.get("WF_OUTPUTS", "/outputs") + "/out/number", "w").write("1")
"""


RUN = ("run", "one.yaml", "--backend", "process")


def make_project(folder: Path) -> None:
    """One with a step, and a workflow of it."""
    (folder / "wf.toml").touch()
    (folder / "steps").mkdir()
    (folder / "steps/__init__.py").write_text('STEPS = {"write": "steps.write"}\n')
    (folder / "steps/write.py").write_text(STEP)
    workflow = "jobs: {a: {uses: ./steps/write, with: {number: 1}, outputs: {out: {type: volume}}}}"
    (folder / "one.yaml").write_text(workflow)


def imported_by(folder: Path, *words: str) -> set[str]:
    """Which of the slow libraries a `wf` command has imported at its end."""
    program = (
        "import sys; from wf.cli import main; code = main(sys.argv[1:]); "
        f"print('imported', *[name for name in {SLOW!r} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=folder, capture_output=True, text=True, env=environ, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_imports_nothing_slow(tmp_path: Path, words: list[str]) -> None:
    """`wf --help` answers without them."""
    assert imported_by(tmp_path, *words) == set()


def test_a_run_of_steps_with_nothing_to_do_imports_nothing_slow(tmp_path: Path) -> None:
    """Once all is done, a run needs neither the YAML nor what checks it."""
    make_project(tmp_path)
    assert "pydantic" in imported_by(tmp_path, *RUN)
    assert imported_by(tmp_path, *RUN) == set()


def test_a_step_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python makes of it stays beside the code that runs use, and is no part of that."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    make_project(tmp_path)
    imported_by(tmp_path, *RUN)
    compiled = {path: path.stat().st_ino for path in tmp_path.glob(".wf/code/*/steps/__pycache__/*.pyc")}
    assert {path.name.partition(".")[0] for path in compiled} == {"__init__", "write"}

    imported_by(tmp_path, *RUN, "--no-cache")

    assert {path: path.stat().st_ino for path in tmp_path.glob(".wf/code/*/steps/__pycache__/*.pyc")} == compiled
    assert imported_by(tmp_path, *RUN) == set()
    assert imported_by(tmp_path, "fsck") == set()


@pytest.mark.docker
def test_a_run_of_containers_imports_little(tmp_path: Path, base_image: str) -> None:
    """The engine is asked without the Docker SDK, whether there is something to do or not."""
    (tmp_path / "wf.toml").touch()
    parameters = f"{{image: {base_image!r}, script: 'echo 1 > /outputs/out/number'}}"
    workflow = f"jobs: {{a: {{uses: script@v1, with: {parameters}, outputs: {{out: {{type: volume}}}}}}}}"
    (tmp_path / "one.yaml").write_text(workflow)
    command = ["run", "one.yaml", "--backend", "docker"]
    assert not {"docker", "requests", "http.client"} & imported_by(tmp_path, *command)
    assert imported_by(tmp_path, *command) == set()
