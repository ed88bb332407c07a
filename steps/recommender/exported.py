"""An exported model, as a server loads it: what it takes, what it answers, and whether it is better than another."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import tensorflow as tf

from steps.entry import StepError
from steps.recommender.metrics import Bootstrap, Comparison, Floats

BATCH: Final = 10_000
_SIGNATURE: Final = "serving_default"
_NEW, _SERVED = "new", "served"


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A loaded SavedModel and what its export said about it."""

    signatures: Mapping[str, Any]
    description: Mapping[str, Any]
    """`export.json`."""
    loaded: Any
    """What keeps the signatures' tables alive."""

    @classmethod
    def load(cls, folder: Path) -> "ExportedModel":
        """Read what the step `export` wrote.

        Raises:
            StepError: TensorFlow cannot load it.
        """
        try:
            loaded = tf.saved_model.load(str(folder))
        except (OSError, ValueError) as error:
            raise StepError(f"TensorFlow cannot load the model: {str(error).splitlines()[0]}") from error
        return cls(dict(loaded.signatures), json.loads((folder / "export.json").read_text()), loaded)

    def check_signatures(self) -> None:
        """Raises StepError where a signature does not take what `export.json` says."""
        for name, described in self.description["signatures"].items():
            if name not in self.signatures:
                raise StepError(f"the model has no signature `{name}`, which its export.json describes")
            taken = self.signatures[name].structured_input_signature[1]
            found = {column: spec.dtype.name for column, spec in taken.items()}
            if found != described["inputs"]:
                raise StepError(f"signature `{name}` takes {found}, and its export.json says {described['inputs']}")

    def largest_difference(self) -> float:
        """How far the sample answers are off those that the trained model gave.

        Raises:
            StepError: by more than the export allows.
        """
        smoke = self.description["smoke_test"]
        largest = 0.0
        for name, sample in smoke["samples"].items():
            answered = self._ask(sample)
            difference = float(np.max(np.abs(answered - np.asarray(sample["rating"])), initial=0.0))
            if not difference <= smoke["tolerance"]:  # NaN fails too
                raise StepError(f"the model answers `{name}` {difference} off the trained model's rating")
            largest = max(largest, difference)
        return largest

    def rate(self, rows: pl.DataFrame) -> Floats:
        """A rating for each row of a split, [rows]."""
        parts = [
            self._ask(
                {
                    "user_id": part["user_id"].to_list(),
                    "movie_title": part["title"].to_list(),
                    "timestamp": part["timestamp"].to_list(),
                }
            )
            for part in rows.iter_slices(BATCH)
        ]
        return np.concatenate(parts)

    def _ask(self, columns: Mapping[str, Any]) -> Floats:
        inputs = self.description["signatures"][_SIGNATURE]["inputs"]
        tensors = {name: tf.constant(columns[name], kind) for name, kind in inputs.items()}
        return np.asarray(self.signatures[_SIGNATURE](**tensors)["rating"].numpy(), np.float64).reshape(-1)


def compare(rows: pl.DataFrame, new: Floats, served: Sequence[float], *, seed: int) -> Comparison:
    """The new model's RMSE minus the served one's on the same rows, users drawn again and again, with its interval."""
    users = rows["user_id"].rank("dense").to_numpy()
    predictions = {_NEW: np.asarray(new, np.float64), _SERVED: np.asarray(served, np.float64)}
    return Bootstrap.of(users, rows["rating"].to_numpy(), predictions, seed=seed).compare(_NEW, _SERVED)
