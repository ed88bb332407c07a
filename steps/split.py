"""Part ratings into three: for learning, for choosing between models, for judging the chosen one."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import Field, model_validator

from steps.entry import Step, StepError, StepInputs, Workspace, run_step
from steps.formats import RATINGS, SPLIT

if TYPE_CHECKING:
    import polars as pl

PARTS: Final = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)

Method = Literal["time_range", "time_quantile", "leave_last_n", "random", "k_fold"]

PARAMETERS: Final[dict[Method, tuple[str, ...]]] = {
    "time_range": ("train_end", "validation_end"),
    "time_quantile": ("train_end", "validation_end"),
    "leave_last_n": ("leave",),
    "random": ("train_end", "validation_end", "seed"),
    "k_fold": ("folds", "fold", "seed"),
}
"""The parameters that each method uses."""


class Inputs(StepInputs):
    """How the ratings are parted."""

    method: Method = Field(
        "time_range",
        description="time_range (at fractions of the time between the first and the last rating), time_quantile (at "
        "fractions of the ratings in order of time), leave_last_n (the last ratings of each user), random, or k_fold",
    )
    train_end: float = Field(0.6, gt=0, lt=1, description="the fraction where the training part ends")
    validation_end: float = Field(0.8, gt=0, lt=1, description="the fraction where the validation part ends")
    leave: int = Field(
        1, ge=1, description="leave_last_n: ratings of each user in the test part, and as many before in validation"
    )
    folds: int = Field(5, ge=3, description="k_fold: the number of folds of equal size")
    fold: int = Field(
        1,
        ge=1,
        description="k_fold: the fold, from 1, that is the test part; the next is validation, the rest training",
    )
    seed: int = Field(0, ge=0, description="random and k_fold: the same seed gives the same parts on every machine")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.train_end >= self.validation_end:
            raise ValueError("train_end must be less than validation_end")
        if self.fold > self.folds:
            raise ValueError(f"fold is {self.fold}, and there are only {self.folds} folds")
        return self


STEP = Step(
    name="split",
    summary="Part ratings into training, validation and test: by time, by user, at random or in folds.",
    inputs=Inputs,
    reads={"ratings": RATINGS},
    writes={"split": SPLIT},
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Write the three parts, each in the order of the source.

    Raises:
        StepError: a part would be empty.
    """
    import polars as pl

    source, target = work.input("ratings"), work.output("split")
    ratings = pl.read_parquet(source / "ratings.parquet")
    part = assign(inputs, ratings)
    parts = {name: ratings.filter(part == number) for number, name in enumerate(PARTS)}
    empty = [name for name, rows in parts.items() if rows.is_empty()]
    if empty:
        sizes = ", ".join(f"{name} {rows.height:,}" for name, rows in parts.items())
        raise StepError(f"{_described(inputs)} leaves no rating for {' and '.join(empty)} ({sizes}): {_advice(inputs)}")
    for name, rows in parts.items():
        rows.write_parquet(target / f"{name}.parquet")
    for name in ("items.parquet", "users.parquet", "dataset.json"):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
    rows_in = {name: rows.height for name, rows in parts.items()}
    about: dict[str, object] = {"method": inputs.method, **_parameters(inputs), "rows": rows_in, **_unseen(parts)}
    (target / "split.json").write_text(json.dumps(about, indent=2) + "\n")
    _tell(inputs, parts, about)
    work.record({f"{name}_rows": count for name, count in rows_in.items()})


def assign(inputs: Inputs, ratings: "pl.DataFrame") -> "pl.Series":
    """The part of each rating: 0 for training, 1 for validation, 2 for test."""
    if ratings.is_empty():
        raise StepError("there is no rating to split")
    if inputs.method == "leave_last_n":
        return _by_user(ratings, inputs.leave)
    if inputs.method in ("time_range", "time_quantile"):
        times = ratings["timestamp"]
        first, second = _cuts(inputs, times)
        return (times > first).cast(int) + (times > second).cast(int)
    return _at_random(inputs, ratings.height)


