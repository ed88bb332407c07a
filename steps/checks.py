"""The faults that ratings can have, as data: how the rows of each are found, and how they are mended.

The checks run in the order of `CHECKS`; each sees what the ones before it left, so a dropped row has one reason.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from steps.entry import StepError

YEAR_2100: Final = 4_102_444_800
"""The first second of the year 2100; a rating that claims to be later is none."""

BYTE_STRING: Final = r"""^b('.*'|".*")$"""
"""What Python prints for bytes, and careless exports write."""

SHOWN: Final = 5
"""How many of the offending rows an error names."""


@dataclass
class Table:
    """The ratings as the checks have left them so far."""

    rows: pl.DataFrame
    """The columns of raw ratings, `row` (from 1, in the order of the source) and `title` ("" where there is none)."""
    items: pl.DataFrame | None
    users: pl.DataFrame | None
    scale: tuple[float, float]
    sentinels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """A fault: how its rows are found, and how they are mended where that can be done."""

    name: str
    find: Callable[[Table], pl.Expr]
    """The condition that holds for the rows with the fault."""
    fix: Callable[[Table, pl.Series], int] | None = None
    """Mends the rows where the mask holds; returns how many it changed. The rows that it takes out count as dropped."""


@dataclass
class Outcome:
    """What a check found, and what became of it, in rows."""

    policy: str
    found: int = 0
    dropped: int = 0
    fixed: int = 0
    kept: int = 0


def apply(check: Check, table: Table, policy: str) -> Outcome:
    """Run one check on the table by its policy; returns what it did.

    Raises:
        StepError: the policy is `fail` and there are rows with the fault.
    """
    mask = table.rows.select(check.find(table).fill_null(value=False).alias("mask")).to_series()
    found = int(mask.sum())
    before = table.rows.height
    if found == 0 or policy == "keep":
        return Outcome(policy, found, kept=found)
    if policy == "fail":
        raise StepError(_refusal(check, table.rows.filter(mask)))
    if policy == "fix" and check.fix:
        fixed = check.fix(table, mask)
        return Outcome(policy, found, dropped=before - table.rows.height, fixed=fixed)
    table.rows = table.rows.filter(~mask)
    return Outcome(policy, found, dropped=found)


def _refusal(check: Check, bad: pl.DataFrame) -> str:
    shown = "".join(
        f"\n  row {row['row']:,}: user {row['user_id']!r}, item {row['item_id']!r}, title {row['title']!r}, "
        f"rating {row['rating']}, time {row['timestamp']}{', unread ' + row['unparsed'] if row['unparsed'] else ''}"
        for row in bad.head(SHOWN).iter_rows(named=True)
    )
    more = f"\n  and {bad.height - SHOWN:,} more" if bad.height > SHOWN else ""
    return f"{check.name}: {bad.height:,} rows{shown}{more}\nMend the source, or set {check.name} to another policy."


def with_titles(rows: pl.DataFrame, items: pl.DataFrame | None) -> pl.DataFrame:
    """The rows with the title of each item in the column `title`, which is "" where there is none."""
    rows = rows.drop("title", strict=False)
    if items is None:
        return rows.with_columns(title=pl.lit(""))
    titles = items.select("item_id", "title").unique("item_id", keep="first")
    joined = rows.join(titles, on="item_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("title").fill_null(""))


def _unparsed(column: str) -> Callable[[Table], pl.Expr]:
    """The condition that the text of a column could not be read."""

    def find(_: Table) -> pl.Expr:
        return pl.col("unparsed").str.json_path_match(f"$.{column}").is_not_null()

    return find


def _missing_ids(_: Table) -> pl.Expr:
    return pl.any_horizontal(pl.col("user_id", "item_id").fill_null("").str.strip_chars() == "")


def _null(column: str) -> Callable[[Table], pl.Expr]:
    def find(_: Table) -> pl.Expr:
        return pl.col(column).is_null()

    return find


def _nan(_: Table) -> pl.Expr:
    return pl.col("rating").is_nan()


def _infinite(_: Table) -> pl.Expr:
    return pl.col("rating").is_infinite()


def _out_of_range(table: Table) -> pl.Expr:
    return ~pl.col("rating").is_between(*table.scale)


def _sentinel(table: Table) -> pl.Expr:
    return pl.col("rating").is_in(table.sentinels) & _out_of_range(table)


def _clamp(table: Table, mask: pl.Series) -> int:
    table.rows = table.rows.with_columns(pl.col("rating").clip(*table.scale))
    return int(mask.sum())


def _implausible_time(_: Table) -> pl.Expr:
    return ~pl.col("timestamp").is_between(1, YEAR_2100 - 1)


def _byte_string(_: Table) -> pl.Expr:
    return pl.any_horizontal(pl.col("user_id", "item_id", "title").str.contains(BYTE_STRING))


def _decode(table: Table, mask: pl.Series) -> int:
    table.rows = _decoded(table.rows)
    if table.users is not None:
        table.users = _decoded(table.users).unique("user_id", keep="first", maintain_order=True)
    if table.items is not None:
        table.items = _decoded(table.items).unique("item_id", keep="first", maintain_order=True)
        # An id written as b'42' may have found no title that stands beside 42.
        table.rows = with_titles(table.rows, table.items)
    return int(mask.sum())


def _decoded(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with each b'...' in its ids and titles as the text that was meant."""
    for column in {"user_id", "item_id", "title"} & set(frame.columns):
        written = frame[column].unique()
        written = written.filter(written.str.contains(BYTE_STRING))
        if written.len():
            meant = {text: _text_of(text) for text in written}
            frame = frame.with_columns(pl.col(column).replace(meant))
    return frame


