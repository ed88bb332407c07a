"""Judge a trained recommender, beside simple averages."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import Field

from steps.entry import Step, StepInputs, Workspace, run_step
from steps.formats import REPORT, SPLIT, TRACKING, TRAINED_MODEL
from steps.tracking import TrackingMode, start_tracker

if TYPE_CHECKING:
    import polars as pl

    from steps.recommender.data import Split
    from steps.recommender.importance import Importance
    from steps.recommender.metrics import Floats
    from steps.recommender.rerank_curves import RerankCurves
    from steps.recommender.trained_model import TrainedModel


class Inputs(StepInputs):
    """How intervals are drawn, and where to record the results."""

    seed: int = Field(1, ge=0, lt=2**31, description="decides which users the bootstrap draws")
    tracking: TrackingMode = Field(
        "auto", description="auto: a Comet archive, and online with COMET_API_KEY; offline: the archive only; off"
    )


STEP = Step(
    name="evaluate",
    summary="Measure a trained recommender beside simple averages, with intervals.",
    inputs=Inputs,
    reads={"split": SPLIT, "model": TRAINED_MODEL},
    writes={"report": REPORT, "tracking": TRACKING},
    optional=frozenset({"tracking"}),
    network_with=("COMET_API_KEY",),
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Predict every part of the split, rank all titles, compare with baselines, and write figures and a page."""
    import polars as pl

    from steps.recommender import data, list_evaluation, trained_model
    from steps.recommender.evaluation import MODEL, judge, prequential_verdict, verdict
    from steps.recommender.page import build_page
    from steps.recommender.seeds import verdict as seeds_verdict

    split = data.read_split(work.input("split"))
    trained = trained_model.load(work.input("model"))
    parts = split.parts()
    predictions, predictions_in_turn = _predict(trained, split)
    seeds = {found.config.seed: found for found in trained_model.load_seeds(work.input("model"))}
    of_seeds: dict[str, dict[int, Floats]] = {"static": {}, "prequential": {}}
    for seed, other in seeds.items():
        for found, predicted in zip(of_seeds.values(), _predict(other, split), strict=True):
            found[seed] = predicted[list(parts)[-1]]
    evaluation = judge(split, predictions, predictions_in_turn, seed=inputs.seed, of_seeds=of_seeds if seeds else None)
    notes = _notes(trained, split)
    lists = list_evaluation.judge_lists(split, trained.model, trained.vocabulary, seed=inputs.seed)
    said = [verdict(evaluation), prequential_verdict(evaluation)]
    said += [seeds_verdict(result, protocol) for protocol, result in evaluation.seeds.items()]
    print(*said, *notes, sep="\n", flush=True)

    judged = parts[evaluation.judged_on]
    curves, importance = _of_what_is_served(trained, split, judged, inputs.seed)

    report = work.output("report")
    figures = {
        "dataset": split.dataset,
        "parameters": trained.config.model_dump(mode="json"),
        "weights": trained.model.count_params(),
        "verdict": verdict(evaluation),
        "notes": notes,
        "training": {"best_epoch": trained.best_epoch, "epochs": [asdict(epoch) for epoch in trained.history]},
        **asdict(evaluation),
        "lists": asdict(lists.static) if lists.static else None,
        "lists_prequential": asdict(lists.prequential) if lists.prequential else None,
        "variety": asdict(curves) if curves else None,
        "importance": asdict(importance),
    }
    (report / "metrics.json").write_text(json.dumps(figures, indent=2))
    judged.select(
        "user_id",
        "item_id",
        "rating",
        static=pl.Series(predictions[evaluation.judged_on]),
        prequential=pl.Series(predictions_in_turn[evaluation.judged_on]),
    ).write_parquet(report / "predictions.parquet")
    if lists.by_user is not None:
        lists.by_user.write_parquet(report / "lists.parquet")
    page = build_page(
        evaluation,
        lists,
        dataset=split.dataset,
        parameters=trained.config.model_dump(mode="json"),
        history=trained.history,
        best_epoch=trained.best_epoch,
        notes=notes,
        importance=importance,
        curves=curves,
        of_seeds={seed: other.validation_rmse for seed, other in seeds.items()},
    )
    (report / "report.html").write_text(page, encoding="utf-8")

    summary = {
        f"{part}_{figure}": getattr(result.systems[MODEL], figure).value
        for part, result in evaluation.parts.items()
        for figure in ("rmse", "mae")
    }
    judged_on = evaluation.judged_on
    baseline_rmse = evaluation.parts[judged_on].systems[evaluation.best_baseline].rmse.value
    summary[f"{judged_on}_best_baseline_rmse"] = baseline_rmse
    summary |= {f"{part}_prequential_rmse": evaluation.prequential[part].systems[MODEL].rmse.value for part in parts}
    for protocol, result in evaluation.seeds.items():
        summary |= {f"{protocol}_mean_of_seeds": result.mean, f"{protocol}_spread_of_seeds": result.spread}
    for protocol, judged_lists in (("static", lists.static), ("prequential", lists.prequential)):
        if judged_lists:
            own, of = judged_lists.systems[MODEL].figures, "" if protocol == "static" else f"{protocol}_"
            for name in list_evaluation.COMPARED:
                summary[f"{judged_on}_{of}{name.replace('@', '_at_')}"] = own[name].value
            print(list_evaluation.verdict(judged_lists, protocol), flush=True)
    work.record(summary)
    with start_tracker(
        inputs.tracking, work.output("tracking"), name="evaluate", tags=[trained.config.model]
    ) as tracker:
        tracker.log_params(trained.config.model_dump())
        tracker.log_other("dataset", split.dataset)
        tracker.log_other("verdict", verdict(evaluation))
        tracker.log_metrics(summary)
        tracker.log_asset(report / "report.html")
    print(
        f"{evaluation.judged_on} RMSE {summary[f'{judged_on}_rmse']:.4f}, "
        f"{evaluation.best_baseline} {baseline_rmse:.4f}"
    )


