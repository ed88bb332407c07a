"""A sweep as one page: what was tried, what each trial came to, and the best."""

from collections.abc import Sequence

from steps.recommender import charts, document
from steps.recommender.sweeping import Sweep, Trial, described


def verdict(result: Sweep) -> str:
    """The best trial in a sentence."""
    best = result.best
    return (
        f"The best of {len(result.trials)} trials is trial {best.number}, with a validation RMSE of "
        f"{best.validation_rmse:.4f}: {described(best.tried)}."
    )


def build_page(result: Sweep, dataset: str, how: str) -> str:
    """The page; `how` says which algorithm looked in which space."""
    about = (
        f"{how} Trials were chosen and compared on validation rows only: the best RMSE of many is flattered by the "
        "choice, so judge the model that was kept on test rows, once."
    )
    finished = [trial for trial in result.trials if trial.validation_rmse is not None]
    rows = [_row(trial) for trial in sorted(finished, key=lambda trial: trial.validation_rmse or 0.0)]
    rows += [_row(trial) for trial in result.trials if trial.validation_rmse is None]
    header = ["trial", "validation RMSE", "best epoch", "seconds", *result.best.tried]
    trials = document.table("From the best.", header, rows, emphasised=str(result.best.number))
    return document.document(
        f"Sweep: {dataset}",
        verdict(result),
        about,
        [],
        [document.section("As trials went on", _chart(finished)), document.section("Trials", trials)],
    )


def _chart(trials: Sequence[Trial]) -> str:
    errors = [trial.validation_rmse or 0.0 for trial in trials]
    best = [min(errors[:number]) for number in range(1, len(errors) + 1)]
    numbers = [trial.number for trial in trials]
    chart = charts.line_chart(
        "Validation RMSE by trial, and the best so far",
        [
            charts.Line("trial", "other", list(zip(numbers, errors, strict=True))),
            charts.Line("best so far", "model", list(zip(numbers, best, strict=True))),
        ],
        x_axis="trial",
        y_axis="RMSE",
    )
    return document.figure(chart, "Trials that diverged are left out.")


def _row(trial: Trial) -> list[str]:
    error = "diverged" if trial.validation_rmse is None else f"{trial.validation_rmse:.4f}"
    figures = [str(trial.number), error, str(trial.best_epoch or "-"), f"{trial.seconds:.0f}"]
    return [*figures, *(document.text(value) for value in trial.tried.values())]
