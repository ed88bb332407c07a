"""`git-checkout@v1` from the workflow to the files, against git's own server. No container runs."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Clock
from tests.programs.git_server import GitServer, Repository, serving
from tests.projects import compile_text
from wf.backends.process import ProcessBackend
from wf.backends.programs import WithPrograms
from wf.errors import EnvironmentProblem
from wf.events import Event, JobFinished, JobLog
from wf.plan import Plan
from wf.runner import run_plan
from wf.secrets import Secrets
from wf.store import Store

PASSWORD = "s3cret-of-the-test"


class Checkout:
    """Runs workflows with one job `Clone` and looks at what it left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "wf.toml").touch()
        self.events: list[Event] = []

    def plan(self, parameters: str, *, rest: str = "", outputs: str = "{repo: {type: volume}}") -> Plan:
        """The plan of a checkout with these parameters."""
        return compile_text(
            self.root, f"jobs: {{Clone: {{uses: git-checkout@v1, with: {parameters}, outputs: {outputs}}}}}\n{rest}"
        )

    def run(self, parameters: str, *, rest: str = "", **secrets: str) -> Path:
        """Run it; returns the folder that it left."""
        return self.run_plan(self.plan(parameters, rest=rest), **secrets)

    def run_plan(self, plan: Plan, **secrets: str) -> Path:
        """Run a plan; returns the folder that its job left."""
        store = Store.open(self.root)
        self.events.clear()
        run_plan(
            plan,
            backend=WithPrograms(ProcessBackend(self.root)),
            store=store,
            secrets=Secrets([secrets.get]),
            emit=self.events.append,
            jobs=1,
        )
        (job,) = store.history.jobs(store.history.run().id)
        if job.state != "succeeded":
            return self.root / "nothing"
        return store.artifacts.path(job.outputs[0].digest)

    def log(self) -> list[str]:
        """What the job printed."""
        return [line for event in self.events if isinstance(event, JobLog) for line in event.lines]

    def state(self) -> str:
        """How it ended."""
        return next(event.state for event in self.events if isinstance(event, JobFinished))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A project without a repository around it."""
    return Checkout(tmp_path / "project")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    """Serves `repo.git`: README.md says `two` on main, `one` at the tag v1 and `side` on the branch work/side."""
    repository = Repository(tmp_path / "work")
    repository.commit(README_md="one", src__train_py="pass")
    repository.git("tag", "v1")
    repository.git("checkout", "--quiet", "-b", "work/side")
    repository.commit(README_md="side")
    repository.git("checkout", "--quiet", "main")
    repository.commit(README_md="two")
    repository.publish(tmp_path / "served" / "repo.git")
    with serving(GitServer(tmp_path / "served")) as server:
        yield server


def read(folder: Path) -> str:
    """What the README of a checkout says."""
    return (folder / "README.md").read_text()


def commit_of(tmp_path: Path, name: str) -> str:
    """The full name of a commit of the served repository."""
    command = ["git", "-C", str(tmp_path / "served" / "repo.git"), "rev-parse", name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("ref", "text"), [("", "two"), ("v1", "one"), ("work/side", "side"), ("main", "two")])
def test_s7_3_ref_is_a_branch_or_a_tag(checkout: Checkout, server: GitServer, ref: str, text: str) -> None:
    """Without one, it is the default branch; the files lie directly in the output."""
    folder = checkout.run(f"{{url: '{server.address}/repo.git'" + (f", ref: {ref}" if ref else "") + "}")

    assert read(folder) == text
    assert (folder / "src" / "train.py").exists()


@pytest.mark.parametrize("length", [40, 10])
def test_s7_3_ref_is_a_commit(checkout: Checkout, server: GitServer, tmp_path: Path, length: int) -> None:
    """In full, or its first characters."""
    commit = commit_of(tmp_path, "v1")[:length]

    assert read(checkout.run(f"{{url: '{server.address}/repo.git', ref: '{commit}'}}")) == "one"


def test_s5_variables_of_the_job_fill_parameters(checkout: Checkout, server: GitServer) -> None:
    """`$NAME` and `${NAME}`, from the defaults and the job."""
    rest = f"defaults: {{env: {{GIT_REF: v1, HOST: '{server.address}'}}}}"

    assert read(checkout.run("{url: '${HOST}/repo.git', ref: $GIT_REF}", rest=rest)) == "one"


def test_s7_3_a_ref_that_is_not_there_is_named(checkout: Checkout, server: GitServer) -> None:
    """The job fails with the name."""
    checkout.run(f"{{url: '{server.address}/repo.git', ref: v9}}")

    assert checkout.log()[-1] == "error: the repository has no branch, tag or commit `v9`"
    assert checkout.state() == "failed"


def test_s7_3_path_deepens_the_output(checkout: Checkout, server: GitServer) -> None:
    """The files go into a folder of it."""
    folder = checkout.run(f"{{url: '{server.address}/repo.git', path: /outputs/repo/code}}")

    assert read(folder / "code") == "two"


def test_s7_3_the_password_is_nowhere(checkout: Checkout, server: GitServer) -> None:
    """It opens the repository, and is in no log, no plan and no file under the store."""
    server.login = f"me:{PASSWORD}"

    folder = checkout.run(f"{{url: '{server.address}/repo.git', username: me, password: 'secret:PW'}}", PW=PASSWORD)

    assert read(folder) == "two"
    assert PASSWORD not in repr(checkout.plan(f"{{url: '{server.address}/repo.git', password: 'secret:PW'}}"))
    assert PASSWORD not in repr(checkout.events)
    found = [path for path in (checkout.root / ".wf").rglob("*") if path.is_file() and PASSWORD in _text(path)]
    assert found == []


def test_s7_3_a_login_in_the_url_is_kept_nowhere(checkout: Checkout, server: GitServer) -> None:
    """A variable may hold the user and the password of a URL."""
    server.login = f"me:{PASSWORD}"
    url = server.address.replace("http://", "http://me:$PW@") + "/repo.git"

    folder = checkout.run(f"{{url: '{url}'}}", rest="defaults: {env: {PW: 'secret:PW'}}", PW=PASSWORD)

    assert PASSWORD not in (folder / ".git" / "config").read_text()
    assert PASSWORD not in repr(checkout.events)


def test_s7_3_the_password_is_in_no_process_list(
    checkout: Checkout, server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git and its children are started without it among their arguments."""
    server.login = f"me:{PASSWORD}"
    seen = tmp_path / "seen"
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    fake.write_text(f'#!/bin/sh\ncat /proc/[0-9]*/cmdline >> {seen} 2>/dev/null\nexec {real} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")

    checkout.run(f"{{url: '{server.address}/repo.git', username: me, password: 'secret:PW'}}", PW=PASSWORD)

    assert checkout.state() == "succeeded"
    assert b"git_checkout" in seen.read_bytes()
    assert PASSWORD.encode() not in seen.read_bytes()


def test_s7_3_a_wrong_password_fails_without_a_prompt(checkout: Checkout, server: GitServer) -> None:
    """And without showing it."""
    server.login = f"me:{PASSWORD}"

    checkout.run(f"{{url: '{server.address}/repo.git', username: me, password: 'secret:PW'}}", PW="wrong-password")

    assert checkout.log()[-1] == "error: git clone exited with code 128"
    assert "wrong-password" not in repr(checkout.events)


def test_s7_3_the_password_goes_to_no_other_host(checkout: Checkout, server: GitServer, tmp_path: Path) -> None:
    """A server that sends git elsewhere does not send the password along."""
    server.login = f"me:{PASSWORD}"
    with serving(GitServer(tmp_path, redirect=server.address)) as other:
        checkout.run(f"{{url: '{other.address}/repo.git', username: me, password: 'secret:PW'}}", PW=PASSWORD)

    assert checkout.state() == "failed"
    assert server.asked == []


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% pwned", "file:///etc", "--upload-pack=touch pwned", "-x", "/etc", "git://host/x"]
)
def test_s7_3_a_url_from_a_variable_cannot_run_programs(checkout: Checkout, url: str) -> None:
    """What the file itself may not say, no variable may either."""
    checkout.run("{url: $URL}", rest=f'defaults: {{env: {{URL: "{url}"}}}}')

    assert checkout.log() == [
        f"error: git is not given the URL `{url}`: write `https://...`, `http://...`, `ssh://...` or `git@HOST:PATH`"
    ]


