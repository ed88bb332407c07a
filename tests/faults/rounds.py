"""One round: start a workflow, kill something at a random moment, resume until it is done, and look at what is left."""

import contextlib
import hashlib
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.project import JOBS, Faulty

LONGEST = 5
"""How often a round is resumed at most."""


RESUME = ("resume", "--output", "plain")


@dataclass
class Round:
    """What is done and what came of it."""

    number: int
    kind: str
    """`process`: wf is killed, jobs are processes. `docker`: the same with containers. `container`: one of them is
    killed. `dockerd`: the engine is killed and started again."""
    moments: list[float] = field(default_factory=list)
    """Seconds from the start of each `wf` until something was killed."""
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        moments = ", ".join(f"{moment:.2f}" for moment in self.moments)
        return f"round {self.number:3} {self.kind:9} killed after {moments} s; {self.seconds:.1f} s: " + (
            "; ".join(self.wrong) or "ok"
        )


@dataclass(frozen=True)
class Expected:
    """What an undisturbed run comes to."""

    outcome: dict[str, str]
    seconds: float

    @classmethod
    def of(cls, folder: Path, kind: str, image: str) -> "Expected":
        """Run it."""
        project = Faulty.make(folder, "process" if kind == "process" else "docker", image)
        began = time.monotonic()
        code, out = project.wf("run", "flow.yaml", "--output", "plain", "--backend", project.backend)
        assert code == 0, out
        return cls(project.outcome(), time.monotonic() - began)


Kill = Callable[[Faulty, Any], None]
"""Kills something, given the project and the process of `wf`."""


def play(
    number: int,
    kind: str,
    seed: int,
    folder: Path,
    image: str,
    expected: Expected,
    kill: Kill,
    engine: str = "",
) -> Round:
    """One round, decided by the seed and its number."""
    chance = random.Random(f"{seed} {number} {kind}")
    done = Round(number, kind)
    began = time.monotonic()
    project = Faulty.make(folder / f"round-{number}", "process" if kind == "process" else "docker", image, engine)
    kills = chance.choice((1, 1, 1, 2, 3))
    unheard: set[str] = set()
    for attempt in range(LONGEST + kills):
        committed, before = project.committed(), project.starts()
        words = RESUME if project.last_state() not in ("", "succeeded") else _run_words(project)
        code, told = _try(
            project, words, chance.uniform(0.1, expected.seconds) if attempt < kills else None, kill, done
        )
        unheard |= set(re.findall(r"(\w+) +! the engine is back, and the job has ended well meanwhile", told))
        again = {job for job in committed if project.starts()[job] > before[job]}
        if again:
            done.wrong.append(f"{', '.join(sorted(again))} had been committed and ran again")
        if code == 0:
            break
        if code not in (1, 3, -9):
            done.wrong.append(f"`wf {words[0]}` ended with {code}: {told[-300:]}")
    else:
        done.wrong.append(f"not done after {LONGEST} attempts: {told[-600:]}")
    _look(project, expected.outcome, unheard, done)
    done.seconds = time.monotonic() - began
    if not done.wrong:
        shutil.rmtree(project.root, ignore_errors=True)
    return done


def _run_words(project: Faulty) -> tuple[str, ...]:
    return "run", "flow.yaml", "--output", "plain", "--backend", project.backend, "-j", "2"


def _try(project: Faulty, words: tuple[str, ...], moment: float | None, kill: Kill, done: Round) -> tuple[int, str]:
    with project.start(*words) as process:
        if moment is not None:
            time.sleep(moment)
            done.moments.append(moment)
            kill(project, process)
        out, _ = process.communicate(timeout=180)
        return process.returncode, out


def _look(project: Faulty, expected: dict[str, str], unheard: set[str], done: Round) -> None:
    """Whether everything is as if nothing had happened. Logs of jobs that ended without an engine are unknown to it."""
    outcome = project.outcome()
    if outcome != expected:
        done.wrong.append(f"it came to {outcome}, not {expected}")
    code, out = project.wf("fsck")
    if code:
        done.wrong.append(f"fsck: {out}")
    wf = project.root / ".wf"
    left = [path.name for name in ("claims", "tmp", "state") for path in (wf / name).iterdir()]
    left += [str(path) for path in wf.glob("runs/*/jobs/*/*") if not path.name.startswith("log")]
    if left:
        done.wrong.append(f"left: {', '.join(left)}")
    if mounts := [line for line in Path("/proc/mounts").read_text().splitlines() if str(project.root) in line]:
        done.wrong.append(f"mounted: {mounts}")
    if processes := _processes_of(project.root):
        done.wrong.append(f"processes: {processes}")
    if project.backend == "docker":
        _look_at_engine(project, done)
    for job in JOBS:
        log = max(wf.glob(f"runs/*/jobs/{job}/log"), default=None, key=lambda path: int(path.parts[-4]))
        whole = [f"one of {job}", f"two of {job}"]
        lines = log.read_text().splitlines() if log else None
        if lines != whole and not (lines is not None and job in unheard and lines == whole[: len(lines)]):
            done.wrong.append(f"the log of {job} is {log.read_text() if log else 'gone'!r}")


def _look_at_engine(project: Faulty, done: Round) -> None:
    import docker

    client = docker.APIClient(base_url=project.engine) if project.engine else docker.APIClient()
    name = hashlib.sha256(os.fsencode(project.root.resolve())).hexdigest()[:12]
    ours = {"label": [f"wf.project={name}"]}
    if containers := client.containers(all=True, filters=ours):
        done.wrong.append(f"containers: {[each['Names'] for each in containers]}")
    if volumes := client.volumes(filters=ours)["Volumes"]:
        done.wrong.append(f"volumes: {[each['Name'] for each in volumes]}")
    client.close()


def _processes_of(root: Path) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(root) in words or os.fsencode(str(root)) in (folder / "environ").read_bytes():
                found.append(f"{folder.name} {words}")
        except OSError:
            continue
    return found


def kill_wf(_project: Faulty, process: Any) -> None:
    """SIGKILL to `wf` alone."""
    process.kill()


def kill_container(project: Faulty, _process: Any) -> None:
    """SIGKILL to one container of the project, if one runs."""
    import docker

    client = docker.APIClient()
    name = hashlib.sha256(os.fsencode(project.root.resolve())).hexdigest()[:12]
    running = client.containers(filters={"label": [f"wf.project={name}"]})
    if running:
        with contextlib.suppress(docker.errors.APIError):  # it may just have ended
            client.kill(random.choice(running)["Id"])
    client.close()
