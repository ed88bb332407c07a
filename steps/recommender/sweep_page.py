"""A sweep as one page: what was tried, what each trial came to, and the best."""

from collections.abc import Sequence
from itertools import accumulate

from steps.recommender import charts, document
from steps.recommender.config import ERRORS, Metric
from steps.recommender.sweeping import Sweep, Trial, badness, described


def verdict(result: Sweep) -> str:
    """The best trial in a sentence."""
    best = result.best
    return (
        f"The best of {len(result.trials)} trials is trial {best.number}, with a validation {result.metric.upper()} of "
        f"{best.validation:.4f}: {described(best.tried)}."
    )


def build_page(result: Sweep, dataset: str, how: str) -> str:
    """The page; `how` says which algorithm looked in which space."""
    about = (
        f"{how} Trials were chosen and compared on validation rows only: the best RMSE of many is flattered by the "
        "choice, so judge the model that was kept on test rows, once."
    )
    finished = [trial for trial in result.trials if trial.validation is not None]
    rows = [_row(trial) for trial in sorted(result.trials, key=lambda trial: badness(trial, result.metric))]
    header = ["trial", f"validation {result.metric.upper()}", "best epoch", "seconds", *result.best.tried]
    trials = document.table("From the best.", header, rows, emphasised=str(result.best.number))
    return document.document(
        f"Sweep: {dataset}",
        verdict(result),
        about,
        [],
        [document.section("As trials went on", _chart(finished, result.metric)), document.section("Trials", trials)],
    )


def _chart(trials: Sequence[Trial], metric: Metric) -> str:
    found = [trial.validation or 0.0 for trial in trials]
    best = list(accumulate(found, min if metric in ERRORS else max))
    numbers = [trial.number for trial in trials]
    chart = charts.line_chart(
        f"Validation {metric.upper()} by trial, and the best so far",
        [
            charts.Line("trial", "other", list(zip(numbers, found, strict=True))),
            charts.Line("best so far", "model", list(zip(numbers, best, strict=True))),
        ],
        x_axis="trial",
        y_axis=metric.upper(),
    )
    return document.figure(chart, "Trials that diverged are left out.")


def _row(trial: Trial) -> list[str]:
    found = "diverged" if trial.validation is None else f"{trial.validation:.4f}"
    figures = [str(trial.number), found, str(trial.best_epoch or "-"), f"{trial.seconds:.0f}"]
    return [*figures, *(document.text(value) for value in trial.tried.values())]