def _cuts(inputs: Inputs, times: "pl.Series") -> tuple[float, float]:
    """The last times of training and of validation, so that ratings of one moment stay together."""
    ordered = times.sort()

    def cut(fraction: float) -> float:
        if inputs.method == "time_range":
            return float(ordered[0] + fraction * (ordered[-1] - ordered[0]))
        return float(ordered[max(round(fraction * ordered.len()), 1) - 1])

    return cut(inputs.train_end), cut(inputs.validation_end)


def _by_user(ratings: "pl.DataFrame", leave: int) -> "pl.Series":
    """The last `leave` ratings of each user are test, as many before them validation.

    Of ratings of one moment the one with the greater item id, then the later row, counts as later. Users with too
    few ratings to leave one for training stay in training.
    """
    import polars as pl

    ordered = ratings.select("user_id", "timestamp", "item_id").with_row_index("row")
    from_end = pl.int_range(pl.len()).reverse().over("user_id")
    part = pl.when(from_end < leave).then(TEST).when(from_end < 2 * leave).then(VALIDATION).otherwise(TRAIN)
    enough = pl.len().over("user_id") > 2 * leave
    parted = ordered.sort("user_id", "timestamp", "item_id", "row").select(
        "row", part=pl.when(enough).then(part).otherwise(TRAIN)
    )
    return parted.sort("row")["part"]


def _at_random(inputs: Inputs, rows: int) -> "pl.Series":
    import numpy as np
    import polars as pl

    # NumPy promises the raw stream of PCG64 to be the same in every version and on every machine (NEP 19).
    order = np.argsort(np.random.PCG64(inputs.seed).random_raw(rows), kind="stable")
    place = np.empty(rows, dtype=np.int64)
    place[order] = np.arange(rows)
    if inputs.method == "random":
        return pl.Series(
            (place >= round(inputs.train_end * rows)).astype(np.int64) + (place >= round(inputs.validation_end * rows))
        )
    fold = place * inputs.folds // rows
    test, validation = inputs.fold - 1, inputs.fold % inputs.folds
    return pl.Series(np.select([fold == test, fold == validation], [TEST, VALIDATION], TRAIN))


def _parameters(inputs: Inputs) -> dict[str, float]:
    return {name: getattr(inputs, name) for name in PARAMETERS[inputs.method]}


def _described(inputs: Inputs) -> str:
    return f"{inputs.method} with " + ", ".join(f"{name} {value}" for name, value in _parameters(inputs).items())


def _advice(inputs: Inputs) -> str:
    if inputs.method == "leave_last_n":
        return f"no user has the {2 * inputs.leave + 1} ratings that it takes, so choose a smaller `leave`"
    if inputs.method == "k_fold":
        return "choose fewer folds"
    return "choose other fractions or another method"


def _unseen(parts: "dict[str, pl.DataFrame]") -> dict[str, int]:
    """How many users and items of the test part have no rating in training."""

    def new(column: str) -> int:
        test = parts["test"].select(column).unique()
        return test.join(parts["train"].select(column).unique(), on=column, how="anti").height

    return {"unseen_test_users": new("user_id"), "unseen_test_items": new("item_id")}


def _tell(inputs: Inputs, parts: "dict[str, pl.DataFrame]", about: dict[str, object]) -> None:
    total = sum(rows.height for rows in parts.values())
    print(f"split by {_described(inputs)}")
    for name, rows in parts.items():
        first, last = rows["timestamp"].min(), rows["timestamp"].max()
        share = rows.height / total
        print(f"{name:<10} {rows.height:>10,} rows {share:>6.1%}  {_day(first)} to {_day(last)}")
    users, items = parts["test"]["user_id"].n_unique(), parts["test"]["item_id"].n_unique()
    print(
        f"of the test part's {users:,} users {about['unseen_test_users']:,} are not in training, "
        f"of its {items:,} items {about['unseen_test_items']:,}",
        flush=True,
    )


def _day(seconds: object) -> str:
    return f"{datetime.fromtimestamp(int(str(seconds)), UTC):%Y-%m-%d %H:%M}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; returns the exit code."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
