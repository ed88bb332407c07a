"""What the recommender reaches, beside what it compares to.

    python bench/recommender.py --ml-100k ml-100k.zip --ml-1m ml-1m.zip

Each row of the table is trained and judged here, by the project's own steps, on data given by path (the archives as
GroupLens has them), beside what was aimed at: the figure reached, or by how much it was missed. What others report is
quoted, with where it is from; it was measured on other machines. Run it from the root of the project. `--only NAME`
(repeatable) chooses rows, `--models` other models than a row's own. `--surprise PYTHON` puts Surprise beside them, each
of its recommenders for `--surprise-seconds` a split at most. Lists, speed and an index follow as tables of their own,
by the commands that are named there.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl


@dataclass(frozen=True, slots=True)
class Task:
    """Data, a split of it, and a protocol; `reach` is the RMSE aimed at, `known` what others have."""

    name: str
    about: str
    data: str
    protocol: str
    splits: Callable[[Path, Path], Iterator[Path]]
    """From the folder of clean ratings and the archive to folders with a `split` each, whose RMSEs are averaged."""
    reach: float
    known: str
    models: tuple[str, ...] = ("ranking", "history", "autoencoder")
    """What is trained where nothing else is asked for."""
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Parameters of `train` by model, where the data wants others than the model's defaults; chosen on validation."""


def parted(*flags: str) -> Callable[[Path, Path], Iterator[Path]]:
    """The split that the step `split` makes with these flags."""

    def splits(ratings: Path, _archive: Path) -> Iterator[Path]:
        folder = ratings / "_".join(("parted", *flags)).replace("--", "")
        if not folder.exists():
            step("split", *flags, inputs=ratings, outputs=folder)
        yield folder

    return splits


