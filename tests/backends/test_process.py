"""Steps as plain processes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.tasks import Lab, as_lines, make_plan, make_task
from wf.backends import process
from wf.backends.base import Exit
from wf.backends.process import ProcessBackend
from wf.errors import EnvironmentProblem
from wf.host import CA_VARIABLES
from wf.plan import LocalFile, Resources, Task


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A project that needs no engine."""
    lab = Lab(ProcessBackend(tmp_path), tmp_path)
    yield lab
    lab.backend.teardown()


def python(code: str, **changes: Any) -> Task:
    """A step that runs Python code."""
    return make_task("python", "-c", textwrap.dedent(code), **changes)


def is_running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be forgotten."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(*pids: int) -> None:
    """Wait for processes to end."""
    deadline = time.monotonic() + 60
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, f"still running: {[pid for pid in pids if is_running(pid)]}"
        time.sleep(0.02)


@pytest.mark.parametrize("code", [0, 1, 42])
def test_the_exit_code_is_the_steps(lab: Lab, code: int) -> None:
    """A process's exit code comes back as it is."""
    assert lab.run(python(f"raise SystemExit({code})"))[1] == Exit(code)


def test_a_signal_becomes_a_shells_exit_code(lab: Lab) -> None:
    """A process that a signal ended has 128 and the signal's number."""
    assert lab.run(python("import os; os.kill(os.getpid(), 11)"))[1] == Exit(139)


def test_a_step_finds_its_folders(lab: Lab, tmp_path: Path) -> None:
    """Inputs, outputs, code, state, cache and local files are where the variables say."""
    for name in ("dataset", "state", "cache", "code/steps"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "dataset/rows.csv").write_text("1,2")
    (tmp_path / "code/steps/hello.py").write_text("print('hello=world')")
    (tmp_path / "my.csv").write_text("mine")
    code = """
        import os, json, sys, steps.hello
        print("rows=" + open(os.environ["WF_INPUTS"] + "/data/rows.csv").read())
        print("local=" + open(json.loads(os.environ["WF_LOCAL_FILES"])["file"]).read())
        print("python=" + sys.executable)
        for name in ("WF_OUTPUTS", "WF_STATE", "WF_CACHE"):
            open(os.environ[name] + "/written", "w").close()
    """
    log, exit_ = lab.run(
        python(code, local_files=(LocalFile("file", tmp_path / "my.csv"),)),
        inputs={"data": tmp_path / "dataset"},
        state=tmp_path / "state",
        cache=tmp_path / "cache",
        code=tmp_path / "code",
    )
    assert as_lines(log) == {"hello": "world", "rows": "1,2", "local": "mine", "python": sys.executable}
    assert exit_ == Exit(0)
    assert all((tmp_path / name / "written").exists() for name in ("launch-1/outputs", "state", "cache"))


