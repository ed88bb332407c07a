"""Train a recommender on split ratings."""

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from steps.entry import Step, StepError, Workspace, run_step
from steps.formats import COST, SPLIT, TRACKING, TRAINED_MODEL
from steps.recommender.config import TrainingConfig
from steps.recommender.history import EpochRecord
from steps.tracking import TrackingMode, start_tracker

if TYPE_CHECKING:
    from steps.recommender.training import Training
    from steps.recommender.training_data import TrainingData


class Inputs(TrainingConfig):
    """The parameters of the model and its training, and where to record them."""

    tracking: TrackingMode = Field(
        "auto", description="auto: a Comet archive, and online with COMET_API_KEY; offline: the archive only; off"
    )
    learn_from: Literal["all", "new"] = Field(
        "all",
        description="where it begins with an `earlier` model: all training rows, or only those after the last one that "
        "that model learned from",
    )
    seeds: int = Field(
        1,
        ge=1,
        le=100,
        description="trainings, with the seeds `seed`, `seed` + 1, ...; the model of the best validation RMSE is kept",
    )


STEP = Step(
    name="train",
    summary="Train a recommender and keep its best epoch.",
    inputs=Inputs,
    reads={"split": SPLIT, "earlier": TRAINED_MODEL},
    writes={"model": TRAINED_MODEL, "tracking": TRACKING, "cost": COST},
    optional=frozenset({"earlier", "tracking", "cost"}),
    gpus="auto",
    network_with=("COMET_API_KEY",),
    state=True,
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Train on the split's training rows, choosing the epoch by the RMSE on its validation rows."""
    from steps.recommender.lean_import import import_tensorflow

    import_tensorflow()
    from steps.recommender import data, trained_model, training, warm_start

    training_data = training.begin(work.input("split"), inputs, work.state)
    if work.input("earlier").exists():
        rows = work.state / "earlier-rows"
        start = warm_start.start_from(work.input("earlier"), inputs, training_data, rows)
        only_after = start.learned_until if inputs.learn_from == "new" else None
        training_data = replace(training_data, start=start, only_after=only_after)
        print(
            f"beginning with an earlier model, learning from {data.count_rows(training_data.learned()):,} rows",
            flush=True,
        )
    elif inputs.learn_from == "new":
        raise StepError("learn_from is new, but there is no earlier model: give one as the input `earlier`")

    results = {}
    for seed in range(inputs.seed, inputs.seed + inputs.seeds):
        state = work.state / f"seed-{seed}" if inputs.seeds > 1 else work.state
        own = inputs.model_copy(update={"seed": seed})
        results[seed] = _train(own, training_data, work, state)
    kept, (best, best_figures) = min(results.items(), key=lambda result: result[1][0].best.badness)
    folder = work.output("model")
    trained_model.save(best, inputs.model_copy(update={"seed": kept}), training_data, folder)
    figures = dict(best_figures)
    if inputs.seeds > 1:
        trainings = [result for result, _ in results.values()]
        trained_model.save_seeds(trainings, inputs, training_data, folder)
        errors = [result.validation_rmse for result in trainings]
        spread = statistics.stdev(errors)
        figures |= {"best_seed": kept, "validation_rmse_mean": statistics.mean(errors)}
        figures |= {"validation_rmse_spread": spread}
        print(
            f"validation RMSE over {inputs.seeds} seeds: {statistics.mean(errors):.4f} \u00b1 {spread:.4f}; "
            f"the model of seed {kept} is kept, the best on validation"
        )
    work.record(figures)
    if work.output("cost").is_dir():
        (work.output("cost") / "cost.json").write_text(json.dumps({"train_seconds": figures["train_seconds"]}))
    print(
        f"best epoch {best.best_epoch} of {len(best.history)}: "
        f"train RMSE {figures['train_rmse']:.4f}, validation RMSE {best.validation_rmse:.4f}"
    )


def _train(
    inputs: Inputs, training_data: "TrainingData", work: Workspace, state: Path
) -> "tuple[Training, dict[str, float]]":
    """One training, recorded as one experiment, and its figures."""
    from steps.recommender import trained_model, training, validation

    seed = [f"seed {inputs.seed}"] if inputs.seeds > 1 else []
    if seed:
        state.mkdir(exist_ok=True)
        print(*seed, flush=True)
    with start_tracker(inputs.tracking, work.output("tracking"), name="train", tags=[inputs.model, *seed]) as tracker:
        tracker.log_params(inputs.model_dump(exclude={"tracking", "seeds"}))
        tracker.log_other("dataset", training_data.dataset)

        def report(record: EpochRecord) -> None:
            print(record.line(inputs.epochs), flush=True)
            figures = {
                "loss": record.loss,
                "rmse": record.rmse,
                "val_rmse": record.validation_rmse,
                "examples_per_second": record.examples_per_second,
            }
            if record.validation_ndcg is not None:
                figures["val_ndcg_at_10"] = record.validation_ndcg
            tracker.log_metrics(figures, epoch=record.epoch)

        result = training.train_and_evaluate(inputs, training_data, state=state, report=report)
        figures = {"train_rmse": validation.evaluate(result.model, training_data.train), **_figures(result)}
        tracker.log_metrics(figures)
        trained_model.save_history(result, state / trained_model.HISTORY)
        tracker.log_asset(state / trained_model.HISTORY)
    return result, figures


def _figures(result: "Training") -> dict[str, float]:
    figures = {
        "validation_rmse": result.validation_rmse,
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "train_seconds": sum(record.seconds for record in result.history),
    }
    if result.best.validation_ndcg is not None:
        figures["validation_ndcg_at_10"] = result.best.validation_ndcg
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
