"""The part of the evaluation's page about variety and its price."""

from steps.recommender import charts, document, lists
from steps.recommender.charts import Line
from steps.recommender.rerank_curves import Point, RerankCurves


def section(curves: RerankCurves) -> str:
    """Accuracy and likeness of lists by the dial and by the limit."""
    dial = [
        charts.line_chart(
            f"{name} by diversity",
            [Line("model", "model", [(point.setting, getattr(point, figure).value) for point in curves.by_diversity])],
            x_axis="diversity",
            y_axis=name,
        )
        for figure, name in (("ndcg", f"NDCG@{lists.LENGTH}"), ("distance", "distance"))
    ]
    header = ["setting", f"NDCG@{lists.LENGTH}", "distance", "score lost", "coverage", "seen before"]
    tables = [
        document.table("By the dial.", header, [_row(f"{p.setting:g}", p) for p in curves.by_diversity], emphasised="0")
    ]
    if curves.by_limit:
        rows = [_row(f"{p.setting:g} of a genre" if p.setting else "no limit", p) for p in curves.by_limit]
        tables.append(document.table("By the limit for each genre.", header, rows, emphasised="no limit"))
    seen = [_row("left out", curves.by_diversity[0]), _row("listed too", curves.unfiltered)]
    tables.append(document.table("With what the user had rated before.", header, seen, emphasised="left out"))
    return document.section(
        "Variety and its price",
        f"<p>Lists of {lists.LENGTH} titles for {curves.users:,} users of {curves.judged_on}, as they are served with "
        "<code>diversity</code> and <code>per_genre</code>: what they then rated is looked up. Distance is the mean of "
        f"1 - cosine between {document.text(curves.distance_of)} of the titles of a list. "
        "The dial itself compares the model's vectors.</p>",
        document.figure(dial[0], "From the best scores, at 0, to the most variety, at 1."),
        document.figure(dial[1], "How unlike the titles of a list are."),
        *tables,
    )


def _row(name: str, point: Point) -> list[str]:
    return [
        document.text(name),
        document.estimate(point.ndcg),
        document.estimate(point.distance),
        f"{point.score:.3f}",
        f"{point.coverage:.1%}",
        f"{point.seen:.1%}",
    ]
