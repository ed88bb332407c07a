"""Check ratings against a declared list of faults, and count every row that a fault touched.

What the faults are, and in which order they are looked for, is in `steps.checks`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from steps.entry import FloatList, Step, StepError, StepInputs, Workspace, run_step
from steps.formats import RATINGS, RAW_RATINGS
from steps.tables import SENTINELS

if TYPE_CHECKING:
    from steps.checks import Outcome
    from steps.cleaning import Cleaning

DropOrFail = Literal["drop", "fail"]
DropKeepOrFail = Literal["drop", "keep", "fail"]


class Inputs(StepInputs):
    """What to do about each fault: drop the rows, fix them, keep them, or fail."""

    malformed_lines: DropOrFail = Field("drop", description="lines that have not the right number of fields")
    byte_strings: Literal["fix", "drop", "keep", "fail"] = Field(
        "fix", description="users, items or titles written as b'...'; fix decodes them"
    )
    missing_ids: DropOrFail = Field("drop", description="rows without a user or without an item")
    unparseable_ratings: DropOrFail = Field("drop", description="ratings that are no number")
    missing_ratings: DropOrFail = Field("drop", description="rows without a rating")
    nan_ratings: DropOrFail = Field("drop", description="ratings that are NaN")
    infinite_ratings: DropOrFail = Field("drop", description="ratings that are infinite")
    sentinel_ratings: DropOrFail = Field("drop", description="ratings in `sentinels` that are not on the scale")
    out_of_range_ratings: Literal["drop", "fix", "keep", "fail"] = Field(
        "drop", description="other ratings that are not on the scale; fix takes the nearest end of the scale"
    )
    unparseable_times: DropOrFail = Field("drop", description="times that cannot be read")
    missing_times: DropOrFail = Field("drop", description="rows without a time")
    implausible_times: DropKeepOrFail = Field("drop", description="times of 0 or less, and after the year 2099")
    ids_without_titles: Literal["fix", "drop", "fail"] = Field(
        "fix", description="items that have no title; fix takes the id for the title"
    )
    titles_with_several_ids: Literal["keep", "fix", "drop", "fail"] = Field(
        "keep",
        description="items that share their title with another; fix gives them the id that is rated most. ML-100K has "
        "18 such titles, and its published figures keep them",
    )
    exact_duplicates: DropKeepOrFail = Field(
        "drop", description="rows that repeat the user, item, rating and time of an earlier row"
    )
    conflicting_ratings: Literal["fix", "drop", "keep", "fail"] = Field(
        "fix", description="several ratings of one item by one user; fix drops all but the latest, drop drops all"
    )
    sentinels: FloatList = Field(SENTINELS, description="numbers that stand for a missing rating")
    rating_min: float | None = Field(
        None, allow_inf_nan=False, description="the least rating possible; what the dataset says when left out"
    )
    rating_max: float | None = Field(
        None, allow_inf_nan=False, description="the greatest rating possible; what the dataset says when left out"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.rating_min is not None and self.rating_max is not None and self.rating_min >= self.rating_max:
            raise ValueError("rating_min must be less than rating_max")
        return self


STEP = Step(
    name="clean",
    summary="Check ratings against a list of faults, mend or drop what is wrong, and count every row touched.",
    inputs=Inputs,
    reads={"ratings": RAW_RATINGS},
    writes={"ratings": RATINGS},
)


@dataclass
class Report:
    """Nothing disappears uncounted: `rows_in` = `rows_out` + the rows dropped by the checks."""

    rows_in: int
    rows_out: int
    checks: "dict[str, Outcome]"

    @property
    def dropped(self) -> int:
        """Rows dropped by all checks."""
        return sum(outcome.dropped for outcome in self.checks.values())


def run(inputs: Inputs, work: Workspace) -> None:
    """Write the ratings that pass, and the report.

    Raises:
        StepError: a check with the policy `fail` found a row, or no row is left.
    """
    from steps.checks import CHECKS
    from steps.cleaning import Cleaning

    source, target = work.input("ratings"), work.output("ratings")
    dataset = json.loads((source / "dataset.json").read_text())
    scale = _scale(inputs, dataset)
    policies = {check.name: getattr(inputs, check.name) for check in CHECKS}
    with work.scratch("ratings") as scratch:
        cleaning = Cleaning(source, policies, scale=scale, sentinels=inputs.sentinels, scratch=scratch)
        cleaning.run()
        report = Report(cleaning.rows_in, cleaning.rows_out, cleaning.outcomes)
        assert report.rows_in == report.rows_out + report.dropped, "a check has lost rows uncounted"
        _print(report)
        if report.rows_out == 0:
            dropped = {name: outcome.dropped for name, outcome in report.checks.items() if outcome.dropped}
            reasons = ", ".join(f"{name} {count:,}" for name, count in dropped.items())
            raise StepError(f"no row is left of {report.rows_in:,}; dropped: {reasons}")
        _write(cleaning, target)
    counts = _counts(target / "ratings.parquet")
    about = {**dataset, "rating_min": scale[0], "rating_max": scale[1], **counts}
    (target / "dataset.json").write_text(json.dumps(about, indent=2) + "\n")
    (target / "report.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    work.record({"rows_in": report.rows_in, "rows_out": report.rows_out, "rows_dropped": report.dropped})


def _scale(inputs: Inputs, dataset: dict[str, float]) -> tuple[float, float]:
    lowest = dataset["rating_min"] if inputs.rating_min is None else inputs.rating_min
    highest = dataset["rating_max"] if inputs.rating_max is None else inputs.rating_max
    if lowest > highest:
        raise StepError(f"the scale {lowest:g} to {highest:g} is empty: set rating_min and rating_max")
    return lowest, highest


def _print(report: Report) -> None:
    print(f"{'check':<24} {'policy':<6} {'found':>10} {'dropped':>10} {'fixed':>10} {'kept':>10}")
    for name, outcome in report.checks.items():
        figures = f"{outcome.found:>10,} {outcome.dropped:>10,} {outcome.fixed:>10,} {outcome.kept:>10,}"
        print(f"{name:<24} {outcome.policy:<6} {figures}")
    print(f"rows in {report.rows_in:,} = rows out {report.rows_out:,} + rows dropped {report.dropped:,}", flush=True)


def _write(cleaning: "Cleaning", target: Path) -> None:
    import polars as pl

    from steps.row_batches import write_batches

    schema = {
        "user_id": pl.String,
        "item_id": pl.String,
        "title": pl.String,
        "rating": pl.Float32,
        "timestamp": pl.Int64,
    }
    batches = (rows.select(list(schema)).cast({"rating": pl.Float32}) for rows in cleaning.batches())
    write_batches(batches, schema, target / "ratings.parquet")
    for name, frame in (("items", cleaning.items()), ("users", cleaning.users())):
        if frame is not None:
            frame.write_parquet(target / f"{name}.parquet")


def _counts(ratings: Path) -> dict[str, int]:
    from steps.row_batches import count_distinct, count_rows

    return {
        "ratings": count_rows(ratings),
        "users": count_distinct(ratings, "user_id"),
        "items": count_distinct(ratings, "item_id"),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; returns the exit code."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