@pytest.mark.parametrize("ref", ["--upload-pack=touch pwned", "-f", "a..b", "main:x", "@{-1}"])
def test_s7_3_a_ref_from_a_variable_is_no_option(checkout: Checkout, server: GitServer, ref: str) -> None:
    """It names a branch, a tag or a commit, or is refused."""
    checkout.run(f"{{url: '{server.address}/repo.git', ref: $REF}}", rest=f'defaults: {{env: {{REF: "{ref}"}}}}')

    assert checkout.log() == [f"error: `{ref}` cannot be checked out: write a branch, a tag or a commit"]


def test_s7_3_the_environment_of_a_job_is_no_environment_of_this_machine(
    checkout: Checkout, server: GitServer, tmp_path: Path
) -> None:
    """Variables that would make git, the loader or Python run something are only data."""
    pwned = tmp_path / "pwned"
    env = {
        "GIT_SSH_COMMAND": f"touch {pwned}",
        "GIT_ASKPASS": f"touch {pwned}",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": f"touch {pwned}",
        "LD_PRELOAD": "/nowhere.so",
        "PYTHONPATH": "/nowhere",
        "PATH": "/nowhere",
    }
    listed = ", ".join(f'{name}: "{value}"' for name, value in env.items())

    folder = checkout.run(f"{{url: '{server.address}/repo.git'}}", rest=f"defaults: {{env: {{{listed}}}}}")

    assert read(folder) == "two"
    assert not pwned.exists()


