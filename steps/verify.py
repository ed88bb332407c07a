"""See whether an exported model is fit to be served, before anything serves it."""

import json
import sys
from collections.abc import Sequence

from pydantic import Field

from steps.entry import Step, StepError, StepInputs, Workspace, run_step
from steps.formats import MODEL_CHECK, SAVED_MODEL


class Inputs(StepInputs):
    """How large a model may be."""

    largest: float = Field(500.0, gt=0, description="megabytes that the model may have")


STEP = Step(
    name="verify",
    summary="Load an exported model as a server would, compare its signatures and sample answers, and weigh it.",
    inputs=Inputs,
    reads={"model": SAVED_MODEL},
    writes={"check": MODEL_CHECK},
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Check it; the first thing that is wrong ends the step."""
    folder = work.input("model")
    if not (folder / "saved_model.pb").is_file() or not (folder / "export.json").is_file():
        raise StepError(f"{folder} is not the output of the step `export`: it has no saved_model.pb or no export.json")
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    if megabytes > inputs.largest:
        raise StepError(f"the model has {megabytes:.1f} MB, more than the {inputs.largest:g} MB of `largest`")

    from steps.recommender.exported import ExportedModel

    model = ExportedModel.load(folder)
    model.check_signatures()
    difference = model.largest_difference()
    result = {"megabytes": megabytes, "signatures": sorted(model.signatures), "largest_difference": difference}
    (work.output("check") / "check.json").write_text(json.dumps(result, indent=2))
    work.record({"megabytes": megabytes, "largest_difference": difference})
    print(f"fit to be served: {megabytes:.1f} MB, sample answers at most {difference:.1e} off")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