def _text_of(literal: str) -> str:
    r"""`b'Am\xc3\xa9lie'` as `Amélie`."""
    try:
        data = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return literal[2:-1]
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        return str(data, "latin-1")


def _without_title(_: Table) -> pl.Expr:
    return pl.col("title") == ""


def _id_as_title(table: Table, mask: pl.Series) -> int:
    untitled = table.rows.filter(mask).select("item_id").unique(maintain_order=True)
    table.rows = table.rows.with_columns(title=pl.when(mask).then("item_id").otherwise("title"))
    if table.items is not None:
        known = table.items.join(untitled, on="item_id", how="anti", maintain_order="left")
        new = untitled.with_columns(title=pl.col("item_id"))
        table.items = pl.concat([known, new], how="diagonal").with_columns(pl.col("genres").fill_null([]))
    return int(mask.sum())


def _several_ids(table: Table) -> pl.Expr:
    titles = table.rows.select("title", "item_id").unique()["title"]
    return pl.col("title").is_in(titles.filter(titles.is_duplicated()).unique().implode())


def _most_rated_id(table: Table, mask: pl.Series) -> int:
    ids = table.rows.filter(mask).group_by("title", "item_id").len()
    best = ids.sort(["len", "item_id"], descending=[True, False]).unique("title", keep="first", maintain_order=True)
    merged = ids.join(best.select("title", best="item_id"), on="title").filter(pl.col("item_id") != pl.col("best"))
    table.rows = table.rows.with_columns(pl.col("item_id").replace(merged["item_id"], merged["best"]))
    if table.items is not None:
        table.items = table.items.join(merged, on="item_id", how="anti", maintain_order="left")
    return int(merged["len"].sum())


def _repeats(_: Table) -> pl.Expr:
    return ~pl.struct("user_id", "item_id", "rating", "timestamp").is_first_distinct()


def _conflicts(_: Table) -> pl.Expr:
    return pl.struct("user_id", "item_id").is_duplicated()


def _latest(table: Table, mask: pl.Series) -> int:
    """Of several ratings of one item by one user keep the latest, and of equally late ones the last in the source."""
    rows = table.rows.filter(mask)
    latest = rows.sort("timestamp", "row").unique(["user_id", "item_id"], keep="last")
    older = rows.join(latest, on="row", how="anti")
    table.rows = table.rows.join(older, on="row", how="anti", maintain_order="left")
    return 0


CHECKS: Final = (
    Check("malformed_lines", _unparsed("line")),
    Check("byte_strings", _byte_string, _decode),
    Check("missing_ids", _missing_ids),
    Check("unparseable_ratings", _unparsed("rating")),
    Check("missing_ratings", _null("rating")),
    Check("nan_ratings", _nan),
    Check("infinite_ratings", _infinite),
    Check("sentinel_ratings", _sentinel),
    Check("out_of_range_ratings", _out_of_range, _clamp),
    Check("unparseable_times", _unparsed("timestamp")),
    Check("missing_times", _null("timestamp")),
    Check("implausible_times", _implausible_time),
    Check("ids_without_titles", _without_title, _id_as_title),
    Check("titles_with_several_ids", _several_ids, _most_rated_id),
    Check("exact_duplicates", _repeats),
    Check("conflicting_ratings", _conflicts, _latest),
)
"""Every check, in order. Values are judged before rows are compared, lest a bad row win over a good one."""
