"""Turn a trained recommender into a SavedModel that can be served."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from steps.entry import Step, StepInputs, Workspace, run_step
from steps.formats import SAVED_MODEL, TRAINED_MODEL


class Inputs(StepInputs):
    """Whether an index of titles is exported too."""

    index: Literal["auto", "always", "never"] = Field(
        "auto",
        description="a ScaNN index of titles beside the model, where it has two towers; auto: from 20,000 titles on",
    )


STEP = Step(
    name="export",
    summary="Export a trained recommender as a SavedModel and test it in a fresh process.",
    inputs=Inputs,
    reads={"model": TRAINED_MODEL},
    writes={"saved_model": SAVED_MODEL},
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Write the SavedModel, then load it as a server would and compare its answers with the model's."""
    with work.scratch("saved_model") as scratch:
        smoke = _export(inputs, work, scratch)
    size = sum(path.stat().st_size for path in work.output("saved_model").rglob("*") if path.is_file())
    work.record({"smoke_largest_difference": smoke["largest_difference"], "saved_model_bytes": size})
    print(
        f"smoke test passed: {sum(smoke['rows'].values()):,} rows in a fresh process, "
        f"at most {smoke['largest_difference']:.1e} off; {size / 1e6:.1f} MB"
    )


def _export(inputs: Inputs, work: Workspace, scratch: Path) -> dict[str, Any]:
    """Write everything, with the training rows in `scratch`; what the smoke test says."""
    from steps.recommender import indexed, saved_model, trained_model
    from steps.recommender.recommend import OUTPUTS

    trained = trained_model.load(work.input("model"), scratch)
    folder = work.output("saved_model")
    saved_model.export(trained, folder)
    print(f"exported {len(trained.vocabulary.users):,} users and {len(trained.vocabulary.titles):,} titles", flush=True)

    smoke = saved_model.smoke_test(trained, folder)
    index = indexed.export_index(trained, folder) if indexed.is_wanted(inputs.index, trained) else None
    if index:
        print(indexed.told(index), flush=True)
    description = {
        "signatures": {
            name: {"inputs": inputs, "outputs": {"rating": "float32"}}
            for name, inputs in saved_model.signatures_of(trained).items()
        }
        | {name: {"inputs": inputs, "outputs": OUTPUTS} for name, inputs in saved_model.lists_of(trained).items()},
        "rating_scale": asdict(trained.scale),
        "model": trained.config.model,
        "smoke_test": smoke,
        "index": asdict(index) if index else None,
    }
    (folder / "titles.json").write_text(json.dumps(trained.vocabulary.titles, ensure_ascii=False))
    (folder / "export.json").write_text(json.dumps(description, indent=2, ensure_ascii=False))
    return smoke


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