def _notes(trained: "TrainedModel", split: "Split") -> list[str]:
    """What a reader must know before any figure."""
    notes = []
    if not trained.was_trained_on(split):
        notes.append(
            "Warning: the model was trained on other rows than this split's, perhaps on rows that it is judged on here."
        )
    if trained.has_learned_from([part for name, part in split.parts().items() if name != "train"]):
        notes.append(
            "Warning: the model began with an earlier one that learned from ratings as late as some that it is judged "
            "on here, perhaps from these."
        )
    if trained.config.model == "retrieval":
        notes.append("The model learns which titles are rated, not how: its ratings are two averages.")
    return notes


def _predict(trained: "TrainedModel", split: "Split") -> "tuple[dict[str, Floats], dict[str, Floats]]":
    """The ratings of every part, static and prequential."""
    import numpy as np

    from steps.recommender import data

    parts = split.parts()
    static = {name: trained.model.predict_ratings(trained.encode(part, split.users)) for name, part in parts.items()}
    in_turn = trained.model.predict_in_turn(data.encode_in_turn(list(parts.values()), trained.vocabulary))
    ends = np.cumsum([len(part) for part in parts.values()])[:-1]
    return static, dict(zip(parts, np.split(in_turn, ends), strict=True))


def _of_what_is_served(
    trained: "TrainedModel", split: "Split", judged: "pl.DataFrame", seed: int
) -> "tuple[RerankCurves | None, Importance]":
    """What variety in lists costs, and what ratings depend on."""
    from steps.recommender.importance import measure_importance
    from steps.recommender.rerank_curves import draw_curves

    users, rows = len(trained.vocabulary.users), trained.encode(judged, split.users)
    return (
        draw_curves(split, trained.model, trained.vocabulary, trained.basis.titles.genres, seed=seed),
        measure_importance(trained.model, trained.basis.train, users, rows, seed=seed),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
