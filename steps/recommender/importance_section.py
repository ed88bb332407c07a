"""The part of the evaluation's page about what answers depend on."""

from collections.abc import Sequence

from steps.recommender import charts, document
from steps.recommender.importance import Importance


def section(importance: Importance) -> str:
    """What moves ratings, and by how much explanations are off."""
    rows = [[document.text(name), f"{amount:.3f}"] for name, amount in importance.terms.items()]
    return document.section(
        "What ratings depend on",
        f"<p>The ratings of {importance.rows:,} rows, taken apart as in the explanations that are served. The parts of "
        f"a rating are off it by {importance.mean_error:.1e} on average, {importance.largest_error:.1e} at most.</p>",
        document.table("Mean amount of each part, whichever its sign.", ["part", "rating units"], rows),
        *_crosses(importance.topics, importance.crossed),
    )


def _crosses(topics: Sequence[str], crossed: Sequence[Sequence[float]] | None) -> list[str]:
    if crossed is None:
        return []
    chart = charts.heat_map("Strength of crosses", topics, crossed)
    caption = "Root mean square weight of the cross layer: each row's numbers are multiplied by a mix of each column's."
    return [document.figure(chart, caption)]
