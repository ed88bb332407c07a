"""Many `wf run` of overlapping workflows at once, in one project."""

import random
import time
from pathlib import Path

from tests.faults.project import JOBS, Faulty

PART = {"A": ("A",), "B": ("A", "B"), "C": ("A", "C"), "D": JOBS}
"""A job -> the jobs of a workflow that ends with it."""


def play(number: int, seed: int, folder: Path, at_once: int = 8, seconds: float = 120) -> str:
    """Start them all within a second; says what went wrong, if anything."""
    import json
    import shutil

    chance = random.Random(f"{seed} {number}")
    project = Faulty.make(folder / f"together-{number}", "process", "")
    whole = json.loads((project.root / "flow.yaml").read_text())["jobs"]
    for last, jobs in PART.items():
        (project.root / f"{last}.yaml").write_text(json.dumps({"jobs": {name: whole[name] for name in jobs}}))
    began = time.monotonic()
    processes = []
    for _ in range(at_once):
        workflow = f"{chance.choice('ABCDD')}.yaml"
        processes.append(project.start("run", workflow, "--backend", "process", "--output", "plain", "-j", "2"))
        time.sleep(chance.uniform(0, 0.1))
    wrong = []
    for process in processes:
        out, _ = process.communicate(timeout=max(1.0, began + seconds - time.monotonic()))
        if process.returncode:
            wrong.append(f"a run ended with {process.returncode}: {out[-500:]}")
    if twice := [name for name, count in project.starts().items() if count != 1]:
        wrong.append(f"done more than once: {', '.join(twice)}")
    code, out = project.wf("fsck")
    if code or list((project.root / ".wf/claims").iterdir()):
        wrong.append(f"left: {out} {list((project.root / '.wf/claims').iterdir())}")
    if not wrong:
        shutil.rmtree(project.root, ignore_errors=True)
    return "; ".join(wrong)
