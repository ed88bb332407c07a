"""The store after `kill -9` at any moment: what it says is there, is there."""

import random
import subprocess
import sys
import time
from pathlib import Path

from wf.store import Store
from wf.store.artifacts import read_manifest

ROOT = Path(__file__).parents[2]
_KILLS = 5

_CHILD = """
import itertools
import sys
from pathlib import Path
from tests.harness import Project, job

def write(launch):
    for number in range(30):
        (launch.outputs / "x" / str(number)).write_text(f"{sys.argv[2]} {launch.task.id} {number}" * 100)

names = [f"j{number}" for number in range(10)]
each = job(outputs={"x": "numbers", "y": "volume"}, does=write)
project = Project(Path(sys.argv[1]))
print("ready", flush=True)
for _ in itertools.count():
    project.run(" -> ".join(names), **dict.fromkeys(names, each))
"""


def test_store_is_consistent_after_kill(tmp_path: Path) -> None:
    """Killed at random moments: every recorded output has its content, and no job that did not succeed has one."""
    for number in range(_KILLS):
        command = [sys.executable, "-c", _CHILD, str(tmp_path), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(random.uniform(0, 0.4))
            child.kill()
        store = Store.open(tmp_path)
        store.history.mark_swept([run.id for run in store.history.recover()])
        store.close()

    store = Store.open(tmp_path)
    for run in store.history.runs():
        assert run.state in {"interrupted", "succeeded"}
        for job in store.history.jobs(run.id):
            assert len(job.outputs) == (2 if job.state == "succeeded" else 0)
            for output in job.outputs:
                assert read_manifest(output.path).artifact.digest == output.digest
                assert (output.dataset is None) is (output.name == "y")
    assert [path for path in store.layout.runs.glob("*/jobs/*/*") if path.name != "log"] == []
