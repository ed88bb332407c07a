"""Files of this machine on their way into the store, and content of the store on its way out."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from wf.errors import EnvironmentProblem, InvalidWorkflow, Problem
from wf.store.archives import extract, is_archive
from wf.store.layout import Layout, remove_tree


def stage(path: Path, layout: Layout) -> tuple[Path, tuple[str, ...]]:
    """Copy a folder, or a file into a folder of its own, next to the store. Links stay links: none is followed.

    Returns:
        The copy, and the links that lead out of the folder.
    """
    if not path.exists():
        raise InvalidWorkflow([Problem(f"there is no file or folder `{path}`")])
    source = path.resolve()
    if layout.folder.resolve().is_relative_to(source) or source.is_relative_to(layout.folder.resolve()):
        raise InvalidWorkflow([Problem(f"`{path}` holds wf's own store, or is part of it: it cannot be imported")])
    odd = [each for each in _everything_in(source) if _is_special(each)]
    if odd:
        raise EnvironmentProblem(f"{odd[0]} is neither a file, a folder nor a link: it cannot be kept")
    copy = layout.temporary / f"import-{uuid4().hex}"
    copied = False
    try:
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, copy_function=shutil.copy)
        else:
            copy.mkdir()
            shutil.copy(source, copy / path.name)
        copied = True
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be copied: {_reason(error)}") from error
    finally:
        if not copied:
            remove_tree(copy)
    return copy, tuple(str(each.relative_to(source)) for each in _everything_in(source) if _leads_out(each, source))


def stage_archive(path: Path, layout: Layout) -> Path:
    """Unpack a zip or tar file next to the store. Raises `InvalidWorkflow` if it is none, or reaches outside."""
    if not is_archive(path):
        hint = "a zip or tar file ends with .zip, .tar, .tar.gz, .tgz, .tar.bz2 or .tar.xz"
        raise InvalidWorkflow([Problem(f"`{path}` is not an archive", hint=hint)])
    folder = layout.temporary / f"import-{uuid4().hex}"
    folder.mkdir()
    try:
        extract(path, folder)
    except BaseException:
        remove_tree(folder)
        raise
    return folder


def copy_out(content: Path, folder: Path) -> None:
    """Copy a folder of the store to a new or empty folder, as files that may be changed."""
    try:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            hint = "name a folder that is new or empty"
            raise InvalidWorkflow([Problem(f"`{folder}` is not an empty folder", hint=hint)])
        shutil.copytree(content, folder, symlinks=True, copy_function=_copy_writable, dirs_exist_ok=True)
        for each in (folder, *_everything_in(folder)):
            if each.is_dir() and not each.is_symlink():
                each.chmod(0o755)
    except OSError as error:
        raise EnvironmentProblem(f"{folder} cannot be written: {_reason(error)}") from error


def _copy_writable(source: str, target: str) -> str:
    shutil.copy(source, target)
    place = Path(target)
    place.chmod(place.stat().st_mode | stat.S_IWUSR)
    return target


def _everything_in(folder: Path) -> Iterator[Path]:
    for top, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            yield Path(top) / name


def _is_special(path: Path) -> bool:
    mode = path.lstat().st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _leads_out(path: Path, folder: Path) -> bool:
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(folder)


def _reason(error: OSError) -> str:
    if isinstance(error, shutil.Error):
        return "; ".join(f"{source}: {reason}" for source, _, reason in error.args[0])
    return f"{error.strerror}: {error.filename}"
