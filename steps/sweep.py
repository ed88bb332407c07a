"""Look for better parameters of a recommender, on validation rows only."""

import sys
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from steps.entry import Step, StepError, Workspace, run_step
from steps.formats import REPORT, SPLIT, TRACKING, TRAINED_MODEL
from steps.recommender.config import ERRORS, Metric, TrainingConfig
from steps.recommender.search_space import Axis, parse_axis
from steps.tracking import TrackingMode

Algorithm = Literal["random", "grid", "tpe"]


def _pairs(value: object) -> object:
    """`a=1|2; b=0.1..1` as a mapping."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.strip("{} ").split(";") if part.strip()]
        return {name.strip(): values.strip() for name, _, values in pairs}
    return value


class Inputs(TrainingConfig):
    """The parameters that stay, those that are tried, and how."""

    space: Annotated[dict[str, str], BeforeValidator(_pairs)] = Field(
        {"learning_rate": "0.001..0.3 log", "embedding_size": "8|16|32|64"},
        min_length=1,
        description="what is tried: a mapping, or text with ; between, from parameters of `train` to values with | "
        "between or a range such as 0.001..0.3, where log after it tries small numbers as often as large ones",
    )
    algorithm: Algorithm = Field(
        "tpe",
        description="random; grid (every combination, ranges cut into five values); tpe (begins at random, then where "
        "earlier trials were good: a tree-structured Parzen estimator)",
    )
    trials: int = Field(20, ge=1, le=10_000, description="combinations that are trained, at most")
    metric: Literal["auto"] | Metric = Field(
        "auto",
        description="of validation, by which trials are compared: rmse or mae, the lower the better; ndcg@10, "
        "recall@10, hit@10 or mrr of lists, the higher the better; auto: ndcg@10 for retrieval and multitask, else "
        "rmse",
    )
    tracking: TrackingMode = Field(
        "auto", description="auto: a Comet archive, and online with COMET_API_KEY; offline: the archive only; off"
    )

    @model_validator(mode="after")
    def _space_has_parameters(self) -> Self:
        for name, axis in self.axes().items():
            for value in axis.ends():
                try:
                    self.config_of({name: value})
                except ValidationError as error:
                    problem = error.errors(include_url=False)[0]["msg"]
                    raise ValueError(f"space: {name} cannot be {value}: {problem}") from None
        return self

    @property
    def compared_by(self) -> Metric:
        """The metric that `auto` stands for, or the other one."""
        return self.chosen_by if self.metric == "auto" else self.metric

    def axes(self) -> dict[str, Axis]:
        """What is tried, by parameter.

        Raises:
            ValueError: it is no parameter that can be tried, or its values cannot be read.
        """
        tried = [name for name in TrainingConfig.model_fields if name not in ("model", "seed", "stream", "precision")]
        for name in self.space:
            if name not in tried:
                raise ValueError(f"space: {name} is nothing to try: choose from {', '.join(tried)}")
        whole = {name: TrainingConfig.model_fields[name].annotation is int for name in tried}
        return {name: parse_axis(name, text, whole=whole[name]) for name, text in self.space.items()}

    def config_of(self, tried: "dict[str, object]") -> TrainingConfig:
        """The parameters of a training with some that are tried."""
        return TrainingConfig.model_validate({**self.model_dump(include=set(TrainingConfig.model_fields)), **tried})


STEP = Step(
    name="sweep",
    summary="Try parameters of a recommender and keep the model of the best on validation.",
    inputs=Inputs,
    reads={"split": SPLIT},
    writes={"report": REPORT, "model": TRAINED_MODEL, "tracking": TRACKING},
    optional=frozenset({"model", "tracking"}),
    gpus="auto",
    network_with=("COMET_API_KEY",),
    state=True,
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Train with every combination that the algorithm proposes, and write what came out."""
    import json

    from steps.recommender.lean_import import import_tensorflow

    import_tensorflow()
    from steps.recommender import sweep_page, sweeping, trained_model, training

    training_data, metric = training.begin(work.input("split"), inputs, work.state), inputs.compared_by
    if metric not in ERRORS and not training_data.validation_in_turn:
        raise StepError(f"{metric} ranks titles for whole users, who are not in memory: set stream to never")
    proposals = sweeping.Proposals(inputs.axes(), inputs.algorithm, inputs.trials, inputs.seed, metric)
    result = sweeping.sweep(
        iter(proposals),
        proposals.tell,
        inputs.config_of,
        training_data,
        metric,
        state=work.state,
        track=sweeping.tracked(inputs.tracking, work.output("tracking"), training_data.digest()[:32], metric),
    )
    trained_model.save(result.training, result.config, training_data, work.output("model"))

    report, space = work.output("report"), "; ".join(f"{name} {values}" for name, values in inputs.space.items())
    (report / "metrics.json").write_text(json.dumps(sweeping.as_figures(result, training_data.dataset), indent=2))
    page = sweep_page.build_page(result, training_data.dataset, f"{inputs.model}, {inputs.algorithm} over {space}.")
    (report / "report.html").write_text(page, encoding="utf-8")
    best = result.best
    work.record({"validation_rmse": result.training.validation_rmse, "best_trial": best.number})
    if metric != "rmse" and best.validation is not None:
        work.record({f"validation_{metric.replace('@', '_at_')}": best.validation})
    work.record({"trials": len(result.trials)})
    print(sweep_page.verdict(result))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
