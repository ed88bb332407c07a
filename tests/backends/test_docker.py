"""The Docker backend against a real engine."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backends.gate import Gate
from tests.backends.tasks import Lab, as_lines, containers_of, its_turn, make_launch, make_plan, make_task
from wf.backends.base import Exit
from wf.backends.docker import DockerBackend
from wf.backends.engine import find_engine
from wf.errors import EnvironmentProblem
from wf.plan import LocalFile, RegistryImage, Resources, Task
from wf.settings import Settings

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_tasks(lab: Lab, shell: Callable[..., Task], code: int) -> None:
    """A container's exit code comes back as it is."""
    assert lab.run(shell(f"exit {code}")) == (b"", Exit(code))


def test_output_and_errors_come_in_order(lab: Lab, shell: Callable[..., Task]) -> None:
    """Standard output and error arrive together, in the order of writing, from the first byte on."""
    log, _ = lab.run(shell("echo first; echo second >&2; sleep 0.1; echo third"))
    assert sorted(log.splitlines()[:2]) == [b"first", b"second"]
    assert log.endswith(b"third\n")


def test_a_long_line_arrives_whole(lab: Lab, python: Callable[..., Task]) -> None:
    """Ten megabytes without a line break lose no byte, and are handed on in small chunks."""
    code = """
        import sys
        sys.stdout.write("".join(f"{number:08d}" for number in range(10 << 20 >> 3)))
    """
    handle, _ = lab.start(python(code))
    chunks = list(lab.backend.logs(handle))
    assert lab.backend.wait(handle).code == 0
    lab.backend.destroy(handle)
    assert b"".join(chunks) == b"".join(b"%08d" % number for number in range(10 << 20 >> 3))
    assert max(map(len, chunks)) <= 1 << 16


def test_running_out_of_memory_is_named(lab: Lab, python: Callable[..., Task]) -> None:
    """A task that exceeds its memory is killed, and the engine's word for it is passed on."""
    task = python("x = bytearray(500 << 20)", resources=Resources(memory=64 << 20))
    assert lab.run(task)[1] == Exit(137, out_of_memory=True)


def test_limits_reach_the_container(lab: Lab, client: Any, python: Callable[..., Task]) -> None:
    """CPUs, memory and the number of processes are limited."""
    task = python("import time; time.sleep(60)", resources=Resources(cpus=0.5, memory=128 << 20))
    handle, _ = lab.start(task)
    limits = client.inspect_container(containers_of(client, lab)[0]["Id"])["HostConfig"]
    lab.backend.stop(handle, kill=True)
    lab.finish(handle)
    assert (limits["NanoCpus"], limits["Memory"], limits["MemorySwap"]) == (500_000_000, 128 << 20, 128 << 20)
    assert limits["PidsLimit"] == 4096


def test_a_step_finds_its_folders(lab: Lab, tmp_path: Path, python: Callable[..., Task]) -> None:
    """Inputs, code and local files are readable, outputs, state and cache writable, and all at their places."""
    for name in ("dataset", "state", "cache", "code/steps"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "dataset/rows.csv").write_text("1,2")
    (tmp_path / "word").write_text("hello")
    (tmp_path / "code/steps/hello.py").write_text("print('word=' + open('/inputs/word').read())")
    (tmp_path / "my ratings.csv").write_text("mine")
    code = """
        import os, json, steps.hello
        print("rows=" + open("/inputs/data/rows.csv").read())
        print("local=" + open(json.loads(os.environ["WF_LOCAL_FILES"])["file"]).read())
        print("cwd=" + os.getcwd())
        for folder in ("/outputs", "/inputs", "/tmp", *map(os.environ.get, ("WF_STATE", "WF_CACHE", "HOME"))):
            open(folder + "/written", "w").close()
        for path in ("/inputs/data/new", "/inputs/word", "/code/new", "/new", "/local/file/new"):
            try:
                open(path, "w")
                print(path + "=writable")
            except OSError:
                pass
    """
    log, exit_ = lab.run(
        python(code, local_files=(LocalFile("file", tmp_path / "my ratings.csv"),)),
        inputs={"data": tmp_path / "dataset", "word": tmp_path / "word"},
        state=tmp_path / "state",
        cache=tmp_path / "cache",
        code=tmp_path / "code",
    )
    assert as_lines(log) == {"rows": "1,2", "word": "hello", "local": "mine", "cwd": "/code"}
    assert exit_ == Exit(0)
    assert (tmp_path / "state/written").exists()
    assert (tmp_path / "cache/written").exists()
    assert (tmp_path / "launch-1/outputs/written").exists()


