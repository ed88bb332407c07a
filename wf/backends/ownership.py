"""What a container wrote as some other user becomes the caller's, who could not even delete it otherwise."""

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from wf.backends.containers import run_helper
from wf.backends.convert import Surroundings, to_ownership_config
from wf.backends.engine import Engine, reporting
from wf.errors import EnvironmentProblem

OPEN_TO_ALL = 0o777
"""Mode of the folders that a task with a user of its own writes to, while it runs."""


def take_over(
    engine: Engine, folders: Mapping[str, Path], around: Surroundings, whose: str, *, keep_open: bool = False
) -> None:
    """Give everything in folders, by the places that they have in a container, to the caller.

    `keep_open` lets containers with other users go on changing what they left. `whose` files they are is for errors.
    """
    foreign = {place: folder for place, folder in folders.items() if has_foreign_files(folder)}
    if os.geteuid() == 0:
        for folder in foreign.values():
            give_to(folder, os.getuid(), os.getgid(), keep_open=keep_open)
    elif foreign:
        _take_over_in_container(engine, foreign, around, whose, keep_open=keep_open)


def has_foreign_files(folder: Path) -> bool:
    """Whether anything in it belongs to someone else than the caller."""
    me = os.getuid()
    return any(status.st_uid != me for _, status in _everything_in(folder))


def give_to(folder: Path, user: int, group: int, *, keep_open: bool = False) -> None:
    """Give everything in a folder to a user; links themselves, never what they point to."""
    for path, status in _everything_in(folder):
        with contextlib.suppress(FileNotFoundError):
            os.chown(path, user, group, follow_symlinks=False)
            if keep_open and not stat.S_ISLNK(status.st_mode):
                os.chmod(path, _opened(status.st_mode))  # noqa: PTH101 - as below


def close_folders(folder: Path) -> None:
    """Take back from folders, at the top and one below, that everybody may write to them."""
    for each in (folder, *folder.iterdir()):
        if each.is_dir() and not each.is_symlink() and stat.S_IMODE(each.stat().st_mode) == OPEN_TO_ALL:
            each.chmod(0o755)


def _everything_in(folder: Path) -> "list[tuple[str, os.stat_result]]":
    """Paths and what they are, without what somebody deletes meanwhile."""
    found = []
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)  # noqa: PTH118 - a walk over what may be a million files
            with contextlib.suppress(FileNotFoundError):
                found.append((path, os.lstat(path)))
    return found


def _opened(mode: int) -> int:
    return stat.S_IMODE(mode) | 0o666 | (0o111 if mode & 0o111 else 0)


def _take_over_in_container(
    engine: Engine, folders: Mapping[str, Path], around: Surroundings, whose: str, *, keep_open: bool
) -> None:
    """Only root may give files away, and a container may be root: of an image that is there anyway."""
    with reporting(f"the files of {whose} in {', '.join(map(str, folders.values()))} stay with another user"):
        code = run_helper(engine, to_ownership_config(folders, around, keep_open=keep_open))
    if code:
        raise EnvironmentProblem(f"the files of {whose} stay with another user: chown exited with {code}")
