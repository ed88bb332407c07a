"""Who carries a job out: one `wf` at a time for the same job, in this project.

A claim is a file that its holder has locked, and that names the run and job for which it was taken. The lock ends with
its process, however that ends. A claim that was given back is gone; one that is found free and still names a run is
that of a `wf` that was killed, and something of the job may still run.
"""

import fcntl
import json
import os
from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from wf.store.layout import Layout


class Holder(Struct, frozen=True):
    """For what a claim was taken."""

    run: int
    job: str


class Claim:
    """The right to carry a job out, held until it is given back or the process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.left_by = _read(path)
        """Whose `wf` was killed while it held the claim, if that is how it became free."""

    def name(self, holder: Holder) -> None:
        """Write down for what it was taken, before anything is started that may outlive this process."""
        text = json.dumps({"run": holder.run, "job": holder.job}).encode()
        os.pwrite(self._descriptor, text, 0)
        # Only now: ext4 writes a file that was emptied first to the disk when it is closed, even one that is removed.
        os.ftruncate(self._descriptor, len(text))

    def give_back(self) -> None:
        """Let others have it: the history holds how the job ended."""
        self._path.unlink(missing_ok=True)
        self.let_go()

    def let_go(self) -> None:
        """Leave it as a killed process would."""
        os.close(self._descriptor)


class Taken(Struct, frozen=True):
    """A claim that somebody else holds."""

    holder: Holder | None
    """Unknown for a moment after it was taken."""


class Claims:
    """The claims of one project. Safe to use from several threads and processes."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def take(self, name: str) -> Claim | Taken:
        """The claim of that name, or who has it."""
        path = self._layout.claims / name
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(path.stat(), os.fstat(descriptor)):
                    return Claim(path, descriptor)
            except BlockingIOError:
                os.close(descriptor)
                return Taken(_read(path))
            except FileNotFoundError:
                pass
            os.close(descriptor)  # it has just been given back, which removes it

    def named_runs(self) -> frozenset[int]:
        """The runs for which claims were taken that nobody has given back: their own or of others that took over."""
        holders = [_read(path) for path in self._layout.claims.iterdir()]
        return frozenset(holder.run for holder in holders if holder)

    def held_runs(self) -> frozenset[int]:
        """Those of them whose jobs a living process carries out."""
        found = set()
        for path in self._layout.claims.iterdir():
            claim = self.take(path.name)
            if isinstance(claim, Taken):
                found |= {claim.holder.run} if claim.holder else set()
            elif claim.left_by is None:
                claim.give_back()  # it had just gone, and was made again by being asked for
            else:
                claim.let_go()
        return frozenset(found)

    def forget(self, runs: Collection[int]) -> None:
        """Remove what killed processes have left of these runs, of which nothing is left to take over."""
        for path in self._layout.claims.iterdir():
            claim = self.take(path.name)
            if isinstance(claim, Claim):
                if claim.left_by is None or claim.left_by.run in runs:
                    claim.give_back()
                else:
                    claim.let_go()


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
