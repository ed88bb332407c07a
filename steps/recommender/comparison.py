"""Several models on the same rows: who is best, by how much, and whether the seed alone could have done it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from steps.entry import StepError
from steps.recommender import charts, document
from steps.recommender.data import require_files
from steps.recommender.metrics import Bootstrap, Comparison, Estimate, Quality

ABOUT: Final = {
    "static": "Everything is frozen where training ends.",
    "prequential": "Weights are frozen, and each rating is predicted knowing the user's ratings of earlier moments.",
}
PROTOCOLS: Final = {"static": "parts", "prequential": "prequential"}
"""Each protocol and its key in `metrics.json`."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `evaluate` wrote of one model."""

    name: str
    """What tells it from the others, without the seed."""
    figures: Mapping[str, Any]
    predictions: pl.DataFrame

    def validation_rmse(self, protocol: str) -> float:
        """By which the best model is chosen; where there is no validation part, the training RMSE."""
        parts = self.figures[PROTOCOLS[protocol]]
        return float(parts.get("validation", parts["train"])["systems"]["model"]["rmse"]["value"])

    def rmse(self, protocol: str) -> float:
        """On the rows that it was judged on."""
        return float(self.figures[PROTOCOLS[protocol]][self.judged_on]["systems"]["model"]["rmse"]["value"])

    def baselines(self, protocol: str, part: str) -> dict[str, Quality]:
        """The errors of the baselines, by name, on the same rows as the model's."""
        found = self.figures[PROTOCOLS[protocol]].get(part, {"systems": {}})["systems"]
        return {
            name: Quality(**{figure: Estimate(**quality[figure]) for figure in ("rmse", "mae")})
            for name, quality in found.items()
            if name != "model"
        }

    @property
    def judged_on(self) -> str:
        """The name of that part."""
        return str(self.figures["judged_on"])


@dataclass(frozen=True, slots=True)
class Result:
    """A model under one protocol. With several seeds, quality and difference are those of the first."""

    quality: Quality
    validation_rmse: float
    """The mean over seeds."""
    rmse_of_seeds: Sequence[float]
    weights: int
    to_best: Comparison | None
    """Its RMSE minus that of the best on validation; None for that one."""

    @property
    def spread(self) -> float | None:
        """The standard deviation of the RMSE over seeds; None of a single one."""
        return float(np.std(self.rmse_of_seeds, ddof=1)) if len(self.rmse_of_seeds) > 1 else None


def read_reports(folders: Sequence[Path]) -> list[Report]:
    """The reports in these folders, named by the parameters in which they differ.

    Raises:
        StepError: one is no report of `evaluate`, or they judged different rows.
    """
    read = []
    for folder in folders:
        require_files(folder, ["metrics.json", "predictions.parquet"], made_by="evaluate")
        read.append(
            (json.loads((folder / "metrics.json").read_text()), pl.read_parquet(folder / "predictions.parquet"))
        )
    if not read:
        raise StepError("there is no report to compare")
    rows = read[0][1].select("user_id", "item_id", "rating")
    for folder, (_, predictions) in zip(folders, read, strict=True):
        if not predictions.select("user_id", "item_id", "rating").equals(rows):
            raise StepError(f"{folder} was judged on other rows than {folders[0]}: compare models of one split")
    parameters = [figures["parameters"] for figures, _ in read]
    named = [_name(own, parameters) for own in parameters]
    return [Report(name, figures, predictions) for name, (figures, predictions) in zip(named, read, strict=True)]


def compare(reports: Sequence[Report], protocol: str, *, seed: int) -> dict[str, Result]:
    """Every model by name, from the best on validation."""
    by_name: dict[str, list[Report]] = {}
    for report in reports:
        by_name.setdefault(report.name, []).append(report)

    def chosen_by(name: str) -> float:
        return float(np.mean([report.validation_rmse(protocol) for report in by_name[name]]))

    names = sorted(by_name, key=chosen_by)
    rows = reports[0].predictions
    bootstrap = Bootstrap.of(
        rows["user_id"].rank("dense").to_numpy(),
        rows["rating"].to_numpy(),
        {name: by_name[name][0].predictions[protocol].to_numpy() for name in names},
        seed=seed,
    )
    return {
        name: Result(
            quality=bootstrap.quality(name),
            validation_rmse=chosen_by(name),
            rmse_of_seeds=[report.rmse(protocol) for report in by_name[name]],
            weights=by_name[name][0].figures["weights"],
            to_best=None if name == names[0] else bootstrap.compare(name, names[0]),
        )
        for name in names
    }


