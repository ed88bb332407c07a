"""`retry`, `if`, `strategy` and `--keep-going` from the file to the history, as processes and in Docker: the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.projects import REPOSITORY
from wf.cli import main
from wf.store import Store

_STEP = """
import os, subprocess
from steps.entry import Step, StepError, StepInputs, run_step

class Inputs(StepInputs):
    script: str
    ledger: str

STEP = Step("shell", "Run a script.", inputs=Inputs, reads={"IN": "any"}, writes={"OUT": "any"},
            optional=frozenset({"IN"}))

def run(inputs, work):
    places = {"IN": str(work.input("IN")), "OUT": str(work.output("OUT")), "LEDGER": inputs.ledger}
    if subprocess.run(["sh", "-ec", inputs.script], env={**os.environ, **places}).returncode:
        raise StepError("it failed")

def main(argv=None):
    return run_step(STEP, run, argv)

if __name__ == "__main__":
    raise SystemExit(main())
"""
_SECOND_TIME = "echo . >> $LEDGER/{0}; test $(wc -l < $LEDGER/{0}) -ge 2; echo {0} > $OUT/file"
_MATRIX = {"matrix": {"n": [1, 2, 3]}, "fail-fast": False}

pytestmark = pytest.mark.parametrize("backend", ["process", pytest.param("docker", marks=pytest.mark.docker)])


class Both:
    """A project whose jobs are scripts, in either backend."""

    def __init__(self, root: Path, backend: str, image: str) -> None:
        self.root = root
        self.backend = backend
        self._image = image
        self._ledger = root / ".wf" / "storage"
        self._ledger.mkdir(parents=True)
        (root / "wf.toml").touch()
        (root / "steps").mkdir()
        shutil.copy(REPOSITORY / "steps" / "entry.py", root / "steps")
        (root / "steps" / "__init__.py").write_text('STEPS = {"shell": "steps.shell", "gather": "steps.gather"}\n')
        (root / "steps" / "shell.py").write_text(_STEP)
        gather = _STEP.replace('Step("shell"', 'Step("gather"').replace('{"IN": "any"}', '{"IN": "any[]"}')
        (root / "steps" / "gather.py").write_text(gather)

    def job(
        self, script: str, *, reads: str = "", leaves: bool = False, step: str = "shell", **more: object
    ) -> dict[str, Any]:
        """A job that runs a script, which knows `$IN`, `$OUT` and `$LEDGER`."""
        if self.backend == "process":
            what = {"uses": f"./steps/{step}", "with": {"script": script, "ledger": str(self._ledger)}}
        else:
            places = "set -e; IN=/inputs/IN OUT=/outputs/OUT LEDGER=/storage"
            what = {"uses": "script@v1", "with": {"image": self._image, "script": f"{places}; {script}"}}
        ports: dict[str, Any] = {"inputs": {"IN": reads}} if reads else {}
        if leaves or self.backend == "process":
            ports["outputs"] = {"OUT": {"type": "volume"}}
        return {**what, **ports, **{name.rstrip("_"): value for name, value in more.items()}}

    def run(self, *words: str, **jobs: dict[str, Any]) -> dict[str, str]:
        """Run them: what became of each."""
        (self.root / "flow.yaml").write_text(json.dumps({"jobs": jobs}))
        main(["run", "flow.yaml", "--backend", self.backend, "--output", "plain", "-j", "3", *words])
        store = Store.open(self.root)
        ends: dict[str, str] = {job.name: job.state for job in store.history.jobs(store.history.run().id)}
        store.close()
        return ends


@pytest.fixture(name="both")
def _both(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Both:
    monkeypatch.chdir(tmp_path)
    image = request.getfixturevalue("base_image") if backend == "docker" else ""
    return Both(tmp_path, backend, image)


def test_attempts_conditions_and_clean_up(both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that fails once succeeds at its second attempt; each `if` sees what became of those before it."""
    ends = both.run(
        Flaky=both.job(_SECOND_TIME.format("flaky"), leaves=True, retry=2),
        Slow=both.job("sleep 30", timeout=1, retry={"attempts": 2, "on": ["error"]}),
        Next=both.job("cat $IN/file", reads="Flaky.outputs.OUT", needs=["Flaky"]),
        Repair=both.job("echo repaired", needs=["Slow"], if_="failure()"),
        Unneeded=both.job("echo never", needs=["Flaky"], if_="failure()"),
        Late=both.job("echo late", needs=["Slow"], if_="Slow.result == failed"),
        Tidy=both.job("echo tidy", needs=["Slow", "Next"], if_="always()"),
        After=both.job("echo never", needs=["Slow"]),
    )

    assert ends == {
        "Flaky": "succeeded",
        "Slow": "failed",
        "Next": "succeeded",
        "Repair": "succeeded",
        "Unneeded": "skipped",
        "Late": "succeeded",
        "Tidy": "succeeded",
        "After": "skipped",
    }
    told = capsys.readouterr().out
    assert "timed out after 1 s" in told
    assert told.count("│ never") == 0


def test_members_of_a_matrix_and_what_gathers_them(both: Both) -> None:
    """One that fails leaves the others alone where it shall, and what runs in any case gets the outputs there are."""
    member = "test $N != 2; echo $N > $OUT/file"
    fast = {"matrix": {"n": [1, 2]}, "max-parallel": 1}
    jobs = {
        "Train": both.job(member, leaves=True, strategy=_MATRIX, env={"N": "matrix.n"}),
        "Gather": both.job("cat $IN/*/file", reads="Train.outputs.OUT", step="gather", needs=["Train"], if_="always()"),
        "Fast": both.job("test $N != 1", strategy=fast, env={"N": "matrix.n"}),
    }

    train = {"Train (1)": "succeeded", "Train (2)": "failed", "Train (3)": "succeeded", "Gather": "succeeded"}
    assert both.run(**jobs) == {**train, "Fast (1)": "failed", "Fast (2)": "skipped"}
    assert both.run("--keep-going", **jobs) == {**train, "Fast (1)": "failed", "Fast (2)": "succeeded"}
