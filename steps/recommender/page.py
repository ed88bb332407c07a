"""The evaluation as one page that a person reads: HTML with its style and pictures inside, and no script."""

from collections.abc import Mapping, Sequence
from html import escape

from steps.recommender import charts, document, importance_section, lists_section, rerank_section
from steps.recommender.charts import Line
from steps.recommender.evaluation import (
    MODEL,
    Evaluation,
    PartResult,
    interval,
    verdict,
)
from steps.recommender.fairness_page import fairness_sections
from steps.recommender.history import EpochResult
from steps.recommender.importance import Importance
from steps.recommender.list_evaluation import JudgedLists
from steps.recommender.rating_baselines import PREQUENTIAL_BASELINE
from steps.recommender.rerank_curves import RerankCurves
from steps.recommender.seeds import seeds_section


def build_page(
    evaluation: Evaluation,
    lists: JudgedLists,
    *,
    dataset: str,
    parameters: Mapping[str, object],
    history: Sequence[EpochResult],
    best_epoch: int,
    notes: Sequence[str] = (),
    of_seeds: Mapping[int, float] | None = None,
    importance: Importance,
    curves: RerankCurves | None = None,
) -> str:
    """The page, as a whole HTML document; `notes` are warnings that stand right below the verdict.

    `of_seeds` is the validation RMSE of several trainings by seed.
    """
    sections = [
        _systems_section(evaluation),
        _prequential_section(evaluation),
        *([seeds_section(evaluation.seeds, of_seeds, evaluation.judged_on)] if of_seeds else []),
        *lists_section.sections(lists),
        *([rerank_section.section(curves)] if curves else []),
        *fairness_sections(evaluation.slices, evaluation.gaps, evaluation.judged_on, evaluation.best_baseline),
        _training_section(history, best_epoch),
        _predictions_section(evaluation),
        importance_section.section(importance),
        _parameters_section(parameters),
        _method_section(evaluation),
    ]
    return document.document(f"Evaluation: {dataset}", verdict(evaluation), _difference(evaluation), notes, sections)


def _difference(evaluation: Evaluation) -> str:
    difference = evaluation.comparison.difference
    sentence = (
        f"On the same rows, the model's RMSE minus that of {evaluation.best_baseline} "
        f"is {interval(difference, sign='+')}; below zero the model is better."
    )
    if difference.low <= 0 <= difference.high:
        sentence += " The interval holds zero: the difference may be chance."
    return sentence


def _systems_section(evaluation: Evaluation) -> str:
    judged = evaluation.parts[evaluation.judged_on]
    chart = charts.interval_chart(
        f"RMSE of every system on {evaluation.judged_on}, with intervals",
        [(name, quality.rmse, _css(name)) for name, quality in judged.systems.items()],
        axis=f"RMSE on {evaluation.judged_on} (lower is better)",
    )
    return document.section(
        "Static: the model beside baselines",
        document.figure(chart, f"Dots are RMSE, lines are {evaluation.confidence:.0%} intervals."),
        *(_part_table(part, result) for part, result in reversed(list(evaluation.parts.items()))),
    )


def _part_table(part: str, result: PartResult) -> str:
    rows = [
        [escape(system), document.estimate(quality.rmse), document.estimate(quality.mae)]
        for system, quality in result.systems.items()
    ]
    about = f"{part.capitalize()}: {result.rows:,} ratings of {result.users:,} users"
    return document.table(about, ["system", "RMSE", "MAE"], rows, emphasised=MODEL)


def _prequential_section(evaluation: Evaluation) -> str:
    about = (
        "Above, everything is frozen where training ends (static). Here the weights are, but each rating is predicted "
        "knowing what the same user has rated at earlier moments, as a running service would (prequential). Only "
        "models that read a history gain by it. On the same rows, the model's RMSE minus that of "
        f"{PREQUENTIAL_BASELINE} is {interval(evaluation.prequential_comparison.difference, sign='+')}."
    )
    tables = (_part_table(part, result) for part, result in reversed(list(evaluation.prequential.items())))
    return document.section("Prequential: with the user's earlier ratings known", f"<p>{escape(about)}</p>", *tables)


def _training_section(history: Sequence[EpochResult], best_epoch: int) -> str:
    by_lists = history[0].validation_ndcg is not None
    chosen = "the best by its lists" if by_lists else "the lowest on validation"
    caption = (
        f"The ring marks epoch {best_epoch}, {chosen}, whose weights were kept. "
        "Training RMSE is measured while the weights change."
    )
    chart = charts.learning_curve(history, best_epoch)
    return document.section("Training", document.figure(chart, caption), *_lists_by_epoch(history, best_epoch))


def _lists_by_epoch(history: Sequence[EpochResult], best_epoch: int) -> list[str]:
    points = [(record.epoch, record.validation_ndcg) for record in history if record.validation_ndcg is not None]
    if not points:
        return []
    chart = charts.line_chart(
        "NDCG@10 on validation by epoch",
        [Line("validation", "model", points)],
        x_axis="epoch",
        y_axis="NDCG@10",
        mark=points[best_epoch - 1],
    )
    return [document.figure(chart, f"The ring marks epoch {best_epoch}, which made the best lists for validation.")]


def _predictions_section(evaluation: Evaluation) -> str:
    distribution, rows = evaluation.distribution, evaluation.parts[evaluation.judged_on].rows
    bars = charts.bar_chart(
        "Share of ratings and of predictions by value",
        distribution.centers,
        [
            ("ratings", "other", [100 * count / rows for count in distribution.ratings]),
            ("predictions", "model", [100 * count / rows for count in distribution.predictions]),
        ],
        x_axis="rating",
        y_axis="% of rows",
    )
    dots = charts.diagonal_chart(
        "Mean rating by mean prediction",
        [(part.predicted, part.actual) for part in evaluation.calibration],
        x_axis="mean prediction",
        y_axis="mean rating",
    )
    largest = max(abs(part.predicted - part.actual) for part in evaluation.calibration)
    return document.section(
        "Predictions",
        document.figure(bars, "Predictions gather in the middle where the model is unsure; ratings do not."),
        document.figure(
            dots,
            f"Rows sorted by prediction, in {len(evaluation.calibration)} groups of equal size. On the line, "
            f"predictions are right on average; the farthest group is {largest:.2f} off.",
        ),
    )


def _parameters_section(parameters: Mapping[str, object]) -> str:
    rows = [[escape(name), escape(_plain(value))] for name, value in parameters.items()]
    return document.section(
        "Parameters of the model", document.table("How it was trained.", ["parameter", "value"], rows)
    )


def _method_section(evaluation: Evaluation) -> str:
    return document.section(
        "How this was measured",
        f"<p>Intervals hold {evaluation.confidence:.0%} of {evaluation.resamples:,} bootstrap resamples with seed "
        f"{evaluation.seed}. Each resample draws whole users with replacement, because the ratings of one user depend "
        "on one another. All systems see the same resamples, so their differences are paired.</p>"
        "<p>Everything was fitted on training rows only. The model's epoch, the damping of the baselines, and the "
        "baseline that the model is compared with were chosen on validation rows. Predictions are limited to the "
        "rating scale, as they are when served.</p>",
    )


def _css(system: str) -> str:
    return "model" if system == MODEL else "other"


def _plain(value: object) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