def verdict(results: Mapping[str, Result], protocol: str, judged_on: str) -> str:
    """The best on validation, and which others it beats on the rows judged."""
    best, *others = results
    beaten = [name for name in others if (comparison := results[name].to_best) and comparison.worse]
    rmse = results[best].quality.rmse
    found = f"RMSE {rmse.value:.3f} [{rmse.low:.3f}, {rmse.high:.3f}]"
    sentence = f"{protocol.capitalize()}, {best} is the best on validation: {found} on {judged_on}"
    if not others:
        return f"{sentence}."
    return f"{sentence}, better than {', '.join(beaten)}." if beaten else f"{sentence}, surely better than none."


def as_figures(results: Mapping[str, Mapping[str, Result]]) -> dict[str, Any]:
    """All results by protocol and model, for programs."""
    return {
        protocol: {name: {**asdict(result), "spread": result.spread} for name, result in models.items()}
        for protocol, models in results.items()
    }


def build_page(
    reports: Sequence[Report], results: Mapping[str, Mapping[str, Result]], seed: int, more: Sequence[str] = ()
) -> str:
    """The comparison as one page, with `more` sections, which are markup."""
    judged_on = reports[0].judged_on
    verdicts = [verdict(models, protocol, judged_on) for protocol, models in results.items()]
    method = (
        "Intervals are of 2,000 resamples of whole users, the same for all models, so that differences are paired. A "
        "difference whose interval holds zero may be chance. The order is that of validation; the rows judged on chose "
        f"nothing. The bootstrap has the seed {seed}."
    )
    return document.document(
        f"Comparison: {reports[0].figures['dataset']}",
        verdicts[0],
        " ".join(verdicts[1:]),
        [note for note in reports[0].figures["notes"] if all(note in other.figures["notes"] for other in reports)],
        [
            *(_section(protocol, models, reports[0]) for protocol, models in results.items()),
            *more,
            document.section("How this was measured", f"<p>{method}</p>"),
        ],
    )


def _section(protocol: str, results: Mapping[str, Result], report: Report) -> str:
    judged_on = report.judged_on
    size = report.figures[PROTOCOLS[protocol]][judged_on]
    baselines, chosen_by = (report.baselines(protocol, part) for part in (judged_on, "validation"))
    chart = charts.interval_chart(
        f"RMSE of every model on {judged_on}, {protocol}, with intervals",
        [
            *((name, result.quality.rmse, "other" if result.to_best else "model") for name, result in results.items()),
            *((name, quality.rmse, "other") for name, quality in baselines.items()),
        ],
        axis=f"RMSE on {judged_on} (lower is better)",
    )
    rows = [
        [
            document.text(name),
            document.estimate(result.quality.rmse),
            document.estimate(result.quality.mae),
            "-" if result.spread is None else f"{np.mean(result.rmse_of_seeds):.4f} \u00b1 {result.spread:.4f}",
            document.estimate(result.to_best.difference, sign="+") if result.to_best else "-",
            f"{result.validation_rmse:.4f}",
            f"{result.weights:,}",
        ]
        for name, result in results.items()
    ]
    rows += [
        [
            document.text(f"{name} (baseline)"),
            document.estimate(quality.rmse),
            document.estimate(quality.mae),
            "-",
            "-",
            f"{chosen_by[name].rmse.value:.4f}" if name in chosen_by else "-",
            "-",
        ]
        for name, quality in baselines.items()
    ]
    header = ["model", "RMSE", "MAE", "over seeds", "minus the best", "validation", "weights"]
    about = f"{ABOUT[protocol]} {judged_on.capitalize()}: {size['rows']:,} ratings of {size['users']:,} users."
    return document.section(
        protocol.capitalize(),
        document.figure(chart, "Dots are RMSE, lines are 95% intervals."),
        document.table(about, header, rows),
    )


def _name(own: Mapping[str, Any], of_all: Sequence[Mapping[str, Any]]) -> str:
    """The model, and the parameters in which those of the same model differ, but for the seed."""
    same = [parameters for parameters in of_all if parameters["model"] == own["model"]]
    differing = [key for key in own if key != "seed" and any(parameters.get(key) != own[key] for parameters in same)]
    return " ".join([str(own["model"]), *(f"{key}={own[key]}" for key in differing)])
