"""How fast the recommender learns, beside the article's way of doing the same with Keras alone.

    python -m bench.speed --ml-100k ml-100k.zip

*epochs*: the article's model, same sizes and batch: this project's training loop and Keras' `fit` with the lookups of
strings in the graph, epoch by epoch in turn. *raw*: from the archive to a model, every process counted from its start:
this project's steps, with the model that is the quickest to learn, and one script with the article's model and its 50
epochs. Which model and how many epochs follows from validation; the test rows only judge what came out. Beside them
the floor: one process that imports what a training needs and reads the files, and learns nothing.

Rounds alternate, so that what else the machine does meets all alike. Seconds of wall and of CPU, medians.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

BATCH = 8192
ARTICLE_EPOCHS = 50
QUICK = ("--model=bias", "--epochs=4", "--learning-rate=0.1", "--decay=cosine")
"""Of the models and epochs that reach the article's RMSE on validation rows, the quickest."""

Seconds = tuple[float, float]
"""Of wall and of CPU."""


def plain_keras(train: pl.DataFrame) -> Any:
    """The article's model in Keras alone and a function that trains it for some epochs on `train`."""
    from steps.recommender.config import TrainingConfig  # sets Keras up before TensorFlow is imported

    import tensorflow as tf  # isort: skip

    keras, config = tf.keras, TrainingConfig(batch_size=BATCH)

    def embedded(text: Any, words: "pl.Series") -> Any:
        rows = keras.layers.StringLookup(vocabulary=words.unique().sort().to_list())(text)
        return keras.layers.Embedding(words.n_unique() + 1, config.embedding_size)(rows)

    user, title = (keras.Input((), dtype=tf.string) for _ in range(2))
    hidden = keras.layers.Concatenate()([embedded(user, train["user_id"]), embedded(title, train["title"])])
    for size in config.layers:
        hidden = keras.layers.Dense(size, "relu", kernel_regularizer=keras.regularizers.L2(config.l2))(hidden)
    model = keras.Model([user, title], keras.layers.Dense(1)(hidden))
    model.compile(keras.optimizers.Adagrad(config.learning_rate), "mse", [keras.metrics.RootMeanSquaredError()])
    ratings = train["rating"].to_numpy().astype(np.float32)
    rows = tf.data.Dataset.from_tensor_slices((_texts(train), ratings)).shuffle(len(train)).batch(BATCH).cache()

    def fit(epochs: int) -> None:
        model.fit(rows, epochs=epochs, verbose=0)

    return model, fit


def plain_rmse(model: Any, rows: pl.DataFrame) -> float:
    """The RMSE of a model of `plain_keras`."""
    predicted = model.predict(_texts(rows), batch_size=BATCH, verbose=0)[:, 0]
    return float(np.sqrt(np.mean(np.square(predicted - rows["rating"].to_numpy()))))


def _texts(rows: pl.DataFrame) -> tuple[Any, ...]:
    return tuple(rows[name].to_numpy().astype(np.str_) for name in ("user_id", "title"))


def measure_epochs(split_folder: Path, rounds: int) -> None:
    """Print both ways to train the article's model, and what they reach on validation rows after as many epochs."""
    from steps.recommender import data, training, validation
    from steps.recommender.allocation import keep_freed_memory
    from steps.recommender.config import TrainingConfig
    from steps.recommender.models import build_model
    from steps.recommender.training_data import encode_training_data

    keep_freed_memory()  # as the step does; plain Keras gains by it, too
    split = data.read_split(split_folder)
    training_data, config = encode_training_data(split), TrainingConfig(batch_size=BATCH)
    model = build_model(config, training_data.basis())
    train_step = training.compile_step(model, training_data.train)
    keras_model, fit = plain_keras(split.train)

    def ours(epoch: int) -> None:
        hide = {"user": config.hide_users, "title": config.hide_titles}
        parts = data.epoch_parts(training_data.train, seed=1, epoch=epoch, hide=hide, size=config.batch_size)
        training.train_epoch(model, train_step, parts, config.batch_size)

    contenders = {"plain Keras": lambda _epoch: fit(1), "ours": ours}
    taken: dict[str, list[Seconds]] = {name: [] for name in contenders}
    for epoch in range(rounds + 1):
        for name, run in contenders.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run(epoch)
            if epoch:  # the first one traces
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    known = pl.col("user_id").is_in(split.train["user_id"].unique().implode())
    rows = split.validation.filter(known)
    rmse = {
        "plain Keras": plain_rmse(keras_model, rows),
        "ours": validation.evaluate(model, data.encode(rows, training_data.vocabulary)),
    }
    for name in contenders:
        speed = len(split.train) / statistics.median(wall for wall, _ in taken[name])
        told = f"{speed:,.0f} examples/s; RMSE {rmse[name]:.3f} on the validation rows of known users"
        print(_row("an epoch of the article's model", name, taken, told), flush=True)


