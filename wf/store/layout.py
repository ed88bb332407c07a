"""Where things lie under `.wf/`, and the few file operations that its modules share."""

import fcntl
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from wf.errors import EnvironmentProblem
from wf.project import STORE
from wf.store.joblog import log_files

_FLUSHED_SINGLY = 64  # more files are flushed with the whole disk at once, which is then quicker

_README = """\
This folder belongs to `wf`. It holds what this project's runs have left:

wf.db        the history of runs and jobs; artifacts, datasets, models and deployments (SQLite)
artifacts/   outputs of jobs and imported datasets, named by their content: read-only
runs/        of each run the log of every job, and links to its outputs
code/        snapshots of `steps/`, as runs used them: read-only
plans/       compiled workflows, to be had again without compiling
state/       checkpoints of jobs that did not finish
claims/      which jobs are being carried out, by which run
quarantine/  artifacts that `wf fsck --repair` found damaged
deployments/ of each deployment its prediction log, and the lock of who changes it
secrets.env, registries.env
             what `wf secrets` and `wf registry` keep where there is no keyring
cache/       downloads that runs share
storage/     what jobs keep for later runs, at /storage

All of it may be deleted while nothing runs; the history, the datasets
and the secrets are then gone.
"""


class JobFolder(Struct, frozen=True):
    """The folder of one job in one run. Only its log outlives the job."""

    path: Path

    @property
    def log(self) -> Path:
        """What the job printed, masked."""
        return self.path / "log"

    @property
    def inputs(self) -> Path:
        """Files for the inputs that are text."""
        return self.path / "inputs"

    @property
    def outputs(self) -> Path:
        """What the task sees as `/outputs`."""
        return self.path / "outputs"

    @property
    def scratch(self) -> Path:
        """For the backend's own use."""
        return self.path / "scratch"

    @property
    def state(self) -> Path:
        """A state folder for this attempt only, where the shared one is in use."""
        return self.path / "state"

    def attempt_log(self, attempt: int) -> Path:
        """What an earlier attempt printed, counted from 1."""
        return self.path / f"log.{attempt}"

    def create(self, attempt: int = 1) -> None:
        """Make the folders of a job that starts; what it printed before, if it is tried again, is put aside."""
        self.path.mkdir(parents=True, exist_ok=attempt > 1)
        if attempt > 1 and self.log.exists():
            for old, new in zip(log_files(self.log), log_files(self.attempt_log(attempt - 1)), strict=True):
                if old.exists():
                    old.rename(new)
        self.outputs.mkdir()
        self.scratch.mkdir()

    def undo(self) -> None:
        """Leave the folder as it was before `create`: the job has not started after all."""
        self.clean()
        for file in log_files(self.log):
            file.unlink(missing_ok=True)
        if self.path.exists() and not any(self.path.iterdir()):
            self.path.rmdir()

    def renew(self) -> None:
        """Make the folders of a job that starts once more as if it had not."""
        self.clean()
        self.outputs.mkdir()
        self.scratch.mkdir()

    @property
    def parts(self) -> tuple[Path, ...]:
        """Everything in it but the log."""
        return self.inputs, self.outputs, self.scratch, self.state

    def clean(self) -> None:
        """Remove everything but the logs."""
        for folder in self.parts:
            remove_tree(folder)


