"""Slices and gaps as sections of the evaluation's page."""

from collections.abc import Sequence
from itertools import groupby

from steps.recommender import document
from steps.recommender.fairness import FEWEST_USERS, Gap, SliceResult, summary


def fairness_sections(
    slices: Sequence[SliceResult], gaps: Sequence[Gap], judged_on: str, baseline: str
) -> tuple[str, ...]:
    """How good the model is on each slice, and for whom it is worse than for others."""
    about = (
        f"RMSE on {judged_on}, static. What training saw is known, the rest is new. The baseline is {baseline}; the "
        f"difference is the model's RMSE minus the baseline's. Slices of fewer than {FEWEST_USERS} users have no "
        "figures."
    )
    header = ["model", "baseline", "difference"]
    tables = [
        document.table(dimension.capitalize(), ["rows of", *header], [_slice_row(result) for result in results])
        for dimension, results in groupby(slices, key=lambda result: result.dimension)
    ]
    sections = (document.section("Groups of users and titles", f"<p>{document.text(about)}</p>", *tables),)
    if not gaps:
        return sections
    return (*sections, _gaps_section(gaps, judged_on))


def _gaps_section(gaps: Sequence[Gap], judged_on: str) -> str:
    about = (
        f"Each group on {judged_on} beside all others. RMSE: that of the group minus that of the others, above zero "
        "the group is served worse. The baseline's gap shows what lies in the group rather than in the model. Mean "
        "error: prediction minus rating, above zero the group's ratings are foretold higher than those of the others. "
        + summary(gaps)
    )
    tables = [
        document.table(
            dimension.capitalize(),
            ["group", "RMSE", "baseline's RMSE", "mean error"],
            [
                [
                    _named(gap),
                    *(document.estimate(found, sign="+") for found in (gap.rmse, gap.baseline_rmse, gap.error)),
                ]
                for gap in found
            ],
        )
        for dimension, found in groupby(gaps, key=lambda gap: gap.dimension)
    ]
    return document.section("Fairness: gaps between groups", f"<p>{document.text(about)}</p>", *tables)


def _slice_row(result: SliceResult) -> list[str]:
    if not (result.model and result.baseline and result.comparison):
        return [_named(result), "-", "-", "-"]
    difference = document.estimate(result.comparison.difference, sign="+")
    return [_named(result), document.estimate(result.model.rmse), document.estimate(result.baseline.rmse), difference]


def _named(found: SliceResult | Gap) -> str:
    return f'{document.text(found.name)} <span class="detail">{found.rows:,} ratings, {found.users:,} users</span>'