def measure_raw(archive: Path, rounds: int) -> None:
    """Print how long it takes from the archive to a model, this project's way and the article's."""
    taken: dict[str, list[Seconds]] = {"the article's script": [], "ours": [], "the floor": []}
    told = {"the floor": "imports and reading alone, in one process"}
    reads = [sys.executable, "-m", "bench.speed", "--floor", str(archive)]
    _timed([reads])  # so that nobody is the first to fetch TensorFlow from the disk
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            ours = [_step("ingest", "--dataset=ml-100k", f"--path={archive}", inputs=folder, outputs=folder / "raw")]
            ours.append(_step("clean", inputs=folder / "raw", outputs=folder))
            ours.append(_step("split", inputs=folder, outputs=folder))
            ours.append(_step("train", *QUICK, "--tracking=off", inputs=folder, outputs=folder))
            seconds, _ = _timed(ours)
            taken["ours"].append(seconds)
            told["ours"] = f"{' '.join(QUICK)}; test RMSE {_test_rmse(folder):.3f}"
            script = [sys.executable, "-m", "bench.speed", "--article", str(archive), "--article-rows", str(folder)]
            seconds, said = _timed([script])
            taken["the article's script"].append(seconds)
            told["the article's script"] = said.strip().splitlines()[-1]
            taken["the floor"].append(_timed([reads])[0])
    for name in taken:
        print(_row("raw files to a model", name, taken, told[name]), flush=True)


def article(archive: Path, judged_in: Path) -> None:
    """The article's script: load, split by time, train; the rows that judge it are those of the split step."""
    rows = _read(archive)
    first, last = int(rows["timestamp"].min()), int(rows["timestamp"].max())  # type: ignore[arg-type]
    cut = first + 0.6 * (last - first)
    started = time.perf_counter()
    model, fit = plain_keras(rows.filter(pl.col("timestamp") < cut))
    fit(ARTICLE_EPOCHS)
    fitted = time.perf_counter() - started
    rmse = plain_rmse(model, pl.read_parquet(judged_in / "split" / "test.parquet"))
    print(f"{ARTICLE_EPOCHS} epochs, of all that {fitted:.1f} s of building and fitting; test RMSE {rmse:.3f}")


def floor(archive: Path) -> None:
    """What every training from the archive does before it learns, as quickly as this project can."""
    from steps.recommender.lean_import import import_tensorflow

    import_tensorflow()
    _read(archive)


def _read(archive: Path) -> pl.DataFrame:
    """The ratings of ML-100K with their titles."""
    with zipfile.ZipFile(archive) as archived:
        ratings = pl.read_csv(
            archived.read("ml-100k/u.data"),
            separator="\t",
            has_header=False,
            new_columns=["user_id", "item_id", "rating", "timestamp"],
        )
        lines = archived.read("ml-100k/u.item").decode("latin-1").splitlines()
    items = pl.DataFrame([line.split("|")[:2] for line in lines], schema=["item_id", "title"], orient="row")
    return ratings.join(items.cast({"item_id": pl.Int64}), on="item_id").cast({"user_id": pl.String})


def _test_rmse(folder: Path) -> float:
    from steps.recommender import data, trained_model, validation

    trained = trained_model.load(folder / "model")
    return validation.evaluate(trained.model, data.encode(data.read_split(folder / "split").test, trained.vocabulary))


def _step(name: str, *flags: str, inputs: Path, outputs: Path) -> list[str]:
    return [sys.executable, "-m", f"steps.{name}", *flags, f"--inputs-dir={inputs}", f"--outputs-dir={outputs}"]


def _timed(commands: list[list[str]]) -> tuple[Seconds, str]:
    """How long the commands take, one after the other, and what the last one said."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    said = ""
    for command in commands:
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (time.perf_counter() - wall, cpu), said


def _row(what: str, who: str, taken: dict[str, list[Seconds]], told: str) -> str:
    first = next(iter(taken))
    walls, cpus = zip(*taken[who], strict=True)
    ratios = [
        statistics.median(base[index] / own[index] for base, own in zip(taken[first], taken[who], strict=True))
        for index in range(2)
    ]
    cells = (f"{statistics.median(walls):.2f}", f"{statistics.median(cpus):.2f}", *(f"{ratio:.2f}" for ratio in ratios))
    return f"| {what} | {who} | {' | '.join(cells)} | {told} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ml-100k", type=Path)
    parser.add_argument("--rounds", type=int, default=15, help="epochs of each in turn (%(default)s)")
    parser.add_argument("--raw-rounds", type=int, default=3, help="trainings from raw files in turn (%(default)s)")
    parser.add_argument("--article", type=Path, metavar="ARCHIVE", help="be the article's script")
    parser.add_argument("--article-rows", type=Path, help="with --article: where the split is that judges")
    parser.add_argument("--floor", type=Path, metavar="ARCHIVE", help="be the process that only imports and reads")
    arguments = parser.parse_args()
    if arguments.floor:
        floor(arguments.floor)
        return
    if arguments.article:
        article(arguments.article, arguments.article_rows)
        return
    archive = arguments.ml_100k.absolute()
    print("| what | who | wall s | CPU s | times as fast by wall | by CPU | |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    measure_raw(archive, arguments.raw_rounds)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _timed(
            [
                _step("ingest", "--dataset=ml-100k", f"--path={archive}", inputs=folder, outputs=folder / "raw"),
                _step("clean", inputs=folder / "raw", outputs=folder),
                _step("split", inputs=folder, outputs=folder),
            ]
        )
        measure_epochs(folder / "split", arguments.rounds)


if __name__ == "__main__":
    main()