def test_s7_3_hooks_and_filters_do_not_run(
    checkout: Checkout, server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those of the user's template and configuration, nor what a repository asks for."""
    home, pwned = tmp_path / "home", tmp_path / "pwned"
    hook = home / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {pwned}\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(f'[core]\n hooksPath = {hook.parent}\n[filter "lfs"]\n smudge = touch {pwned}\n')
    monkeypatch.setenv("HOME", str(home))
    repository = Repository(tmp_path / "lfs")
    repository.commit(model_bin="version https://git-lfs.github.com/spec/v1\n")
    (repository.folder / ".gitattributes").write_text("*.bin filter=lfs\n")
    repository.commit()
    repository.publish(server.folder / "lfs.git")

    folder = checkout.run(f"{{url: '{server.address}/lfs.git'}}")

    assert (folder / "model.bin").read_text() == "version https://git-lfs.github.com/spec/v1\n"
    assert not pwned.exists()


def test_s7_3_submodules_stay_empty(checkout: Checkout, server: GitServer, tmp_path: Path) -> None:
    """Their folders are there, as git leaves them."""
    repository = Repository(tmp_path / "outer")
    repository.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", f"{server.folder}/repo.git", "sub"
    )
    repository.commit()
    repository.publish(server.folder / "outer.git")

    folder = checkout.run(f"{{url: '{server.address}/outer.git'}}")

    assert list((folder / "sub").iterdir()) == []


