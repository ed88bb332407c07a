"""Train a recommender on split ratings."""

import sys
from collections.abc import Sequence

from pydantic import Field

from steps.entry import Step, StepError, Workspace, run_step
from steps.formats import SPLIT, TRACKING, TRAINED_MODEL
from steps.recommender.config import TrainingConfig
from steps.recommender.history import EpochRecord
from steps.tracking import TrackingMode, start_tracker


class Inputs(TrainingConfig):
    """The parameters of the model and its training, and where to record them."""

    tracking: TrackingMode = Field(
        "auto", description="auto: a Comet archive, and online with COMET_API_KEY; offline: the archive only; off"
    )


STEP = Step(
    name="train",
    summary="Train a recommender and keep its best epoch.",
    inputs=Inputs,
    reads={"split": SPLIT},
    writes={"model": TRAINED_MODEL, "tracking": TRACKING},
    optional=frozenset({"tracking"}),
    gpus="auto",
    network_with=("COMET_API_KEY",),
    state=True,
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Train on the split's training rows, choosing the epoch by the RMSE on its validation rows."""
    from steps.recommender import data, trained_model, training

    split = data.read_split(work.input("split"))
    if not len(split.validation):
        raise StepError(
            "the split has no validation rows, by which the best epoch is chosen: "
            "change the split's parameters so that it has some"
        )
    training_data = training.encode_training_data(split, with_profiles=inputs.reads_profiles)
    print(
        f"{split.dataset}: {len(split.train):,} training rows, {len(split.validation):,} validation rows, "
        f"{len(training_data.vocabulary.users):,} users, {len(training_data.vocabulary.titles):,} titles"
    )
    print(f"device: {training.prepare_device()}", flush=True)

    with start_tracker(inputs.tracking, work.output("tracking"), name="train", tags=[inputs.model]) as tracker:
        tracker.log_params(inputs.model_dump(exclude={"tracking"}))
        tracker.log_other("dataset", split.dataset)

        def report(record: EpochRecord) -> None:
            print(record.line(inputs.epochs), flush=True)
            tracker.log_metrics(
                {
                    "loss": record.loss,
                    "rmse": record.rmse,
                    "val_rmse": record.validation_rmse,
                    "examples_per_second": record.examples_per_second,
                },
                epoch=record.epoch,
            )

        result = training.train_and_evaluate(inputs, training_data, state=work.state, report=report)
        trained_model.save(result, inputs, training_data, work.output("model"))

        best = result.history[result.best_epoch - 1]
        figures = {
            "train_rmse": training.evaluate(result.model, training_data.train),
            "validation_rmse": best.validation_rmse,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "train_seconds": sum(record.seconds for record in result.history),
        }
        tracker.log_metrics(figures)
        tracker.log_asset(work.output("model") / trained_model.HISTORY)
        work.record(figures)
    print(
        f"best epoch {result.best_epoch} of {len(result.history)}: "
        f"train RMSE {figures['train_rmse']:.4f}, validation RMSE {figures['validation_rmse']:.4f}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
