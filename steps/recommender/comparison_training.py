"""How models learned and what that took, side by side."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from steps.recommender import charts, document
from steps.recommender.comparison import Report
from steps.recommender.data import require_files
from steps.recommender.history import EpochResult


def read_seconds(folders: Sequence[Path]) -> dict[str, float]:
    """Name of each folder that `train` wrote as its cost -> the seconds of that training.

    Raises:
        StepError: one holds no cost.
    """
    for folder in folders:
        require_files(folder, ["cost.json"], made_by="train")
    return {folder.name: float(json.loads((folder / "cost.json").read_text())["train_seconds"]) for folder in folders}


def section(reports: Sequence[Report], names: Sequence[str], seconds: Sequence[float | None]) -> str:
    """A table of epochs, weights and seconds, and a learning curve of each model, in the order of `names`.

    `seconds` are those of each report, where they are known. Of several seeds the table has the mean, and the curve is
    that of the first.
    """
    rows, curves = [], []
    for name in names:
        own = [(report, took) for report, took in zip(reports, seconds, strict=True) if report.name == name]
        first, trainings = own[0][0], [report.figures["training"] for report, _ in own]
        known = [took for _, took in own if took is not None]
        rows.append(
            [
                document.text(name),
                f"{mean(training['best_epoch'] for training in trainings):g}",
                f"{mean(len(training['epochs']) for training in trainings):g}",
                f"{first.figures['weights']:,}",
                f"{mean(known):,.1f}" if known else "-",
            ]
        )
        curves.append(
            document.figure(_curve(first.figures["training"]), f"{name}; the ring marks the epoch that was kept.")
        )
    header = ["model", "best epoch", "epochs", "weights", "seconds"]
    about = "Seconds are those of the epochs, on the machine that trained."
    return document.section("How each learned", document.table(about, header, rows), *curves)


def _curve(training: Mapping[str, object]) -> str:
    epochs, best = training["epochs"], training["best_epoch"]
    assert isinstance(epochs, list)
    assert isinstance(best, int)
    return charts.learning_curve([EpochResult(**epoch) for epoch in epochs], best)
