"""Several models' lists for the same users: whose are best, and by how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from steps.recommender import document, lists
from steps.recommender.comparison import Report
from steps.recommender.list_evaluation import COMPARED, MODEL, p_value
from steps.recommender.lists import ListComparison
from steps.recommender.metrics import Estimate

FILE: Final = "lists.parquet"


@dataclass(frozen=True, slots=True)
class ListResult:
    """The lists of a model. With several seeds, figures and differences are those of the first."""

    figures: Mapping[str, Estimate]
    validation: float
    """The mean NDCG on validation, over seeds."""
    seeds: int
    to_best: Mapping[str, ListComparison] | None
    """By figure, it minus the best on validation; None for that one."""


def compare(reports: Sequence[Report], folders: Sequence[Path], *, seed: int) -> dict[str, ListResult]:
    """Every model by name, from the best on validation; none where the reports have no lists to compare.

    `folders` are those of `reports`.
    """
    found = [report.figures.get("lists") for report in reports]
    chosen_by = [of_one["systems"][MODEL]["validation"] for of_one in found if of_one]
    if len(chosen_by) < len(reports) or None in chosen_by:
        return {}
    by_name: dict[str, list[int]] = {}
    for place, report in enumerate(reports):
        by_name.setdefault(report.name, []).append(place)
    validation = {name: float(np.mean([chosen_by[place] for place in places])) for name, places in by_name.items()}
    names = sorted(by_name, key=lambda name: -validation[name])
    by_user = {name: pl.read_parquet(folders[by_name[name][0]] / FILE) for name in names}
    best, *others = names
    columns = {(name, figure): by_user[name][figure].to_numpy() for name in names for figure in COMPARED}
    figures = lists.estimates(columns, seed=seed)
    pairs = {(name, figure): (columns[name, figure], columns[best, figure]) for name in others for figure in COMPARED}
    to_best = lists.compare(pairs, seed=seed) if others else {}
    return {
        name: ListResult(
            figures={figure: figures[name, figure] for figure in COMPARED},
            validation=validation[name],
            seeds=len(by_name[name]),
            to_best=None if name == best else {figure: to_best[name, figure] for figure in COMPARED},
        )
        for name in names
    }


def verdict(results: Mapping[str, ListResult], judged_on: str) -> str:
    """The best on validation, and which others it beats on the rows judged."""
    best, *others = results
    figure = COMPARED[0]
    found = results[best].figures[figure]
    beaten = [name for name in others if (to_best := results[name].to_best) and to_best[figure].difference.high < 0]
    sentence = f"Lists, {best} is the best on validation: NDCG@{lists.LENGTH} {found.value:.3f} on {judged_on}"
    if not others:
        return f"{sentence}."
    return f"{sentence}, better than {', '.join(beaten)}." if beaten else f"{sentence}, surely better than none."


def section(results: Mapping[str, ListResult], report: Report) -> str:
    """The part of the comparison's page that is about lists; nothing where there are none."""
    if not results:
        return ""
    of_lists = report.figures["lists"]
    rows = [
        [
            document.text(name),
            *(document.estimate(result.figures[figure]) for figure in COMPARED),
            *(_difference(result.to_best[figure]) if result.to_best else "-" for figure in COMPARED),
            f"{result.validation:.4f}",
        ]
        for name, result in results.items()
    ]
    rows += [
        [
            document.text(f"{name} (baseline)"),
            *(document.estimate(Estimate(**baseline["figures"][figure])) for figure in COMPARED),
            *("-" for _ in COMPARED),
            f"{baseline['validation']:.4f}",
        ]
        for name, baseline in of_lists["systems"].items()
        if name != MODEL
    ]
    header = ["model", "NDCG@10", "recall@10", "NDCG minus the best", "recall minus the best", "validation"]
    about = (
        f"Static: all titles ranked for the {of_lists['users']:,} users of {report.judged_on} who had rated before. "
        "Above zero is better. How each model compares with the baselines is on its own page."
    )
    return document.section("Lists of titles", document.table(about, header, rows))


def _difference(comparison: ListComparison) -> str:
    chance = f'<span class="detail">p {document.text(p_value(comparison))}</span>'
    return f"{document.estimate(comparison.difference, sign='+')} {chance}"