def official(*folds: int) -> Callable[[Path, Path], Iterator[Path]]:
    """MovieLens 100K's own folds: a twentieth of each base part, drawn at random, is for validation."""

    def splits(ratings: Path, archive: Path) -> Iterator[Path]:
        rows = pl.read_parquet(ratings / "ratings" / "ratings.parquet")
        for fold in folds:
            folder = ratings / f"u{fold}"
            (folder / "split").mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(archive) as archived:
                text = archived.read(f"ml-100k/u{fold}.test").decode()
            pairs = [line.split("\t")[:2] for line in text.splitlines()]
            held = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
            base = rows.join(held, on=["user_id", "item_id"], how="anti").sample(fraction=1.0, shuffle=True, seed=fold)
            parts = {
                "test": rows.join(held, on=["user_id", "item_id"], how="semi"),
                "validation": base.head(len(base) // 20),
                "train": base.tail(-(len(base) // 20)),
            }
            for name, part in parts.items():
                part.write_parquet(folder / "split" / f"{name}.parquet")
            for name in ("items.parquet", "users.parquet", "dataset.json"):
                (folder / "split" / name).write_bytes((ratings / "ratings" / name).read_bytes())
            yield folder

    return splits


TASKS = (
    Task("static", "ML-100K, the article's split, static", "ml-100k", "parts", parted(), 1.015, "article 1.04 to 1.06"),
    Task("prequential", "the same, prequential", "ml-100k", "prequential", parted(), 0.940, "-"),
    Task("u1", "ML-100K u1", "ml-100k", "parts", official(1), 0.900, "GC-MC 0.905 to 0.910, GLocal-K 0.889"),
    Task(
        "u1-u5",
        "ML-100K, mean of u1 to u5",
        "ml-100k",
        "parts",
        official(1, 2, 3, 4, 5),
        0.897,
        "Surprise: SVD 0.934, KNNBaseline 0.931, SVD++ 0.920",
    ),
    Task(
        "ml-1m",
        "ML-1M, random 90/10",
        "ml-1m",
        "parts",
        parted("--method=random", "--train-end=0.86", "--validation-end=0.9"),
        0.835,
        "Surprise: SVD 0.873, SVD++ 0.862; AutoRec 0.831, GLocal-K 0.822",
        models=("autoencoder",),  # `history` learns slowly from that many rows
        flags={"autoencoder": ("--batch-size=65536", "--epochs=30")},
    ),
)

OTHERS: Mapping[str, tuple[str, str]] = {
    "lists": ("Lists of titles beside EASE and ALS, leave-last-out", "ml-1m"),
    "speed": ("An epoch beside plain Keras, and the time from raw files to a model", "ml-100k"),
    "index": ("A million titles by an index", ""),
}
"""Tables with aims of another kind: module in `bench/` -> what it measures, and of which data."""


def step(name: str, *flags: str, inputs: Path, outputs: Path) -> None:
    """Run a step of the project, quietly unless it fails."""
    folders = [f"--inputs-dir={inputs}", f"--outputs-dir={outputs}"]
    done = subprocess.run(
        [sys.executable, "-m", f"steps.{name}", *flags, *folders], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def prepare(data: str, archive: Path, scratch: Path) -> Path:
    """Clean ratings from an archive."""
    folder = scratch / data
    if not folder.exists():
        step("ingest", f"--dataset={data}", f"--path={archive}", inputs=scratch, outputs=folder / "raw")
        step("clean", inputs=folder / "raw", outputs=folder)
    return folder


def judged(split: Path, model: str, flags: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `evaluate` says of a model that was trained on `split`, and how many seconds the training took."""
    folder = split / model
    if not (folder / "seconds").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "split").symlink_to(split / "split")
        started = time.perf_counter()
        step("train", f"--model={model}", *flags, "--tracking=off", inputs=folder, outputs=folder)
        seconds = time.perf_counter() - started
        step("evaluate", "--tracking=off", inputs=folder, outputs=folder)
        (folder / "seconds").write_text(str(seconds))
    figures: dict[str, Any] = json.loads((folder / "report" / "metrics.json").read_text())
    return {**figures, "seconds": float((folder / "seconds").read_text())}


def surprise(split: Path, interpreter: str, name: str, limit: float) -> dict[str, float] | None:
    """RMSE and seconds of one of Surprise's recommenders, which learns from the validation rows as well.

    None where it takes more than `limit` seconds. It runs with the lowest priority.
    """
    kept = split / f"{name}.json"
    if not kept.exists():
        parts = {part: pl.read_parquet(split / "split" / f"{part}.parquet") for part in ("train", "validation", "test")}
        for part, rows in {"base": [parts["train"], parts["validation"]], "test": [parts["test"]]}.items():
            columns = pl.concat(rows).select("user_id", "item_id", "rating")
            columns.write_csv(split / f"{part}.csv", include_header=False)
        command = ["nice", "-n", "19", interpreter, str(Path(__file__).with_name("surprise_peer.py")), str(split), name]
        try:
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return None
        kept.write_text(json.dumps(json.loads(said.stdout)[name]))
    figures: dict[str, float] = json.loads(kept.read_text())
    return figures


def measure_surprise(
    task: Task, archive: Path, interpreter: str, names: list[str], limit: float, scratch: Path
) -> None:
    """Print the rows of Surprise's recommenders on a task."""
    splits = list(task.splits(prepare(task.data, archive, scratch), archive))
    for name in names:
        each = [found for split in splits if (found := surprise(split, interpreter, name, limit))]
        if len(each) == len(splits):
            rmse = statistics.mean(figures["rmse"] for figures in each)
            cells = [f"{rmse:.4f}", "", "", f"{sum(figures['seconds'] for figures in each):.0f}"]
        else:
            cells = [f"not within {limit:.0f} s", "", "", ""]
        print(_row(task.about, name, *cells, "", "", "", "measured here"), flush=True)


def measure(task: Task, archive: Path, models: Sequence[str], scratch: Path) -> None:
    """Print the rows of a task: every model, then the baselines of the evaluation."""
    systems: dict[str, list[dict[str, Any]]] = {}
    seconds: dict[str, float] = {}
    for split in task.splits(prepare(task.data, archive, scratch), archive):
        for model in models:
            figures = judged(split, model, task.flags.get(model, ()))
            seconds[model] = seconds.get(model, 0.0) + figures["seconds"]
            for system, quality in figures[task.protocol]["test"]["systems"].items():
                named = model if system == "model" else system
                if named == model or model == models[0]:
                    systems.setdefault(named, []).append(quality)
    for system, qualities in systems.items():
        # Several splits are of the same users: the mean of the bounds is an interval that is not too narrow.
        rmse, low, high = (
            statistics.mean(quality["rmse"][name] for quality in qualities) for name in ("value", "low", "high")
        )
        mae = statistics.mean(quality["mae"]["value"] for quality in qualities)
        cells = [f"{rmse:.4f}", f"{low:.3f} to {high:.3f}", f"{mae:.4f}"]
        if system in seconds:
            missed = rmse - task.reach
            verdict = ("", f"by {missed:.4f}") if missed > 0 else (f"{rmse:.3f}", "")
            cells += [f"{seconds[system]:.0f}", f"{task.reach:.3f}", *verdict]
        else:
            cells += ["", "", "", ""]
        print(_row(task.about, system, *cells, task.known), flush=True)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ml-100k", type=Path)
    parser.add_argument("--ml-1m", type=Path)
    parser.add_argument("--only", action="append", choices=[*(task.name for task in TASKS), *OTHERS])
    parser.add_argument("--models", help="for every row: names with commas between, or nothing")
    parser.add_argument("--scratch", type=Path, help="where to keep what was trained; nothing is trained twice there")
    parser.add_argument("--surprise", metavar="PYTHON", help="also measure Surprise, of this interpreter's environment")
    parser.add_argument("--surprise-models", default="BaselineOnly,SVD,SVD++,KNNBaseline", help="(%(default)s)")
    parser.add_argument("--surprise-seconds", type=float, default=1800, help="for each, of a split (%(default)s)")
    arguments = parser.parse_args()
    archives = {"ml-100k": arguments.ml_100k, "ml-1m": arguments.ml_1m}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (arguments.scratch or Path(temporary)).absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        names = (
            "data and protocol",
            "system",
            "test RMSE",
            "95 % interval",
            "MAE",
            "seconds",
            "aim",
            "reached",
            "missed",
        )
        print(_row(*names, "others report"))
        print(_row(*["---"] * (len(names) + 1)))
        for task in TASKS:
            archive = archives[task.data]
            if arguments.only and task.name not in arguments.only:
                continue
            if archive:
                models = task.models if arguments.models is None else tuple(filter(None, arguments.models.split(",")))
                if models:
                    measure(task, archive.absolute(), models, scratch)
                if arguments.surprise and task.protocol == "parts":
                    peers = [f"Surprise {name}" for name in arguments.surprise_models.split(",")]
                    limit = arguments.surprise_seconds
                    measure_surprise(task, archive.absolute(), arguments.surprise, peers, limit, scratch)
            else:
                unknown = f"not measured: --{task.data} was not given"
                print(_row(task.about, unknown, *[""] * 4, f"{task.reach:.3f}", "", "", task.known))
    for name, (about, data) in OTHERS.items():
        if not arguments.only or name in arguments.only:
            print(f"\n{about}: python -m bench.{name}\n", flush=True)
            if data and not archives[data]:
                print(f"not measured: --{data} was not given")
                continue
            given = [f"--{data}", str(archives[data])] if data else []
            subprocess.run([sys.executable, "-m", f"bench.{name}", *given], check=True)


if __name__ == "__main__":
    main()