def test_a_step_is_locked_in(lab: Lab, python: Callable[..., Task]) -> None:
    """A step runs as the caller, with no capability, no way to gain one, and no network."""
    code = """
        import os, socket
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        print("user=%d:%d" % (os.getuid(), os.getgid()))
        print("capabilities=" + status["CapEff"].strip())
        print("no_new_privileges=" + status["NoNewPrivs"].strip())
        print("interfaces=" + ",".join(name for _, name in socket.if_nameindex()))
    """
    assert as_lines(lab.run(python(code))[0]) == {
        "user": f"{os.getuid()}:{os.getgid()}",
        "capabilities": "0000000000000000",
        "no_new_privileges": "1",
        "interfaces": "lo",
    }


def test_another_task_keeps_what_its_image_says(lab: Lab, shell: Callable[..., Task]) -> None:
    """A script has the image's user and working directory, a writable root, and the network."""
    log, _ = lab.run(shell("echo cwd=$PWD; touch /new && echo root=writable; echo user=$(id -u); ls /sys/class/net"))
    assert as_lines(log) == {"cwd": "/", "root": "writable", "user": "0"}
    assert b"eth0" in log


def test_the_ca_bundle_reaches_jobs_with_a_network(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: Callable[..., Task]
) -> None:
    """A step with the network finds the CA bundle and proxies of this machine, one without does not."""
    (tmp_path / "ca.pem").write_text("the bundle")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    code = """
        import os
        path = os.environ.get("REQUESTS_CA_BUNDLE", "")
        print("bundle=" + (open(path).read() if path else "none"))
        print("proxy=" + os.environ.get("HTTP_PROXY", "none"))
    """
    online, _ = lab.run(python(code, network=True))
    offline, _ = lab.run(python(code))
    assert as_lines(online) == {"bundle": "the bundle", "proxy": "http://proxy.example:3128"}
    assert as_lines(offline) == {"bundle": "none", "proxy": "none"}


def test_outputs_become_the_callers(lab: Lab, tmp_path: Path, shell: Callable[..., Task]) -> None:
    """What a container writes as some other user belongs to the caller before anyone looks at it."""
    handle, launch = lab.start(
        shell(
            "mkdir -p /outputs/a/b && touch /outputs/a/b/c && ln -s /etc /outputs/link"
            " && touch /inputs/d && chown -hR 1234:1234 /outputs/* /inputs/d"
        )
    )
    assert list(lab.backend.logs(handle)) == []
    assert lab.backend.wait(handle).code == 0
    owners = {path.name: path.lstat().st_uid for path in tmp_path.glob("launch-1/**/*")}
    lab.backend.destroy(handle)
    assert {"a", "b", "c", "d", "link"} <= owners.keys()
    assert set(owners.values()) == {os.getuid()}
    assert launch.outputs.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user to try it as")
