"""Processes of this machine: each at the head of a group of its own, so that whatever it starts ends with it.

One small guardian per run waits for the end of a pipe from `wf`: should `wf` die, even by SIGKILL, it kills every
process that carries its mark in the environment (on Linux, where that can be seen).
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from wf.backends.base import Exit, Handle, Launch
from wf.errors import EnvironmentProblem
from wf.host import CA_VARIABLES

KEPT_VARIABLES = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
"""What a process sees of the environment of `wf` beside the network's settings: more could change results unseen."""

_LEFTOVERS_END = 5.0
"""Seconds after which a process that was killed is left to the kernel."""

_GUARDIAN = """
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


class LocalProcess(Struct, eq=False):
    """A handle."""

    process: subprocess.Popen[bytes]
    reaper: threading.Thread


class LocalProcesses:
    """The verbs 2 to 7 of `wf.backends.base`, for processes."""

    def __init__(self) -> None:
        self._guardian: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def _guarded_by(self) -> int:
        """The number of the guardian, which comes with the first process."""
        with self._lock:
            if self._guardian is None:
                self._guardian = subprocess.Popen(
                    [sys.executable, "-IS", "-c", _GUARDIAN],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    # Out of the terminal's group: Ctrl-C is for wf, and the guardian outlives it.
                    start_new_session=True,
                )
            return self._guardian.pid

    def start(self, launch: Launch, env: Mapping[str, str], folder: Path) -> LocalProcess:
        """Start the launch's command in a folder; `python` means the one that runs `wf`."""
        try:
            process = subprocess.Popen(
                _command([*(launch.task.entrypoint or ()), *launch.task.command]),
                cwd=folder,
                env={**env, "WF_GUARDIAN": str(self._guarded_by())},
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
        return LocalProcess(process, reaper)

    def end_leftovers(self, outputs: Path) -> None:
        """Await the end of what a killed `wf` had started for a folder of outputs: its guardian may still be at it."""
        mark = b"WF_OUTPUTS=%s\0" % os.fsencode(outputs.absolute())
        deadline = time.monotonic() + _LEFTOVERS_END
        while (found := _processes_with(mark)) and time.monotonic() < deadline:
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def logs(self, handle: Handle) -> Iterator[bytes]:
        """What arrives on the pipe that is its standard output and error."""
        output = _own(handle).process.stdout
        assert output is not None
        with output:
            while chunk := output.read(1 << 16):
                yield chunk

    def wait(self, handle: Handle) -> Exit:
        """Its exit code, or 128 and the signal that ended it, as a shell says it."""
        local = _own(handle)
        local.reaper.join()
        code = local.process.returncode
        return Exit(code if code >= 0 else 128 - code)

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """Signal the whole group."""
        local = _own(handle)
        # Once it is reaped, its number may be another's.
        if local.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(local.process.pid, signal.SIGKILL if kill else signal.SIGTERM)

    def destroy(self, handle: Handle) -> None:
        """Make sure that nothing of it runs. Its scratch folder goes with the run's."""
        self.stop(handle, kill=True)
        local = _own(handle)
        local.reaper.join()
        if local.process.stdout:
            local.process.stdout.close()

    def teardown(self) -> None:
        """Let the guardian go, which has nothing left to guard."""
        if self._guardian is not None:
            self._guardian.communicate("done")
            self._guardian = None


def _processes_with(mark: bytes) -> list[int]:
    """Processes that have a variable in their environment, where this can be seen."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def kept_environment() -> dict[str, str]:
    """What every process of this machine inherits from `wf`."""
    return {name: os.environ[name] for name in (*KEPT_VARIABLES, *CA_VARIABLES) if name in os.environ}


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, *words[1:]] if words[0] == "python" else list(words)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process, then end what it left in its group: nothing outlives it, and its log can end."""
    # Not forgotten yet, so its number is still that of its group and of no other.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _own(handle: Handle) -> LocalProcess:
    assert isinstance(handle, LocalProcess), "a handle of another backend"
    return handle
