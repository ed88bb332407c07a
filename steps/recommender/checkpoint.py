"""Training kept on disk between two epochs, so that an interrupted one continues."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Arrays = Sequence[npt.NDArray[Any]]

FILE_NAME: Final = "checkpoint.npz"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that training needs to go on after an epoch as if it had never stopped."""

    fingerprint: str
    """Says of which parameters and data this is the state."""
    history: list[dict[str, Any]]
    """One record for each epoch that is done."""
    weights: Arrays
    optimizer: Arrays
    best_epoch: int
    best_weights: Arrays


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the checkpoint in place of the one before. Whoever reads sees the old one or the new one, whole."""
    facts = {
        "fingerprint": checkpoint.fingerprint,
        "history": checkpoint.history,
        "best_epoch": checkpoint.best_epoch,
    }
    arrays = {
        f"{group}/{number}": array
        for group in ("weights", "optimizer", "best_weights")
        for number, array in enumerate(getattr(checkpoint, group))
    }
    unfinished = folder / f"{FILE_NAME}.unfinished"
    with unfinished.open("wb") as file:
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / FILE_NAME)


def load(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint in `folder`, or None where there is none with this fingerprint."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        facts = json.loads(str(stored["facts"]))
        if facts["fingerprint"] != fingerprint:
            return None
        return Checkpoint(
            fingerprint=fingerprint,
            history=facts["history"],
            weights=_group(stored, "weights"),
            optimizer=_group(stored, "optimizer"),
            best_epoch=facts["best_epoch"],
            best_weights=_group(stored, "best_weights"),
        )


def _group(stored: Any, group: str) -> Arrays:
    count = sum(name.startswith(f"{group}/") for name in stored.files)
    return [stored[f"{group}/{number}"] for number in range(count)]