def test_files_of_root_become_those_of_an_ordinary_user(
    lab: Lab, tmp_path: Path, shell: Callable[..., Task], base_image: str
) -> None:
    """A caller who is not root gets the files through a container, and can delete them."""
    program = f"""
        import os, shutil, sys
        import configparser, docker  # which this user may not read
        from pathlib import Path
        from tests.backends.tasks import Lab, make_task
        from wf.backends.docker import DockerBackend
        from wf.backends.engine import find_engine
        from wf.settings import Settings
        root = Path({str(tmp_path / "project")!r})
        engine = find_engine()
        lab = Lab(DockerBackend(root, Settings(), engine), root)
        os.setgroups([os.stat(engine.address.removeprefix("unix://")).st_gid])
        os.setgid(1234)
        os.setuid(1234)
        step = make_task("sh", "-c", "id -u; touch /outputs/mine", image={base_image!r})
        log, end = lab.run(step)
        print(log, end.code)
        script = "mkdir -m 700 /outputs/dir; touch /outputs/dir/file /inputs/file"
        log, end = lab.run(make_task("bash", "-c", script, image={base_image!r}, step=False))
        print(log, end.code)
        print(sorted((path.name, path.lstat().st_uid) for path in root.glob("launch-*/*/**/*")))
        shutil.rmtree(root / "launch-2")
    """
    (tmp_path / "project").mkdir()
    os.chown(tmp_path / "project", 1234, 1234)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": "/nowhere"},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "b'1234\\n' 0",
        "b'' 0",
        "[('dir', 1234), ('file', 1234), ('file', 1234), ('mine', 1234)]",
    ]


@pytest.mark.parametrize(("kill", "code"), [(False, 143), (True, 137)])
def test_stop_ends_a_task_soon(lab: Lab, shell: Callable[..., Task], kill: bool, code: int) -> None:
    """A task that is stopped from another thread ends within seconds, with its children."""
    handle, _ = lab.start(shell("sleep 300 & sleep 300; echo never"))
    started = time.monotonic()
    lab.stop_after(0.3, handle, kill=kill)
    assert lab.finish(handle) == (b"", Exit(code))
    assert time.monotonic() - started < 60


def test_a_stopped_step_may_say_goodbye(lab: Lab, python: Callable[..., Task]) -> None:
    """SIGTERM reaches the step itself, which may still clean up."""
    code = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        print("ready", flush=True)
        try:
            time.sleep(300)
        finally:
            print("bye")
    """
    handle, _ = lab.start(python(code))
    lab.stop_after(1, handle)
    assert lab.finish(handle) == (b"ready\nbye\n", Exit(5))


def test_a_container_that_vanished_has_not_succeeded(lab: Lab, client: Any, shell: Callable[..., Task]) -> None:
    """Somebody else's `docker rm -f` is a failure of the job, with a reason."""
    handle, _ = lab.start(shell("sleep 300"))
    container = containers_of(client, lab)[0]
    threading.Timer(0.3, client.remove_container, [container["Id"]], {"force": True}).start()
    _, exit_ = lab.finish(handle)
    assert exit_.code != 0
    lab.backend.destroy(handle)


def test_a_container_that_is_gone_before_wait_has_not_succeeded(
    lab: Lab, client: Any, shell: Callable[..., Task]
) -> None:
    """A container removed after its end, but before anyone asked, counts as failed too."""
    handle, _ = lab.start(shell("exit 0"))
    assert list(lab.backend.logs(handle)) == []
    client.remove_container(containers_of(client, lab)[0]["Id"], force=True)
    assert lab.backend.wait(handle) == Exit(125, error="its container is gone: something other than wf removed it")
    lab.backend.destroy(handle)


def test_an_engine_that_goes_away_has_not_let_a_task_succeed(
    lab: Lab, tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch, shell: Callable[..., Task]
) -> None:
    """When the engine stops answering in the middle of a task, its end is an error, never a success."""
    address = find_engine().address
    if not address.startswith("unix://"):
        pytest.skip("the engine is not behind a socket of this machine")
    with Gate(tmp_path / "gate.sock", address.removeprefix("unix://")) as gate:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{gate.path}")
        backend = DockerBackend(tmp_path, Settings(), find_engine())
        monkeypatch.undo()
        behind = Lab(backend, tmp_path)
        handle, _ = behind.start(shell("echo before; sleep 300"))
        threading.Timer(0.5, gate.close).start()
        assert b"".join(backend.logs(handle)) == b"before\n"
        with pytest.raises(EnvironmentProblem) as caught:
            backend.wait(handle)
        assert str(caught.value) == "the engine cannot say how job `job` ended: nothing listens there"
        backend.stop(handle)
        with pytest.raises(EnvironmentProblem):
            backend.destroy(handle)
    # The engine is back.
    assert lab.backend.sweep([7]) == 1


