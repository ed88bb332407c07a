"""Lists of titles on MovieLens 1M, each user's last rating left out, beside EASE and ALS tuned in the same run.

    python -m bench.lists --ml-1m ml-1m.zip

The step `split` parts the ratings (`leave_last_n`), the step `train` learns from training rows, everything is chosen on
the rating before the last, and all titles that a user had not rated are ranked for the last one. Of ratings of one
moment the one with the greater item id counts as the later one; training reads them in another order each time, so that
no model can learn that from it. Run it from the root of the project; `--scratch` keeps what was trained.
"""

import argparse
import tempfile
from pathlib import Path

from bench.recommender import parted, prepare, step

SEED = 1


def trained(split: Path, model: str, epochs: int) -> Path:
    """A folder with the `model` that the step `train` makes of the `split` in `split`."""
    folder = split / f"{model}-{epochs}"
    if not (folder / "model" / "model.json").exists():
        folder.mkdir(exist_ok=True)
        (folder / "split").unlink(missing_ok=True)
        (folder / "split").symlink_to(split / "split")
        flags = (f"--model={model}", f"--epochs={epochs}", f"--state-dir={folder / 'state'}", "--tracking=off")
        step("train", *flags, inputs=folder, outputs=folder)
    return folder


def measure(folder: Path, name: str) -> None:
    """Print the table of a trained model and the baselines."""
    from steps.recommender import list_evaluation, trained_model
    from steps.recommender.stored_split import store_split

    found = trained_model.load(folder / "model")
    with tempfile.TemporaryDirectory() as scratch:
        split = store_split(folder / "split", Path(scratch))
        judged = list_evaluation.judge_lists(split, found.model, found.vocabulary, seed=SEED)
    evaluation = judged.static
    assert evaluation is not None
    print("| system | NDCG@10 | 95 % interval | recall@10 | 95 % interval | NDCG@10, validation | chosen |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for system, quality in evaluation.systems.items():
        cells = [name if system == list_evaluation.MODEL else system]
        for figure in list_evaluation.COMPARED:
            estimate = quality.figures[figure]
            cells += [f"{estimate.value:.4f}", f"{estimate.low:.4f} to {estimate.high:.4f}"]
        chosen = ", ".join(f"{choice} {value:g}" for choice, value in quality.choices.items())
        print(f"| {' | '.join([*cells, f'{quality.validation:.4f}', chosen])} |")
    print(f"\n| {name} minus | NDCG@10 | p | recall@10 | p |\n| --- | --- | --- | --- | --- |")
    for system, comparisons in evaluation.comparisons.items():
        cells = [system]
        for figure in list_evaluation.COMPARED:
            comparison = comparisons[figure]
            difference = comparison.difference
            cells += [
                f"{difference.value:+.4f}, {difference.low:+.4f} to {difference.high:+.4f}",
                list_evaluation.p_value(comparison),
            ]
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ml-1m", type=Path, required=True)
    parser.add_argument("--model", default="retrieval", help="%(default)s")
    parser.add_argument("--epochs", type=int, default=6, help="of which the best on validation is kept (%(default)s)")
    parser.add_argument("--scratch", type=Path, help="where to keep what was trained; nothing is trained twice there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (arguments.scratch or Path(temporary)).absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        archive = arguments.ml_1m.absolute()
        (split,) = parted("--method=leave_last_n")(prepare("ml-1m", archive, scratch), archive)
        measure(trained(split, arguments.model, arguments.epochs), arguments.model)


if __name__ == "__main__":
    main()
