"""Compare models that were judged on the same rows."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import Field

from steps.entry import Step, StepInputs, Workspace, run_step
from steps.formats import COST, REPORT


class Inputs(StepInputs):
    """How intervals are drawn."""

    seed: int = Field(1, ge=0, lt=2**31, description="decides which users the bootstrap draws")


STEP = Step(
    name="compare",
    summary="Compare evaluated models on the same rows, with paired intervals and the spread of seeds.",
    inputs=Inputs,
    reads={"reports": f"{REPORT}[]", "costs": f"{COST}[]"},
    writes={"report": REPORT},
    optional=frozenset({"costs"}),
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Read every report, and write a page and its figures."""
    from steps.recommender import comparison, comparison_slices, comparison_training, list_comparison

    folders = _folders(work.input("reports"))
    took = comparison_training.read_seconds(_folders(work.input("costs")))
    reports = comparison.read_reports(folders)
    results = {protocol: comparison.compare(reports, protocol, seed=inputs.seed) for protocol in comparison.PROTOCOLS}
    lists = list_comparison.compare(reports, folders, seed=inputs.seed)
    report = work.output("report")
    figures = {
        **comparison.as_figures(results),
        "lists": {name: asdict(result) for name, result in lists.items()},
    }
    (report / "metrics.json").write_text(json.dumps(figures, indent=2))
    of_lists = list_comparison.section(lists, reports[0])
    slices = comparison_slices.section(reports, list(results["static"]))
    learning = comparison_training.section(
        reports, list(results["static"]), [took.get(folder.name) for folder in folders]
    )
    page = comparison.build_page(reports, results, inputs.seed, [of_lists, slices, learning])
    (report / "report.html").write_text(page, encoding="utf-8")
    for protocol, models in results.items():
        print(comparison.verdict(models, protocol, reports[0].judged_on))
        work.record({f"{protocol} {name}": result.quality.rmse.value for name, result in models.items()})
    if lists:
        print(list_comparison.verdict(lists, reports[0].judged_on))
        work.record({f"lists {name}": result.figures["ndcg@10"].value for name, result in lists.items()})


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir()) if place.exists() else []


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
