"""Steps as processes of this machine, in the Python environment that `wf` runs in: for where there is no Docker.

A step gets its folders through `WF_INPUTS`, `WF_OUTPUTS`, `WF_STATE` and `WF_CACHE`. Limits are not enforced, which the
run says, and neither is isolation from the network. Actions that need an image are refused.

Each step leads a process group, so whatever it starts ends with it. And one small guardian per run waits for the end
of a pipe from `wf`: should `wf` die, even by SIGKILL, it kills every process that carries its mark in the environment
(on Linux, where that can be seen).
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from wf.backends.base import Exit, Handle, Launch
from wf.backends.preflight import cpu_problems, disk_problems, gpu_problems
from wf.errors import EnvironmentProblem
from wf.events import Emit, Preparing
from wf.host import CA_VARIABLES, read_host_network
from wf.plan import Plan, Task

KEPT_VARIABLES = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
"""What a step sees of the environment of `wf` beside the network's settings: more could change its results unseen."""

GUARDIAN = """
import os, signal, sys, time
if sys.stdin.read() != "done":
    mark = b"WF_GUARDIAN=%d\\0" % os.getpid()
    for _ in range(3):  # a process that was just being started has no mark yet
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as environ:
                    if mark in environ.read():
                        os.kill(int(name), signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.1)
"""


@dataclass(eq=False)
class StepProcess:
    """A handle."""

    launch: Launch
    process: subprocess.Popen[bytes]
    reaper: threading.Thread


class ProcessBackend:
    """See `wf.backends.base` for the contract."""

    name = "process"

    def __init__(self, root: Path, ca_bundle: Path | None = None) -> None:
        self._root = root
        # Files of this machine are a step's to use here, so pip's variables need no sifting.
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        self._host = replace(read_host_network(os.environ, ca_bundle), pip=pip)
        self._guardian: subprocess.Popen[str] | None = None

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
        if self._guardian is None:
            self._guardian = _start_guardian()
        if missing := missing_packages():
            line = f"steps may fail: {sys.prefix} lacks {', '.join(missing)} (pip install -e '.[steps]')"
            emit(Preparing(what="processes", line=line))

    def image_digest(self, task: Task) -> str:
        """A hash of the Python version and every installed package."""
        folders = [Path(folder) for folder in sys.path if Path(folder).is_dir()]
        packages = sorted(entry.name for folder in folders for entry in folder.glob("*.dist-info"))
        software = json.dumps([platform.python_version(), platform.platform(), packages])
        return f"process:{hashlib.sha256(software.encode()).hexdigest()}"

    def start(self, launch: Launch) -> StepProcess:
        """Start it at the head of a process group of its own."""
        assert self._guardian is not None, f"start({launch.task.id}): called before prepare"
        assert launch.code is not None, f"start({launch.task.id}): a step without code"
        inputs = launch.scratch / "inputs"
        inputs.mkdir()
        for name, path in launch.inputs.items():
            (inputs / name).symlink_to(path.absolute())
        command = [*(launch.task.entrypoint or ()), *launch.task.command]
        if command[0] == "python":
            command[0] = sys.executable
        try:
            process = subprocess.Popen(
                command,
                cwd=launch.code,
                env=self._environment(launch, inputs),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise EnvironmentProblem(f"job `{launch.task.id}` could not start: {error}") from error
        reaper = threading.Thread(target=_reap, args=[process], name=f"reaper of {launch.task.id}", daemon=True)
        reaper.start()
        return StepProcess(launch, process, reaper)

    def logs(self, handle: Handle) -> Iterator[bytes]:
        """What arrives on the pipe that is its standard output and error."""
        output = _own(handle).process.stdout
        assert output is not None
        with output:
            while chunk := output.read(1 << 16):
                yield chunk

    def wait(self, handle: Handle) -> Exit:
        """Its exit code, or 128 and the signal that ended it, as a shell says it."""
        step = _own(handle)
        step.reaper.join()
        code = step.process.returncode
        return Exit(code if code >= 0 else 128 - code)

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """Signal the whole group."""
        step = _own(handle)
        # Once it is reaped, its number may be another's.
        if step.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(step.process.pid, signal.SIGKILL if kill else signal.SIGTERM)

    def destroy(self, handle: Handle) -> None:
        """Make sure that nothing of it runs. Its scratch folder goes with the run's."""
        self.stop(handle, kill=True)
        step = _own(handle)
        step.reaper.join()
        if step.process.stdout:
            step.process.stdout.close()

    def teardown(self) -> None:
        """Let the guardian go, which has nothing left to guard."""
        if self._guardian is not None:
            self._guardian.communicate("done")
            self._guardian = None

    def sweep(self, runs: Collection[int]) -> int:
        """Nothing: the guardian has ended the processes of a `wf` that died."""
        return 0

    def _environment(self, launch: Launch, inputs: Path) -> dict[str, str]:
        env = {name: os.environ[name] for name in (*KEPT_VARIABLES, *CA_VARIABLES) if name in os.environ}
        env |= self._host.variables(str(self._host.ca_bundle))
        env |= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **launch.env}
        if self._guardian is not None:
            env["WF_GUARDIAN"] = str(self._guardian.pid)
        env |= {"PYTHONPATH": str(launch.code), "WF_INPUTS": str(inputs), "WF_OUTPUTS": str(launch.outputs.absolute())}
        if launch.state:
            env["WF_STATE"] = str(launch.state.absolute())
        if launch.cache:
            env["WF_CACHE"] = str(launch.cache.absolute())
        # A step runs in the folder of its code, so a relative path would lead elsewhere.
        if local_files := {each.parameter: str(each.path.absolute()) for each in launch.task.local_files}:
            env["WF_LOCAL_FILES"] = json.dumps(local_files)
        return env


def missing_packages() -> list[str]:
    """What the extra `steps` of `wf` names and this environment does not have."""
    try:
        requirements = importlib.metadata.requires("wf") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    wanted = [re.split(r"[^\w.-]", text)[0] for text in requirements if re.search(r"extra == .steps.", text)]
    return [name for name in wanted if not _is_installed(name)]


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU, or one that its Windows lends it."""
    return Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists()


def _start_guardian() -> subprocess.Popen[str]:
    """See the module's docstring."""
    return subprocess.Popen(
        [sys.executable, "-IS", "-c", GUARDIAN],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        # Out of the terminal's group: Ctrl-C is for wf, and the guardian outlives it.
        start_new_session=True,
    )


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for a step, then end what it left in its group: nothing outlives it, and its log can end."""
    # Not forgotten yet, so its number is still that of its group and of no other.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _own(handle: Handle) -> StepProcess:
    assert isinstance(handle, StepProcess), "a handle of another backend"
    return handle
