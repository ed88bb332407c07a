"""Let a model pass only if it is not worse than the one that serves, on the same rows."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from pydantic import Field

from steps.entry import Step, StepError, StepInputs, Workspace, run_step
from steps.formats import DECISION, MODEL_CHECK, SAVED_MODEL, SPLIT


class Inputs(StepInputs):
    """Which deployment to compare with, and whether its word counts."""

    deployment: str = Field("recommender", min_length=1, description="the name of the deployment")
    force: bool = Field(False, description="let it pass even if it is worse; this is recorded")
    tolerance: float = Field(0.0, ge=0, description="by so much RMSE it may be worse")
    rows: int = Field(20_000, ge=100, description="the most validation rows to compare on; the first ones are taken")
    seed: int = Field(1, ge=0, lt=2**31, description="decides which users the bootstrap draws")


STEP = Step(
    name="gate",
    summary="Compare an exported model with the one that a deployment serves, and let it pass unless it is worse.",
    inputs=Inputs,
    reads={"model": SAVED_MODEL, "split": SPLIT, "check": MODEL_CHECK},
    writes={"decision": DECISION},
    optional=frozenset({"check"}),
    control=True,
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Ask both models about the validation rows, and decide."""
    from steps.control import ask
    from steps.recommender import data
    from steps.recommender.exported import ExportedModel, compare

    folder = work.input("split")
    about = data.describe_split(folder)
    rows = data.first_rows(folder, "validation" if about.rows["validation"] else "test", inputs.rows)
    if not len(rows):
        raise StepError("the split has no validation rows to compare on")
    ratings = ExportedModel.load(work.input("model")).rate(rows)
    serving = ask("GET", f"deployments/{inputs.deployment}")
    decision: dict[str, object] = {"deployment": inputs.deployment, "rows": len(rows)}
    if serving is None or not any(each["ready"] for each in serving["replicas"]):
        decision |= {"passes": True, "why": "nothing serves that it could be compared with"}
    else:
        served = []
        for start in range(0, len(rows), _BATCH):
            part = rows.slice(start, _BATCH)
            asked = [
                {"user": user, "movie": title, "timestamp": moment}
                for user, title, moment in part.select("user_id", "title", "timestamp").iter_rows()
            ]
            served += ask("POST", f"deployments/{inputs.deployment}/predict", {"rows": asked})["ratings"]
        comparison = compare(rows, ratings, served, seed=inputs.seed)
        difference = comparison.difference
        worse = difference.low > inputs.tolerance
        text = f"RMSE {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] against revision "
        why = f"{text}{serving['revision']} on {len(rows):,} validation rows: {'worse' if worse else 'not worse'}"
        decision |= {
            "passes": not worse or inputs.force,
            "why": f"{why}, forced" if worse and inputs.force else why,
            "compared_with": serving["revision"],
            "difference": asdict(difference),
        }
        work.record({"rmse_difference": difference.value, "rmse_difference_low": difference.low})
    (work.output("decision") / "decision.json").write_text(json.dumps(decision, indent=2))
    print(decision["why"], flush=True)
    if not decision["passes"]:
        raise StepError(f"the new model is worse: {decision['why']}; `--set force=true` deploys it all the same")


_BATCH = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
