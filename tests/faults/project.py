"""A small workflow whose jobs write down each time that they start, outside of the store."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.projects import REPOSITORY
from wf.store import Store

JOBS = ("A", "B", "C", "D")

_STEP = """
import time
from steps.entry import Step, StepInputs, run_step

class Inputs(StepInputs):
    name: str
    ledger: str
    seconds: float = 0.2

STEP = Step("note", "Note that it started, and pass on what it read.", inputs=Inputs,
            reads={"one": "any", "two": "any"}, writes={"x": "any"}, optional=frozenset({"one", "two"}))

def run(inputs, work):
    with open(inputs.ledger, "a") as ledger:
        ledger.write(inputs.name + "\\n")
    print("one of", inputs.name, flush=True)
    time.sleep(inputs.seconds)
    read = [path for name in ("one", "two") if (path := work.input(name) / "file").exists()]
    (work.output("x") / "file").write_text(inputs.name + "".join(path.read_text() for path in read))
    print("two of", inputs.name)

def main(argv=None):
    return run_step(STEP, run, argv)

if __name__ == "__main__":
    raise SystemExit(main())
"""
_SCRIPT = (
    "echo {name} >> /storage/ledger; echo one of {name}; sleep 0.4; "
    "(printf {name}; cat /dev/null $(ls -d /inputs/*/file 2>/dev/null)) > /outputs/x/file; echo two of {name}"
)
_NEEDS = {"A": (), "B": ("A",), "C": ("A",), "D": ("B", "C")}


@dataclass(frozen=True)
class Faulty:
    """A project in which a workflow is killed and resumed."""

    root: Path
    backend: str
    engine: str = ""
    """What `DOCKER_HOST` is, where it is not the usual."""

    @classmethod
    def make(cls, root: Path, backend: str, image: str, engine: str = "") -> "Faulty":
        """A fresh one."""
        project = cls(root, backend, engine)
        root.mkdir()
        (root / "wf.toml").touch()
        if backend == "process":
            (root / "steps").mkdir()
            shutil.copy(REPOSITORY / "steps" / "entry.py", root / "steps")
            (root / "steps" / "__init__.py").write_text('STEPS = {"note": "steps.note"}\n')
            (root / "steps" / "note.py").write_text(_STEP)
        project.ledger.parent.mkdir(parents=True)
        project.ledger.touch()
        project.ledger.chmod(0o666)
        (root / "flow.yaml").write_text(json.dumps({"jobs": {name: project._job(name, image) for name in JOBS}}))
        return project

    def _job(self, name: str, image: str) -> dict[str, object]:
        inputs = dict(zip(("one", "two"), (f"{need}.outputs.x" for need in _NEEDS[name]), strict=False))
        process = {"uses": "./steps/note", "with": {"name": name, "ledger": str(self.ledger)}}
        script = {"uses": "script@v1", "with": {"image": image, "script": _SCRIPT.format(name=name)}}
        return {
            **(process if self.backend == "process" else script),
            "needs": list(_NEEDS[name]),
            "inputs": inputs,
            "outputs": {"x": {"type": "volume"}},
        }

    @property
    def ledger(self) -> Path:
        """Where jobs write their names when they start."""
        return self.root / ".wf" / "storage" / "ledger"

    def starts(self) -> Counter[str]:
        """How often each job has started."""
        return Counter(self.ledger.read_text().split())

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command of `wf`."""
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY), **({"DOCKER_HOST": self.engine} if self.engine else {})}
        return subprocess.Popen(
            [sys.executable, "-m", "wf", *words],
            cwd=self.root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wf(self, *words: str, timeout: float = 120) -> tuple[int, str]:
        """Run a command of `wf` to its end: its exit code, and what it printed."""
        with self.start(*words) as process:
            out, _ = process.communicate(timeout=timeout)
            return process.returncode, out

    def committed(self) -> set[str]:
        """The jobs that the history says have succeeded, in any run."""
        if not (self.root / ".wf" / "wf.db").exists():
            return set()
        store = Store.open(self.root)
        try:
            runs = store.history.runs()
            return {job.name for run in runs for job in store.history.jobs(run.id) if job.state == "succeeded"}
        finally:
            store.close()

    def last_state(self) -> str:
        """Of the last run; nothing if there is none."""
        if not (self.root / ".wf" / "wf.db").exists():
            return ""
        store = Store.open(self.root)
        try:
            runs = store.history.runs()
            return runs[0].state if runs else ""
        finally:
            store.close()

    def outcome(self) -> dict[str, str]:
        """The state of the last run, and the digest of each output."""
        store = Store.open(self.root)
        try:
            run = store.history.run()
            digests = {job.name: each.digest for job in store.history.jobs(run.id) for each in job.outputs}
            return {"state": run.state, **digests}
        finally:
            store.close()