def test_an_engine_elsewhere_is_asked_by_the_sdk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: Callable[..., Task]
) -> None:
    """Addresses that are not plain sockets, such as those with TLS or ssh, are the SDK's business: all works alike."""
    address = find_engine().address
    if not address.startswith("unix://"):
        pytest.skip("the engine is not behind a socket of this machine")
    monkeypatch.setenv("DOCKER_HOST", f"http+{address}")
    backend = DockerBackend(tmp_path, Settings())
    elsewhere = Lab(backend, tmp_path)
    handle, launch = elsewhere.start(shell("echo one; sleep 2; echo two; exit 3"))
    adopted = backend.adopt(launch, "job")
    assert adopted is not None
    assert not adopted.ended
    assert b"".join(backend.logs(adopted.handle)) == b"one\ntwo\n"
    assert elsewhere.finish(handle) == (b"one\ntwo\n", Exit(3))
    backend.destroy(handle)
    with pytest.raises(EnvironmentProblem) as caught:
        elsewhere.start(shell("true", resources=Resources(memory=1)))
    assert str(caught.value).startswith("job `job` could not start: Minimum memory limit")
    backend.teardown()


def test_a_task_that_cannot_start_leaves_nothing(lab: Lab, shell: Callable[..., Task]) -> None:
    """What the engine refuses is one short error that names the job."""
    with pytest.raises(EnvironmentProblem) as caught:
        lab.start(shell("true", resources=Resources(memory=1)))
    assert str(caught.value).startswith("job `job` could not start: Minimum memory limit")


def test_tasks_run_at_once_from_many_threads(tmp_path: Path, lab: Lab, shell: Callable[..., Task]) -> None:
    """Eight threads share one backend and get their own logs and exit codes."""
    tasks = [shell(f"echo {number}; exit {number}", id=f"job-{number}") for number in range(8)]
    lab.backend.prepare(make_plan(tmp_path, *tasks), lab.told.append)
    results: dict[str, tuple[bytes, Exit]] = {}

    def run(task: Task) -> None:
        handle = lab.backend.start(make_launch(tmp_path / task.id, task), its_turn())
        results[task.id] = lab.finish(handle)

    threads = [threading.Thread(target=run, args=[task]) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {f"job-{number}": (b"%d\n" % number, Exit(number)) for number in range(8)}


def test_sweep_removes_the_containers_of_dead_runs_only(lab: Lab, client: Any, shell: Callable[..., Task]) -> None:
    """A killed `wf` leaves a container; `sweep` removes it by project and run, and nothing else."""
    handle, _ = lab.start(shell("sleep 300"))
    assert lab.backend.sweep([6, 70]) == 0
    assert DockerBackend(lab.root / "elsewhere", Settings()).sweep([7]) == 0
    assert len(containers_of(client, lab)) == 1
    assert lab.backend.sweep([6, 7]) == 1
    assert lab.finish(handle)[1].code != 0


def test_the_digest_is_the_images_id(lab: Lab, client: Any, base_image: str) -> None:
    """An image is identified by the hash of its content, whatever it is called."""
    task = make_task("true", image=base_image)
    lab.backend.prepare(make_plan(lab.root, task), lab.told.append)
    assert lab.backend.image_digest(task) == client.inspect_image(base_image)["Id"]


def test_an_image_with_its_own_command_keeps_it(lab: Lab, client: Any, base_image: str) -> None:
    """Without entrypoint and command the image's own run."""
    container = client.create_container(base_image, "true", labels={"wf": "1"})["Id"]
    own = client.commit(container, changes=['ENTRYPOINT ["echo", "own"]', 'CMD ["words"]'])["Id"]
    client.remove_container(container)
    try:
        task = make_task(step=False)
        log, _ = lab.run(Task(task.id, task.action, RegistryImage(own), None, (), task.span))
        assert log == b"own words\n"
        log, _ = lab.run(Task(task.id, task.action, RegistryImage(own), None, ("args",), task.span))
        assert log == b"own args\n"
    finally:
        client.remove_image(own)