class Layout:
    """The paths of one project's store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / STORE
        self.database = self.folder / "wf.db"
        self.artifacts = self.folder / "artifacts"
        self.runs = self.folder / "runs"
        self.code = self.folder / "code"
        self.state = self.folder / "state"
        self.cache = self.folder / "cache"
        self.storage = self.folder / "storage"
        self.deployments = self.folder / "deployments"
        self.temporary = self.folder / "tmp"
        self.claims = self.folder / "claims"
        self.quarantine = self.folder / "quarantine"

    def create(self) -> None:
        """Make what is not there, or no longer: all of it may be deleted by hand."""
        kept = self.artifacts, self.runs, self.code, self.state, self.cache, self.storage
        ignore = self.folder / ".gitignore"
        try:
            for folder in (*kept, self.temporary, self.claims):
                folder.mkdir(parents=True, exist_ok=True)
            if not ignore.exists():
                (self.folder / "README.txt").write_text(_README, encoding="utf-8")
                ignore.write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise EnvironmentProblem(
                f"{self.folder} cannot be written: {error.strerror}",
                hint="wf keeps its history and artifacts there: give it a folder that you may write to.",
            ) from error

    def predictions(self, deployment: str) -> Path:
        """Where a deployment's replicas log what they are asked and answer."""
        return self.deployments / deployment / "predictions"

    def run(self, run: int) -> Path:
        """The folder of a run."""
        return self.runs / str(run)

    def changes(self, run: int) -> Path:
        """What the project's tracked files differed in from their commit when a run began, if they did."""
        return self.run(run) / "changes.diff"

    def volume(self, run: int, name: str) -> Path:
        """The folder of a volume that jobs of a run share, which stays as empty as they find it."""
        return self.run(run) / "volumes" / name

    def artifact(self, digest: str) -> str:
        """Where an artifact lies, from the store's folder."""
        return f"artifacts/{digest[:2]}/{digest}"

    def output(self, run: int, job: str, output: str) -> Path:
        """A link to an output of a run, under a name that a person can type."""
        return self.runs / f"{run}/outputs/{_as_file_name(job)}/{_as_file_name(output)}"

    def outputs(self, run: int, job: str) -> Path:
        """The folder of the links to what a job of a run has left."""
        return self.runs / f"{run}/outputs/{_as_file_name(job)}"

    def link_output(self, run: int, job: str, output: str, digest: str) -> None:
        """Make the link to an output of a run, which stays right when the whole project is moved."""
        folder = f"{self.runs}/{run}/outputs/{_as_file_name(job)}"
        place = f"{folder}/{_as_file_name(output)}"
        try:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - in every run, of many outputs
            os.symlink(self.to_artifact(digest), place)  # noqa: PTH211 - as above
        except OSError as error:
            raise EnvironmentProblem(f"{place} cannot be written: {error.strerror}") from error

    def to_artifact(self, digest: str) -> str:
        """What the link to an output holds that is this artifact."""
        return f"../../../../{self.artifact(digest)}"

    def job(self, run: int, job: str) -> JobFolder:
        """The folder of a job in a run."""
        return JobFolder(Path(self._job(run, job)))

    def log(self, run: int, job: str) -> str:
        """What a job of a run printed, if it ran there."""
        return f"{self._job(run, job)}/log"

    def _job(self, run: int, job: str) -> str:
        return f"{self.runs}/{run}/jobs/{_as_file_name(job)}"


def below(path: Path, root: Path) -> str:
    """The path from `root`, if it lies there: how it is shown and recorded."""
    return str(path).removeprefix(f"{root}{os.sep}")


def flush(path: Path) -> None:
    """See to it that a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(path: Path) -> None:
    """See to it that a file, or a folder with everything in it, is on the disk."""
    found = [path]
    for folder, folders, files in os.walk(path):
        found += [each for name in (*folders, *files) if not (each := Path(folder, name)).is_symlink()]
        if len(found) > _FLUSHED_SINGLY:
            os.sync()
            return
    for each in reversed(found):
        flush(each)


def move(path: Path, place: Path) -> None:
    """Rename a file or folder, which may be read-only and stays so."""
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        path.chmod(stat.S_IMODE(mode) | stat.S_IWUSR)  # moving a folder needs the right to write to it
    path.rename(place)
    if stat.S_ISDIR(mode):
        place.chmod(stat.S_IMODE(mode))


def free_name(path: Path) -> Path:
    """The path, or if it is taken, with the first number after it that is free."""
    others = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], others) if not os.path.lexists(each))


def remove_tree(path: Path) -> None:
    """Remove a file, link or folder, read-only ones too; nothing happens where there is nothing."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        path.unlink()
        return
    folders = [path]
    for folder in folders:  # grows while it is walked: parents come before what they hold
        folder.chmod(0o700)
        with os.scandir(folder) as entries:
            for entry in entries:
                below = folder / entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(below)
                else:
                    below.unlink()
    for folder in reversed(folders):
        folder.rmdir()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder against every other process and thread; it ends with the process at the latest."""
    with _flocked(folder, fcntl.LOCK_EX):
        yield


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Keep others from clearing a folder away; any number may use it at once."""
    with _flocked(folder, fcntl.LOCK_SH):
        yield


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Whether nobody uses the folder; if so, nobody does before the end of the block."""
    try:
        with _flocked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield True
    except BlockingIOError:
        yield False


@contextmanager
def _flocked(folder: Path, operation: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


@lru_cache(maxsize=4096)
def _as_file_name(name: str) -> str:
    escaped = quote(name, safe=" (),=@:+")
    return escaped.replace(".", "%2E", 1) if escaped.startswith(".") else escaped
