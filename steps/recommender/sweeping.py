"""Trials of parameters, one training after the other, and what they came to.

The same seed proposes the same trials when the results are the same, and each trial keeps its checkpoint: a sweep that
is run again after an interruption passes over what it has done.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import optuna

from steps.entry import StepError
from steps.recommender import training
from steps.recommender.config import ERRORS, Metric, TrainingConfig
from steps.recommender.history import EpochRecord
from steps.recommender.search_space import Axis, Choices
from steps.recommender.training import DivergedError, Training
from steps.recommender.training_data import TrainingData
from steps.recommender.validation import measure
from steps.tracking import TrackingMode, start_tracker

Tried = dict[str, Any]
"""Values by parameter."""

REPEATS: Final = 20
"""How often in a row an algorithm may propose what was tried before until the sweep ends: the space is used up."""
_AT_RANDOM: Final = 10


Propose = Callable[[], Tried | None]
Tell = Callable[[float | None], None]
"""Gives the last proposal its figure of validation, or None where it diverged."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One training."""

    number: int
    tried: Tried
    validation: float | None
    """The sweep's metric of the best epoch on validation; None where it diverged."""
    best_epoch: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """All trials in their order, and the training of the best."""

    metric: Metric
    trials: Sequence[Trial]
    best: Trial
    config: TrainingConfig
    training: Training


def sweep(
    proposals: Iterator[Tried],
    tell: Tell,
    config_of: Callable[[Tried], TrainingConfig],
    training_data: TrainingData,
    metric: Metric,
    *,
    state: Path,
    track: Callable[[Trial, TrainingConfig, Training | None], None],
) -> Sweep:
    """Train with each of `proposals`, each of which is told its result before the next one is asked for.

    Raises:
        StepError: every trial diverged.
    """
    trials: list[Trial] = []
    kept: tuple[Trial, TrainingConfig, Training] | None = None
    for number, tried in enumerate(proposals, start=1):
        config, folder = config_of(tried), state / f"trial-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        result = _train(config, training_data, folder)
        found = measure(result.model, training_data, metric) if result else None
        seconds = sum(record.seconds for record in result.history) if result else 0.0
        trial = Trial(number, tried, found, result.best_epoch if result else 0, seconds)
        trials.append(trial)
        tell(found)
        track(trial, config, result)
        print(line(trial, metric), flush=True)
        if result and (kept is None or badness(trial, metric) < badness(kept[0], metric)):
            kept = trial, config, result
    if kept is None:
        raise StepError("every trial diverged: try smaller values of learning_rate")
    return Sweep(metric, trials, *kept)


def _train(config: TrainingConfig, training_data: TrainingData, state: Path) -> Training | None:
    def report(_record: EpochRecord) -> None:
        """Epochs are many; a line for each trial says enough."""

    try:
        return training.train_and_evaluate(config, training_data, state=state, report=report)
    except DivergedError:
        return None


def badness(trial: Trial, metric: Metric) -> float:
    """By which trials are ordered, from the best: infinite where it diverged."""
    if trial.validation is None:
        return math.inf
    return trial.validation if metric in ERRORS else -trial.validation


def line(trial: Trial, metric: Metric) -> str:
    """The trial for a person who watches."""
    found = "diverged" if trial.validation is None else f"validation {metric.upper()} {trial.validation:.4f}"
    return f"trial {trial.number}  {found}  {described(trial.tried)}"


def described(tried: Mapping[str, Any]) -> str:
    """`learning_rate 0.01, embedding_size 16`."""
    return ", ".join(f"{name} {value}" for name, value in tried.items())


class Proposals:
    """Combinations of values, none twice, each proposed when the result of the one before is known."""

    def __init__(self, axes: Mapping[str, Axis], algorithm: str, trials: int, seed: int, metric: Metric) -> None:
        self._axes, self._trials = axes, trials
        self._grid = algorithm == "grid"
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = (
            optuna.samplers.RandomSampler(seed=seed)
            if algorithm == "random"
            else optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(1, min(_AT_RANDOM, trials // 3)))
        )
        self._study = optuna.create_study(direction="minimize" if metric in ERRORS else "maximize", sampler=sampler)
        self._results: dict[str, float | None] = {}
        self._asked: tuple[str, optuna.Trial] | None = None

    def __iter__(self) -> Iterator[Tried]:
        """At most as many as were wanted; fewer where there are no others."""
        if self._grid:
            names, values = list(self._axes), [axis.grid() for axis in self._axes.values()]
            for combination in itertools.islice(itertools.product(*values), self._trials):
                yield dict(zip(names, combination, strict=True))
            return
        while len(self._results) < self._trials:
            for _ in range(REPEATS):
                trial = self._study.ask()
                tried = {name: _suggest(trial, name, axis) for name, axis in self._axes.items()}
                key = json.dumps(tried)
                if key not in self._results:
                    break
                self._tell(trial, self._results[key])
            else:
                return
            self._asked = key, trial
            yield tried

    def tell(self, found: float | None) -> None:
        """What the last proposal came to."""
        if self._asked is None:
            return
        key, trial = self._asked
        self._results[key] = found
        self._tell(trial, found)

    def _tell(self, trial: optuna.Trial, found: float | None) -> None:
        if found is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, found)


def _suggest(trial: optuna.Trial, name: str, axis: Axis) -> Any:
    if isinstance(axis, Choices):
        return trial.suggest_categorical(name, axis.values)
    if axis.is_whole:
        return trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.is_log)
    return float(f"{trial.suggest_float(name, axis.low, axis.high, log=axis.is_log):.6g}")


def tracked(
    mode: TrackingMode, folder: Path, sweep_id: str, metric: Metric
) -> Callable[[Trial, TrainingConfig, Training | None], None]:
    """Records each trial as an experiment, with the facts by which Comet's panels know a sweep."""

    def track(trial: Trial, config: TrainingConfig, result: Training | None) -> None:
        with start_tracker(mode, folder, name=f"trial {trial.number}", tags=[config.model, "sweep"]) as tracker:
            tracker.log_params(config.model_dump())
            for record in result.history if result else ():
                tracker.log_metrics({"loss": record.loss, "val_rmse": record.validation_rmse}, epoch=record.epoch)
            facts = {
                "id": sweep_id,
                "metric": f"val_{metric}",
                "objective": "minimum" if metric in ERRORS else "maximum",
                "parameters": json.dumps(trial.tried),
            }
            for name, value in {**facts, "metric_value": trial.validation, "count": trial.number}.items():
                tracker.log_other(f"optimizer_{name}", value)

    return track


def as_figures(result: Sweep, dataset: str) -> dict[str, Any]:
    """Everything for programs."""
    return {
        "dataset": dataset,
        "metric": result.metric,
        "best": asdict(result.best),
        "parameters": result.config.model_dump(mode="json"),
        "trials": [asdict(trial) for trial in result.trials],
    }
