"""The same small jobs, written for `wf` and as shell loops."""

import sys
from pathlib import Path
from typing import Literal

Shape = Literal["chain", "flat"]

STEP = '''\
"""Writes a number. As a program it imports next to nothing."""

import json
import os
import sys

if __name__ == "__main__":
    with open(os.environ["WF_OUTPUTS"] + "/out/number", "w") as file:
        file.write(str(json.loads(sys.argv[2])["number"]))
    raise SystemExit

from types import SimpleNamespace

from pydantic import BaseModel


class Inputs(BaseModel):
    number: int


STEP = SimpleNamespace(
    name="write", summary="", inputs=Inputs, reads={}, writes={"out": "text"}, optional=frozenset(), image="base",
    gpus=0, network=False, network_with=(), cache=False, state=False, control=False,
)
'''

BIG_STEP = '''\
"""Writes files of 1 GiB."""

import json
import os
import sys

if __name__ == "__main__":
    for number in range(json.loads(sys.argv[2])["gib"]):
        with open(f"{os.environ['WF_OUTPUTS']}/out/{number}", "wb") as file:
            for _ in range(1024):
                file.write(os.urandom(1 << 20))
    raise SystemExit

from types import SimpleNamespace

from pydantic import BaseModel


class Inputs(BaseModel):
    gib: int


STEP = SimpleNamespace(
    name="big", summary="", inputs=Inputs, reads={}, writes={"out": "any"}, optional=frozenset(), image="base",
    gpus=0, network=False, network_with=(), cache=False, state=False, control=False,
)
'''


def make_project(folder: Path, image: str) -> None:
    """A project with workflows for containers and for processes, in a chain and independent."""
    (folder / "steps").mkdir(parents=True)
    (folder / "wf.toml").touch()
    (folder / "steps/__init__.py").write_text('STEPS = {"write": "steps.write"}\n')
    (folder / "steps/write.py").write_text(STEP)
    shapes: tuple[Shape, ...] = ("chain", "flat")
    for shape in shapes:
        (folder / f"docker-{shape}.yaml").write_text(workflow(20, shape, image))
        (folder / f"process-{shape}.yaml").write_text(workflow(20, shape))
    (folder / "docker-one.yaml").write_text(workflow(1, "flat", image))
    (folder / "process-1000.yaml").write_text(workflow(1000, "chain"))
    (folder / "docker-10000.yaml").write_text(workflow(10_000, "chain", image))


def workflow(jobs: int, shape: Shape, image: str | None = None) -> str:
    """A workflow of that many jobs: containers of the image, or steps where there is none."""
    lines = ["jobs:"]
    for number in range(jobs):
        lines.append(f"  job-{number}:")
        if image:
            script = f'open("/outputs/out/number", "w").write("{number}")'
            parameters = f"{{image: '{image}', command: python3, args: ['-c', '{script}']}}"
            lines += ["    uses: container@v1", f"    with: {parameters}"]
        else:
            lines += ["    uses: ./steps/write", f"    with: {{number: {number}}}"]
        if shape == "chain" and number:
            lines.append(f"    needs: [job-{number - 1}]")
        lines.append("    outputs: {out: {type: volume}}")
    return "\n".join(lines) + "\n"


def docker_loop(image: str, shape: Shape) -> list[str]:
    """20 times `docker run`, one after the other or two at once."""
    run = f"docker run --rm {image} python3 -c pass"
    loop = f"for i in $(seq 20); do {run}; done" if shape == "chain" else f"seq 20 | xargs -P 2 -I{{}} {run}"
    return ["bash", "-ec", loop]


def process_loop(shape: Shape) -> list[str]:
    """20 times the step as a program, one after the other or two at once."""
    at_once = 1 if shape == "chain" else 2
    arguments = """yes '{"number":1}' | head -n 20"""
    return ["bash", "-ec", f"{arguments} | xargs -d '\\n' -n 1 -P {at_once} {sys.executable} -m steps.write --with"]
