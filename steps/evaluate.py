"""Judge a trained recommender, beside simple averages."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from steps.entry import Step, StepInputs, Workspace, run_step
from steps.formats import REPORT, SPLIT, TRACKING, TRAINED_MODEL
from steps.tracking import TrackingMode, start_tracker

if TYPE_CHECKING:
    from steps.recommender.importance import Importance
    from steps.recommender.judged_users import Mask
    from steps.recommender.metrics import Floats
    from steps.recommender.rerank_curves import RerankCurves
    from steps.recommender.stored_split import StoredSplit
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
    """Evaluate, with the rows of the split and of the models on disk."""
    with work.scratch("report") as scratch:
        _evaluate(inputs, work, scratch)


def _evaluate(inputs: Inputs, work: Workspace, scratch: Path) -> None:
    """Predict every part of the split, rank all titles, compare with baselines, and write figures and a page."""
    from steps.recommender import judged_users, list_evaluation, trained_model
    from steps.recommender.evaluation import MODEL, PREQUENTIAL, STATIC, judge, prequential_verdict, verdict
    from steps.recommender.model_rater import ModelRater
    from steps.recommender.page import build_page
    from steps.recommender.seeds import verdict as seeds_verdict
    from steps.recommender.stored_split import store_split

    split = store_split(work.input("split"), scratch / "split")
    trained = trained_model.load(work.input("model"), scratch / "model")
    others = trained_model.load_seeds(work.input("model"), scratch / "seeds")
    seeds = {found.config.seed: found for found in others}
    drawn = judged_users.draw(split)
    evaluation, judged = judge(
        split,
        ModelRater(trained, split),
        seed=inputs.seed,
        of_seeds={seed: ModelRater(other, split) for seed, other in seeds.items()},
        some=None if drawn is None else judged_users.take(split, drawn, scratch / "drawn"),
    )
    lists = list_evaluation.judge_lists(split, trained.model, trained.vocabulary, seed=inputs.seed)
    notes = [*_notes(trained, split, scratch / "again"), *evaluation.left_out, *lists.notes]
    if drawn is not None:
        notes.append(judged_users.note(split, drawn))
    said = [verdict(evaluation), prequential_verdict(evaluation)]
    said += [seeds_verdict(result, protocol) for protocol, result in evaluation.seeds.items()]
    print(*said, *notes, sep="\n", flush=True)

    curves, importance = _of_what_is_served(trained, split, inputs.seed)

    report = work.output("report")
    figures = {
        "dataset": split.about.dataset,
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
    _write_predictions(split, drawn, {name: judged[name, MODEL] for name in (STATIC, PREQUENTIAL)}, report)
    if lists.by_user is not None:
        lists.by_user.write_parquet(report / "lists.parquet")
    page = build_page(
        evaluation,
        lists,
        dataset=split.about.dataset,
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
    summary |= {
        f"{part}_prequential_rmse": evaluation.prequential[part].systems[MODEL].rmse.value for part in split.parts
    }
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
        tracker.log_other("dataset", split.about.dataset)
        tracker.log_other("verdict", verdict(evaluation))
        tracker.log_metrics(summary)
        tracker.log_asset(report / "report.html")
    print(
        f"{evaluation.judged_on} RMSE {summary[f'{judged_on}_rmse']:.4f}, "
        f"{evaluation.best_baseline} {baseline_rmse:.4f}"
    )


def _write_predictions(
    split: "StoredSplit", drawn: "Mask | None", predicted: "dict[str, Floats]", folder: Path
) -> None:
    """What was predicted for each row that was judged, which are those of the `drawn` users, or all."""
    import polars as pl

    rows = pl.scan_parquet(split.folder / f"{split.judged_on}.parquet").select("user_id", "item_id", "rating")
    if drawn is not None:
        rows = rows.filter(pl.col("user_id").is_in(split.owners.filter(pl.Series(drawn)).implode()))
    pl.concat([rows, pl.LazyFrame(predicted)], how="horizontal").sink_parquet(folder / "predictions.parquet")


def _notes(trained: "TrainedModel", split: "StoredSplit", scratch: Path) -> list[str]:
    """What a reader must know before any figure."""
    notes = []
    if not trained.was_trained_on(split.folder, scratch):
        notes.append(
            "Warning: the model was trained on other rows than this split's, perhaps on rows that it is judged on here."
        )
    if trained.has_learned_from([part for name, part in split.parts.items() if name != "train"]):
        notes.append(
            "Warning: the model began with an earlier one that learned from ratings as late as some that it is judged "
            "on here, perhaps from these."
        )
    if trained.config.model == "retrieval":
        notes.append("The model learns which titles are rated, not how: its ratings are two averages.")
    return notes


def _of_what_is_served(
    trained: "TrainedModel", split: "StoredSplit", seed: int
) -> "tuple[RerankCurves | None, Importance]":
    """What variety in lists costs, and what ratings depend on."""
    from steps.recommender.importance import draw_rows, measure_importance
    from steps.recommender.rerank_curves import draw_curves

    drawn = draw_rows(split.about.rows[split.judged_on], seed=seed)
    rows = split.encoding(trained.vocabulary, trained.profiles).rows(split.at(split.judged_on, drawn))
    return (
        draw_curves(split, trained.model, trained.vocabulary, trained.basis.titles.genres, seed=seed),
        measure_importance(trained.model, trained.basis.train, len(trained.vocabulary.users), rows),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
