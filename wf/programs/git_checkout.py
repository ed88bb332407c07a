"""`git-checkout@v1`: the files of one commit, in an output of the job.

Submodules and Git LFS stay as the commit has them. git sees no configuration but ours: no hooks, no filters, no helpers
of the user's; the password reaches it through an environment variable, only for the host of the URL, and only when that
host asks.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from wf.programs.git_url import PROTOCOLS, Remote, quoted, read_remote, ref_problem, url_problem
from wf.programs.shared import ProgramError, output_folder, run_program

_ISOLATED: Final = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
_HELPER: Final = '!f() { echo "username=$WF_GIT_USERNAME"; echo "password=$WF_GIT_PASSWORD"; }; f'


class _Git:
    """git in one folder, with an environment of its own."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = env

    def run(self, *words: str) -> None:
        """Run it, its output going to the log."""
        code = subprocess.run(["git", *words], cwd=self._folder, env=self._env, check=False).returncode
        if code:
            raise ProgramError(f"git {words[0]} exited with code {code}")

    def says(self, *words: str) -> str:
        """What it prints, or nothing if it fails."""
        done = subprocess.run(
            ["git", *words], cwd=self._folder, env=self._env, check=False, capture_output=True, text=True
        )
        return done.stdout.strip() if done.returncode == 0 else ""


def check_out(parameters: Mapping[str, str]) -> None:
    """Clone, and put the files of `ref` into `path`.

    Args:
        parameters: `path`, and `url` or, for a work tree of this machine, `work-tree`; `ref`, `username`, `password`.

    Raises:
        ProgramError: the repository, or what `ref` names, cannot be had.
    """
    url, ref = parameters.get("url", ""), parameters.get("ref", "")
    if url and (problem := url_problem(url)):
        raise ProgramError(f"git is not given the URL `{_without_password(url)}`: {problem}")
    if ref and (problem := ref_problem(ref)):
        raise ProgramError(f"`{ref}` cannot be checked out: {problem}")
    folder = output_folder(parameters["path"])
    if any(folder.iterdir()):
        raise ProgramError(f"{parameters['path']} is not empty")
    local = parameters.get("work-tree", "")
    if local:
        cloning, source = _environment(isolated=False), local
        if _Git(Path(local), cloning).says("status", "--porcelain"):
            _say(f"note: {local} has changes that are not committed; they are left out")
    else:
        remote = read_remote(url, parameters.get("username", ""), parameters.get("password", ""))
        cloning, source = _environment(remote), remote.url
    _say(f"cloning {source}")
    git = _Git(folder, cloning)
    # No hard links: what the store makes read-only must not be the user's own objects.
    git.run("clone", "--quiet", "--no-checkout", "--no-hardlinks", "--template=", "--", source, ".")
    commit = _find(git, ref)
    _Git(folder, _environment()).run("checkout", "--quiet", "--detach", commit)
    named = "" if ref == commit else f", which is {ref or 'the default branch'}"
    _say(f"checked out {commit}{named}")


def _find(git: _Git, ref: str) -> str:
    """The commit that a branch, a tag or a commit's own name means."""
    names = [f"refs/remotes/origin/{ref or 'HEAD'}"]
    if ref:
        names += [f"refs/tags/{ref}", *([ref] if re.fullmatch(r"[0-9a-f]{4,64}", ref) else [])]
    for name in names:
        if commit := git.says("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"):
            return commit
    # A commit that no branch leads to, or a full name such as `refs/pull/1/head`: the server may still have it.
    if re.fullmatch(r"[0-9a-f]{40,64}|refs/.+", ref):
        git.says("fetch", "--quiet", "origin", ref)
        if commit := git.says("rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}"):
            return commit
    raise ProgramError(f"the repository has no {f'branch, tag or commit `{ref}`' if ref else 'commits'}")


def _environment(remote: Remote | None = None, *, isolated: bool = True) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_CONFIG", "WF_"))}
    config = {"core.hooksPath": os.devnull, "advice.detachedHead": "false"}
    if remote and remote.host and (remote.username or remote.password):
        for text in (remote.username, remote.password):
            if re.search(r"[\r\n\0]", text):
                raise ProgramError("`username` and `password` must be one line each")
        config[f"credential.{quoted(remote.host)}.helper"] = _HELPER
        env |= {"WF_GIT_USERNAME": remote.username, "WF_GIT_PASSWORD": remote.password}
    env |= {"GIT_CONFIG_COUNT": str(len(config))}
    for index, (key, value) in enumerate(config.items()):
        env |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return (
        env
        | (_ISOLATED if isolated else {})
        | {
            "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS) if remote else "file",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "GIT_LFS_SKIP_SMUDGE": "1",
        }
    )


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a job's log is what it prints


def main(argv: Sequence[str] | None = None) -> int:
    """The program."""
    return run_program(check_out, argv)


if __name__ == "__main__":
    sys.exit(main())