def test_a_step_sees_a_clean_environment(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of `wf`'s own environment stay out, except for what the network and the system need."""
    (tmp_path / "ca.pem").touch()
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    backend = ProcessBackend(tmp_path, ca_bundle=tmp_path / "ca.pem")
    log, _ = Lab(backend, tmp_path).run(
        python("import json, os; print(json.dumps(dict(os.environ)))"), env={"MINE": "given"}
    )
    backend.teardown()
    env = json.loads(log)
    assert "AWS_SECRET_ACCESS_KEY" not in env
    assert (env["MINE"], env["PATH"], env["HTTPS_PROXY"], env["SSL_CERT_FILE"]) == (
        "given",
        os.environ["PATH"],
        "http://proxy.example",
        str(tmp_path / "ca.pem"),
    )


def test_a_long_line_arrives_whole(lab: Lab) -> None:
    """Ten megabytes without a line break lose no byte."""
    log, exit_ = lab.run(python("import sys; sys.stdout.write('0123456789' * (1 << 20))"))
    assert log == b"0123456789" * (1 << 20)
    assert exit_ == Exit(0)


@pytest.mark.parametrize(("kill", "code"), [(False, 143), (True, 137)])
def test_stop_ends_a_step_with_its_children(lab: Lab, kill: bool, code: int) -> None:
    """A stop from another thread reaches the whole group at once."""
    handle, _ = lab.start(
        python(
            """
            import subprocess, sys, time
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
            print(f"child={child.pid}", flush=True)
            time.sleep(300)
            """
        )
    )
    chunks = lab.backend.logs(handle)
    log = b""
    while not log.endswith(b"\n"):
        log += next(chunks)
    child = int(as_lines(log)["child"])
    lab.stop_after(0, handle, kill=kill)
    assert list(chunks) == []
    assert lab.backend.wait(handle) == Exit(code)
    lab.backend.destroy(handle)
    wait_until_gone(child)


def test_nothing_outlives_a_step(lab: Lab) -> None:
    """A child left in the background, which holds the log open, ends with its step."""
    handle, _ = lab.start(
        python(
            """
            import subprocess, sys
            print("child=%d" % subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]).pid)
            """
        )
    )
    log, exit_ = lab.finish(handle)
    assert exit_ == Exit(0)
    wait_until_gone(int(as_lines(log)["child"]))


def test_nothing_outlives_a_killed_wf(tmp_path: Path) -> None:
    """After `kill -9` of wf itself, its steps and their children end."""
    step = "import os, time; os.fork(); os.write(1, b'%d\\n' % os.getpid()); time.sleep(300)"
    program = f"""
        from pathlib import Path
        from tests.backends.tasks import Lab, make_task
        from wf.backends.process import ProcessBackend
        lab = Lab(ProcessBackend(Path({str(tmp_path)!r})), Path({str(tmp_path)!r}))
        handle, _ = lab.start(make_task("python", "-c", {step!r}))
        for chunk in lab.backend.logs(handle):
            print(chunk.decode(), end="", flush=True)
    """
    wf = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert wf.stdout is not None
    pids = [int(wf.stdout.readline()) for _ in range(2)]
    assert all(map(is_running, pids))
    wf.send_signal(signal.SIGKILL)
    wait_until_gone(*pids)
    wf.communicate()


def test_teardown_ends_the_guardian(lab: Lab) -> None:
    """After a run no process of the backend is left, and teardown may come without a run."""
    lab.run(python("pass"))
    backend = lab.backend
    assert isinstance(backend, ProcessBackend)
    guardian = backend._processes._guardian
    assert guardian is not None
    backend.teardown()
    assert guardian.returncode == 0
    backend.teardown()


def test_a_missing_program_is_named(lab: Lab) -> None:
    """A command that does not exist cannot start, and the error says so with the job."""
    with pytest.raises(EnvironmentProblem) as caught:
        lab.start(make_task("no-such-program"))
    assert str(caught.value) == ("job `job` could not start: [Errno 2] No such file or directory: 'no-such-program'")


def test_jobs_that_need_docker_are_named_together(lab: Lab, tmp_path: Path) -> None:
    """Every action that needs an image is refused in one error."""
    tasks = [python("pass"), *(make_task("bash", step=False, id=name) for name in ("Report", "Notify"))]
    with pytest.raises(EnvironmentProblem) as caught:
        lab.backend.prepare(make_plan(tmp_path, *tasks), print)
    assert str(caught.value) == (
        "job `Report` uses `script@v1`, which needs an image and so Docker\n"
        "job `Notify` uses `script@v1`, which needs an image and so Docker"
    )
    assert caught.value.hint == "`wf doctor` says what Docker lacks here."


def test_a_missing_gpu_is_named_with_its_job(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that insists on a GPU is refused on a machine without."""
    monkeypatch.setattr(process, "has_gpu", lambda: False)
    with pytest.raises(EnvironmentProblem) as caught:
        lab.backend.prepare(make_plan(tmp_path, python("pass", resources=Resources(gpus=2))), print)
    assert str(caught.value) == (
        "job `job` needs `gpus: 2`, but this machine has no /dev/nvidia0; `gpus: auto` runs without one too"
    )


def test_what_is_not_enforced_is_said(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory limit is told to be without effect, and packages that are missing are named."""
    monkeypatch.setattr(process, "missing_packages", lambda _: ["tensorflow", "polars"])
    lab.run(python("pass", resources=Resources(memory=1 << 30)))
    assert lab.lines() == [
        "limits of CPU and memory are not enforced without Docker: `job`",
        f"steps may fail: {sys.prefix} lacks tensorflow, polars (pip install -e '.[steps]')",
    ]


def test_the_digest_stands_for_the_installed_packages(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more installed package is another environment for the next run."""
    before = lab.backend.image_digest(python("pass"))
    assert lab.backend.image_digest(python("1")) == before
    (tmp_path / "new-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert ProcessBackend(tmp_path).image_digest(python("pass")) != before
