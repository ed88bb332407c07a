"""The part of the evaluation's page that is about lists."""

from typing import Final

from steps.recommender import charts, document, lists
from steps.recommender.charts import Line
from steps.recommender.list_evaluation import (
    COMPARED,
    MODEL,
    JudgedLists,
    ListEvaluation,
    ListQuality,
    curve,
    p_value,
)

_STATIC: Final = "Users are asked about once, before the first rating of the judged part."
_PREQUENTIAL: Final = "Users are asked about before their last rating, when all their earlier ones are known."


def sections(judged: JudgedLists) -> list[str]:
    """Accuracy beside the baselines, the curve of recall, what lists are like, by protocol; why not, where not."""
    if judged.prequential is None:
        about = "No user of the judged rows had rated anything before, so there is no list to judge."
        return [document.section("Lists", f"<p>{about}</p>")]
    static = [_section(judged.static, "static", _STATIC)] if judged.static else []
    return [*static, _section(judged.prequential, "prequential", _PREQUENTIAL)]


def _section(evaluation: ListEvaluation, protocol: str, asked: str) -> str:
    model, best = evaluation.systems[MODEL], evaluation.systems[evaluation.best_baseline]
    recall = charts.line_chart(
        f"Recall by the length of lists, {protocol}",
        [
            Line(evaluation.best_baseline, "other", curve(best, "recall")),
            Line("model", "model", curve(model, "recall")),
        ],
        x_axis="titles in the list",
        y_axis="recall",
    )
    return document.section(
        f"Lists of titles, {protocol}",
        f"<p>{document.text(_about(evaluation, asked))}</p>",
        document.figure(recall, "The share of what users then rated that is among the first titles of their lists."),
        _accuracy(evaluation),
        _differences(evaluation),
        _variety(evaluation),
    )


def _about(evaluation: ListEvaluation, asked: str) -> str:
    return (
        f"{asked} All {evaluation.titles:,} titles that a user had not rated are ranked, and the {evaluation.wanted:,} "
        f"ratings that {evaluation.users:,} users then gave on {evaluation.judged_on} are looked up, however they "
        "rated. Weights are those of training; what users had rated before is known to every system that can read it, "
        "and to item-kNN, EASE and ALS. Baselines are tuned on validation."
    )


def _accuracy(evaluation: ListEvaluation) -> str:
    shown = (*COMPARED, f"hit@{lists.LENGTH}", "recall@100", "mrr")
    rows = [
        [
            document.text(name),
            *(document.estimate(quality.figures[figure]) for figure in shown),
            "-" if quality.validation is None else f"{quality.validation:.3f}",
            document.text(_choices(quality)),
        ]
        for name, quality in evaluation.systems.items()
    ]
    header = ["system", "NDCG@10", "recall@10", "hit rate@10", "recall@100", "MRR", "NDCG@10, validation", "chosen"]
    return document.table("Means over users, with intervals.", header, rows, emphasised=MODEL)


def _choices(quality: ListQuality) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in quality.choices.items()) or "-"


def _differences(evaluation: ListEvaluation) -> str:
    rows = [
        [
            document.text(name),
            *(
                f"{document.estimate(comparison.difference, sign='+')} p {document.text(p_value(comparison))}"
                for comparison in by_figure.values()
            ),
        ]
        for name, by_figure in evaluation.comparisons.items()
    ]
    about = (
        "The model minus each baseline, for the same users: above zero the model is better. p: how often a difference "
        f"as large would come by chance, by {evaluation.flips:,} random signs."
    )
    return document.table(about, ["minus", "NDCG@10", "recall@10"], rows)


def _variety(evaluation: ListEvaluation) -> str:
    rows = [
        [
            document.text(name),
            f"{quality.coverage:.1%}",
            f"{quality.gini:.3f}",
            *(document.estimate(quality.figures[figure]) for figure in ("novelty", "distance", "popularity_lift")),
        ]
        for name, quality in evaluation.systems.items()
    ]
    about = (
        f"The first {lists.LENGTH} titles of all users. Coverage: the share of titles that anyone is shown. Gini: 0 if "
        "all titles are shown equally often, 1 if always the same one is. Novelty: bits of surprise. Distance within a "
        f"list: 1 - cosine of {evaluation.distance_of}. Popularity: how much more popular than what the user had rated."
    )
    header = ["system", "coverage", "Gini", "novelty", "distance", "popularity"]
    return document.table(about, header, rows, emphasised=MODEL)
