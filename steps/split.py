"""Part ratings into three: for learning, for choosing between models, for judging the chosen one."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import Field, model_validator

from steps.entry import Step, StepError, StepInputs, Workspace, run_step
from steps.formats import RATINGS, SPLIT

if TYPE_CHECKING:
    import polars as pl

PARTS: Final = ("train", "validation", "test")

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
    from steps.assignment import assign
    from steps.row_batches import count_rows

    source, target = work.input("ratings"), work.output("split")
    ratings = source / "ratings.parquet"
    if not count_rows(ratings):
        raise StepError("there is no rating to split")
    with work.scratch("split") as scratch:
        part = assign(inputs, ratings, scratch)
    rows = {name: int((part == number).sum()) for number, name in enumerate(PARTS)}
    empty = [name for name, count in rows.items() if not count]
    if empty:
        sizes = ", ".join(f"{name} {count:,}" for name, count in rows.items())
        raise StepError(f"{_described(inputs)} leaves no rating for {' and '.join(empty)} ({sizes}): {_advice(inputs)}")
    for number, name in enumerate(PARTS):
        _write(ratings, part == number, target / f"{name}.parquet")
    for name in ("items.parquet", "users.parquet", "dataset.json"):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
    about: dict[str, object] = {"method": inputs.method, **_parameters(inputs), "rows": rows, **_unseen(target)}
    (target / "split.json").write_text(json.dumps(about, indent=2) + "\n")
    _tell(inputs, rows, about, target)
    work.record({f"{name}_rows": count for name, count in rows.items()})


def _write(ratings: Path, chosen: "pl.Series", target: Path) -> None:
    """Write the rows where `chosen` holds, in their order."""
    import polars as pl

    from steps.row_batches import BATCH, read_batches, write_batches

    batches = (rows.filter(chosen.slice(number * BATCH, BATCH)) for number, rows in enumerate(read_batches(ratings)))
    write_batches(batches, pl.read_parquet_schema(ratings), target)


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


def _unseen(target: Path) -> dict[str, int]:
    """How many users and items of the test part have no rating in training."""
    import polars as pl

    train, test = (pl.scan_parquet(target / f"{name}.parquet") for name in ("train", "test"))

    def new(column: str) -> int:
        ids = test.select(column).unique().join(train.select(column).unique(), on=column, how="anti")
        return int(ids.select(pl.len()).collect(engine="streaming").item())

    return {"unseen_test_users": new("user_id"), "unseen_test_items": new("item_id")}


def _tell(inputs: Inputs, rows: dict[str, int], about: dict[str, object], target: Path) -> None:
    import polars as pl

    from steps.row_batches import count_distinct

    total = sum(rows.values())
    print(f"split by {_described(inputs)}")
    time = pl.col("timestamp")
    for name, count in rows.items():
        span = pl.scan_parquet(target / f"{name}.parquet").select(time.min().alias("first"), time.max().alias("last"))
        first, last = span.collect(engine="streaming").row(0)
        print(f"{name:<10} {count:>10,} rows {count / total:>6.1%}  {_day(first)} to {_day(last)}")
    users, items = (count_distinct(target / "test.parquet", column) for column in ("user_id", "item_id"))
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
