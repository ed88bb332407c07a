"""For whom which model is better: the slices of several evaluations side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from steps.recommender import document
from steps.recommender.comparison import Report


def section(reports: Sequence[Report], names: Sequence[str]) -> str:
    """A table of every slice and the RMSE of every model in it, static; models in the order of `names`.

    With several seeds, figures are those of the first.
    """
    first = {report.name: report for report in reversed(reports)}
    slices = [first[name].figures["slices"] for name in names]
    rows = [_row(each) for each in zip(*slices, strict=True) if each[0]["model"]]
    if not rows:
        return ""
    about = f"Static RMSE on {reports[0].judged_on}; the least of each row is emphasised, which may be chance."
    return document.section("For whom", document.table(about, ["group", "ratings, users", *names], rows))


def _row(of_models: Sequence[Mapping[str, Any]]) -> list[str]:
    group, errors = of_models[0], [each["model"]["rmse"]["value"] for each in of_models]
    least = min(errors)
    figures = [f"<strong>{error:.3f}</strong>" if error == least else f"{error:.3f}" for error in errors]
    about = f"{group['dimension']}: {group['name']}"
    return [document.text(about), f"{group['rows']:,}, {group['users']:,}", *figures]
