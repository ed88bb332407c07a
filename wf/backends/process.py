"""Steps as processes of this machine, in the Python environment that `wf` runs in: for where there is no Docker.

A step gets its folders through `WF_INPUTS`, `WF_OUTPUTS`, `WF_STATE` and `WF_CACHE`. Limits are not enforced, which the
run says, and neither is isolation from the network. Actions that need an image are refused.
"""

import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from wf.backends.base import Adopted, Exit, Handle, Launch, Turn
from wf.backends.local import LocalProcess, LocalProcesses, kept_environment
from wf.backends.preflight import cpu_problems, disk_problems, gpu_problems
from wf.control.control import LOOPBACK, Doorway
from wf.errors import EnvironmentProblem
from wf.events import Emit, Preparing
from wf.host import HostNetwork, read_host_network
from wf.plan import Plan, Task


class ProcessBackend:
    """See `wf.backends.base` for the contract."""

    name = "process"

    def __init__(self, root: Path, ca_bundle: Path | None = None) -> None:
        self._root = root
        self._ca_bundle = ca_bundle
        self._processes = LocalProcesses()

    @cached_property
    def _host(self) -> HostNetwork:
        # Files of this machine are a step's to use here, so pip's variables need no sifting.
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        return replace(read_host_network(os.environ, self._ca_bundle), pip=pip).past_proxies(LOOPBACK.host)

    @cached_property
    def _software(self) -> str:
        # What `platform.platform()` says as one text, whose import and search take longer than all the rest here.
        system = os.uname()
        libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
        software = json.dumps(
            [sys.version, system.sysname, system.release, system.machine, libc, sorted(self._packages)]
        )
        return f"process:{hashlib.sha256(software.encode()).hexdigest()}"

    @cached_property
    def _packages(self) -> Mapping[str, Path]:
        return installed_packages()

    def prepare(self, plan: Plan, emit: Emit) -> None:
        """Refuse what needs Docker; say what this backend does not do, and what the steps may miss."""
        problems = [
            f"job `{task.id}` uses `{task.action}`, which needs an image and so Docker"
            for task in plan.tasks
            if not task.is_step
        ]
        hint = "`wf doctor` says what Docker lacks here." if problems else ""
        problems += cpu_problems(plan.tasks, os.cpu_count() or 1)
        if not has_gpu():
            problems += gpu_problems(plan.tasks, "this machine has no /dev/nvidia0")
        problems += disk_problems([self._root])
        if problems:
            raise EnvironmentProblem("\n".join(problems), hint=hint)
        limited = [task.id for task in plan.tasks if task.resources.memory or task.resources.cpus]
        if limited:
            names = ", ".join(f"`{name}`" for name in limited)
            emit(Preparing(what="processes", line=f"limits of CPU and memory are not enforced without Docker: {names}"))
        if missing := missing_packages(self._packages):
            line = f"steps may fail: {sys.prefix} lacks {', '.join(missing)} (pip install -e '.[steps]')"
            emit(Preparing(what="processes", line=line))

    def image_digest(self, task: Task) -> str:
        """A hash of the Python version and every installed package."""
        return self._software

    def doorway(self) -> Doorway:
        """The machine itself."""
        return LOOPBACK

    def known_digest(self, task: Task) -> str | None:
        """The same, but for what needs an image."""
        return self.image_digest(task) if task.is_step else None

    def start(self, launch: Launch, turn: Turn) -> LocalProcess:
        """Start it in the folder of its code."""
        assert launch.code is not None, f"start({launch.task.id}): a step without code"
        for name, path in launch.inputs.items():
            (launch.scratch / name).symlink_to(path.absolute())
        environment = self._environment(launch)
        turn.wait()
        return self._processes.start(launch, environment, launch.code)

    def adopt(self, launch: Launch, job: str) -> Adopted | None:
        """Nothing: a process does not outlive its `wf`."""
        self._processes.end_leftovers(launch.outputs)
        return None

    def await_engine(self, patience: float, given_up: threading.Event) -> bool:
        """There is none that could go away."""
        return True

    def logs(self, handle: Handle) -> Iterator[bytes]:
        """Everything that the step prints."""
        return self._processes.logs(handle)

    def watch(self, handle: Handle, gone: Callable[[], None]) -> None:
        """How a process ended is known at once."""

    def wait(self, handle: Handle) -> Exit:
        """How it ended."""
        return self._processes.wait(handle)

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """End it early, with all that it started."""
        self._processes.stop(handle, kill=kill)

    def destroy(self, handle: Handle) -> None:
        """Make sure that nothing of it runs."""
        self._processes.destroy(handle)

    def teardown(self) -> None:
        """Nothing is left to guard."""
        self._processes.teardown()

    def sweep(self, runs: Collection[int]) -> int:
        """Nothing: the guardian has ended the processes of a `wf` that died."""
        return 0

    def _environment(self, launch: Launch) -> dict[str, str]:
        env = kept_environment() | self._host.variables(str(self._host.ca_bundle))
        env |= {"PYTHONUNBUFFERED": "1", **launch.env}
        env |= {"PYTHONPATH": str(launch.code), "WF_INPUTS": str(launch.scratch)}
        env["WF_OUTPUTS"] = str(launch.outputs.absolute())
        if launch.state:
            env["WF_STATE"] = str(launch.state.absolute())
        if launch.cache:
            env["WF_CACHE"] = str(launch.cache.absolute())
        # A step runs in the folder of its code, so a relative path would lead elsewhere.
        if local_files := {each.parameter: str(each.path.absolute()) for each in launch.task.local_files}:
            env["WF_LOCAL_FILES"] = json.dumps(local_files)
        return env


def installed_packages() -> dict[str, Path]:
    """The folders with what is known of each package, by their names, such as `numpy-2.0.0.dist-info`."""
    folders = [folder for folder in map(Path, sys.path) if folder.is_dir()]
    return {entry.name: entry for folder in folders for entry in folder.iterdir() if entry.suffix == ".dist-info"}


def missing_packages(packages: Mapping[str, Path]) -> list[str]:
    """What the extra `steps` of `wf` names and is not among the packages, as `installed_packages` gives them."""
    # As `importlib.metadata` would say it, whose import takes longer than a run with nothing to do.
    installed = {_normal(name.partition("-")[0]): folder for name, folder in packages.items()}
    if "wf" not in installed:
        return []
    known = (installed["wf"] / "METADATA").read_text(encoding="utf-8")
    wanted = re.findall(r"^Requires-Dist: ([\w.-]+).*extra == .steps.", known, re.MULTILINE)
    return [name for name in wanted if _normal(name) not in installed]


def _normal(name: str) -> str:
    """A package's name as all its spellings have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU, or one that its Windows lends it."""
    return Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists()