def test_s5_the_context_is_the_work_tree_and_its_commit(tmp_path: Path) -> None:
    """What is not committed is left out, and the log says so; the user's own objects are not linked."""
    repository = Repository(tmp_path / "project")
    commit = repository.commit(README_md="committed", _gitignore=".wf\nsteps\ncontainers\n")
    (repository.folder / "README.md").write_text("changed")
    checkout = Checkout.__new__(Checkout)
    checkout.root, checkout.events = repository.folder, []

    folder = checkout.run("{url: context.event.github.url, ref: context.event.github.ref}")

    assert read(folder) == "committed"
    assert checkout.log() == [
        f"note: {repository.folder} has changes that are not committed; they are left out",
        f"cloning {repository.folder}",
        f"checked out {commit}",
    ]
    objects = [path for path in (repository.folder / ".git" / "objects").rglob("*") if path.is_file()]
    assert {path.stat().st_nlink for path in objects} == {1}


@pytest.mark.parametrize(("ref", "reuse"), [("a" * 40, True), ("main", False), ("$REF", False), ("abcdef1", False)])
def test_only_a_commit_is_checked_out_once(checkout: Checkout, ref: str, reuse: bool) -> None:
    """A branch may have moved since, so it is cloned anew in each run."""
    (task,) = checkout.plan(f"{{url: 'https://example.com/x', ref: '{ref}'}}").tasks

    assert task.reuse is reuse


def test_s2_a_context_block_wins_over_the_work_tree(checkout: Checkout, server: GitServer) -> None:
    """Files with one come from pages of runs."""
    rest = f"context: {{event: {{github: {{ref: v1, url: '{server.address}/repo.git'}}}}}}"

    assert read(checkout.run("{url: context.event.github.url, ref: context.event.github.ref}", rest=rest)) == "one"


def test_git_must_be_installed(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run does not begin without it."""
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(EnvironmentProblem) as caught:
        checkout.run("{url: 'https://example.com/x.git'}")

    assert str(caught.value) == "job `Clone` needs `git`, which is not installed on this machine"


def test_all_that_is_missing_is_named_together(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """What programs need, and what the backend needs for the rest."""
    monkeypatch.setenv("PATH", "/nowhere")
    plan = compile_text(
        checkout.root,
        """
        jobs:
          Clone: {uses: git-checkout@v1, with: {url: 'https://example.com/x'}, outputs: {repo: {type: volume}}}
          Use: {uses: script@v1, with: {image: x, script: ls}}
        """,
    )

    with pytest.raises(EnvironmentProblem) as caught:
        WithPrograms(ProcessBackend(checkout.root)).prepare(plan, lambda _: None)

    first, second = str(caught.value).splitlines()
    assert first == "job `Clone` needs `git`, which is not installed on this machine"
    assert "`Use`" in second


@pytest.mark.parametrize("url", ["git@HOST:repo.git", "ssh://git@HOST/repo.git"])
def test_s7_3_ssh_urls_are_cloned_with_the_users_ssh(
    checkout: Checkout, server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """A stand-in for ssh says what it was asked, and answers with git's own program."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f"exec git-upload-pack {server.folder}/repo.git 2>/dev/null || exec git upload-pack {server.folder}/repo.git\n"
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")

    assert read(checkout.run(f"{{url: '{url.replace('HOST', 'git.example.com')}', ref: v1}}")) == "one"

    assert "git@git.example.com git-upload-pack" in (tmp_path / "asked").read_text()


def test_a_checkout_that_runs_is_stopped(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """When its time is over, with the git that it had started; nothing of it goes on."""
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(
        f"#!/bin/sh\ntest $1 = -C && exit 1  # wf asks, not the job\necho $$ > {tmp_path}/pid\nexec sleep 300\n"
    )
    git.chmod(0o755)
    plan = checkout.plan("{url: 'https://example.com/x'}", rest="timeout: 10m")
    monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")

    def await_git() -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.05)
        clock.move_on(600)

    threading.Thread(target=await_git, daemon=True).start()
    checkout.run_plan(plan)

    assert checkout.state() == "failed"
    pid = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{pid}").exists():  # it was killed with the rest, and somebody has still to reap it
        time.sleep(0.05)


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")
