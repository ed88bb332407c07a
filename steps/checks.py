"""The faults that ratings can have, as data: how the rows of each are found, and how they are mended.

The checks run in the order of `CHECKS`; each sees what the ones before it left, so a dropped row has one reason. They
see the table part by part: `CHECKS_AS_WRITTEN` and `CHECKS_OF_ROWS` any rows, `CHECKS_OF_TITLES` all rows of a user and
a title together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from steps.byte_strings import decoded, is_byte_string
from steps.catalogue import Catalogue
from steps.entry import StepError

YEAR_2100: Final = 4_102_444_800
"""The first second of the year 2100; a rating that claims to be later is none."""

SHOWN: Final = ("row", "user_id", "item_id", "title", "rating", "timestamp", "unparsed")
"""What an error tells of an offending row."""
SHOWN_ROWS: Final = 5
"""How many of the offending rows an error names."""


class Knowledge:
    """What the checks know beside the rows before them."""

    def __init__(self, catalogue: Catalogue, scale: tuple[float, float], sentinels: tuple[float, ...]) -> None:
        self.catalogue, self.scale, self.sentinels = catalogue, scale, sentinels
        self.titled_in_bytes = catalogue.titled_in_bytes()
        self.titles = self.titles_as_written = catalogue.titles()
        self.sharing = catalogue.sharing_titles()
        """See `Catalogue.sharing_titles`."""

    def decode(self) -> None:
        """Take the text that was meant where the catalogue has bytes."""
        self.catalogue = self.catalogue.decoded()
        self.titles = self.catalogue.titles()

    def compare_titles(self) -> None:
        """Find the titles that several items share, once all ratings have been counted."""
        self.sharing = self.catalogue.sharing_titles()


def with_titles(rows: pl.DataFrame, titles: pl.DataFrame) -> pl.DataFrame:
    """The rows with the title of each item in the column `title`, which is "" where there is none."""
    joined = rows.drop("title", strict=False).join(titles, on="item_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("title").fill_null(""))


@dataclass(frozen=True, slots=True)
class Check:
    """A fault: how its rows are found, and how they are mended where that can be done."""

    name: str
    find: Callable[[Knowledge], pl.Expr]
    """The condition that holds for the rows with the fault."""
    fix: Callable[[pl.DataFrame, pl.Series, Knowledge], tuple[pl.DataFrame, int]] | None = None
    """Mends the rows where the mask holds; returns all rows and how many it changed. Those that it takes out count as
    dropped."""


@dataclass
class Outcome:
    """What a check found, and what became of it, in rows."""

    policy: str
    found: int = 0
    dropped: int = 0
    fixed: int = 0
    kept: int = 0


class Inspection:
    """Checks by their policies on one part of a table after another, and what they did in all."""

    def __init__(self, policies: Mapping[str, str], knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.outcomes = {check.name: Outcome(policies[check.name]) for check in CHECKS}
        self._refused: dict[str, pl.DataFrame] = {}

    def apply(self, checks: Sequence[Check], rows: pl.DataFrame) -> pl.DataFrame:
        """Run some checks on some rows; returns what they leave."""
        for check in checks:
            rows = self._apply(check, rows, self.outcomes[check.name])
        return rows

    def _apply(self, check: Check, rows: pl.DataFrame, outcome: Outcome) -> pl.DataFrame:
        mask = rows.select(check.find(self.knowledge).fill_null(value=False).alias("mask")).to_series()
        found = int(mask.sum())
        outcome.found += found
        if found == 0:
            return rows
        if outcome.policy == "keep":
            outcome.kept += found
            return rows
        if outcome.policy == "fix" and check.fix:
            left, fixed = check.fix(rows, mask, self.knowledge)
            outcome.fixed += fixed
        else:
            left = rows.filter(~mask)
        outcome.dropped += rows.height - left.height
        if outcome.policy == "fail":
            self._keep_first(check.name, rows.filter(mask))
        return left

    def _keep_first(self, name: str, bad: pl.DataFrame) -> None:
        if name in (check.name for check in CHECKS_AS_WRITTEN):
            bad = with_titles(bad, self.knowledge.titles_as_written)
        known = [self._refused[name]] if name in self._refused else []
        self._refused[name] = pl.concat([*known, bad.select(SHOWN)]).sort("row").head(SHOWN_ROWS)

    def require_no_failure(self) -> None:
        """Refuse a table in which a check with the policy `fail` has found rows.

        Raises:
            StepError: it is told of the first such check.
        """
        for name, outcome in self.outcomes.items():
            if name in self._refused:
                raise StepError(_refusal(name, outcome.found, self._refused[name]))


def _refusal(name: str, found: int, first: pl.DataFrame) -> str:
    shown = "".join(
        f"\n  row {row['row']:,}: user {row['user_id']!r}, item {row['item_id']!r}, title {row['title']!r}, "
        f"rating {row['rating']}, time {row['timestamp']}{', unread ' + row['unparsed'] if row['unparsed'] else ''}"
        for row in first.iter_rows(named=True)
    )
    more = f"\n  and {found - SHOWN_ROWS:,} more" if found > SHOWN_ROWS else ""
    return f"{name}: {found:,} rows{shown}{more}\nMend the source, or set {name} to another policy."


def _unparsed(column: str) -> Callable[[Knowledge], pl.Expr]:
    """The condition that the text of a column could not be read."""

    def find(_: Knowledge) -> pl.Expr:
        return pl.col("unparsed").str.json_path_match(f"$.{column}").is_not_null()

    return find


def _missing_ids(_: Knowledge) -> pl.Expr:
    return pl.any_horizontal(pl.col("user_id", "item_id").fill_null("").str.strip_chars() == "")


def _null(column: str) -> Callable[[Knowledge], pl.Expr]:
    def find(_: Knowledge) -> pl.Expr:
        return pl.col(column).is_null()

    return find


def _nan(_: Knowledge) -> pl.Expr:
    return pl.col("rating").is_nan()


def _infinite(_: Knowledge) -> pl.Expr:
    return pl.col("rating").is_infinite()


def _out_of_range(knowledge: Knowledge) -> pl.Expr:
    return ~pl.col("rating").is_between(*knowledge.scale)


def _sentinel(knowledge: Knowledge) -> pl.Expr:
    return pl.col("rating").is_in(knowledge.sentinels) & _out_of_range(knowledge)


def _clamp(rows: pl.DataFrame, mask: pl.Series, knowledge: Knowledge) -> tuple[pl.DataFrame, int]:
    return rows.with_columns(pl.col("rating").clip(*knowledge.scale)), int(mask.sum())


def _implausible_time(_: Knowledge) -> pl.Expr:
    return ~pl.col("timestamp").is_between(1, YEAR_2100 - 1)


def _byte_string(knowledge: Knowledge) -> pl.Expr:
    in_title = pl.col("item_id").is_in(knowledge.titled_in_bytes.implode())
    return pl.any_horizontal(is_byte_string("user_id"), is_byte_string("item_id"), in_title)


def _decode(rows: pl.DataFrame, mask: pl.Series, _: Knowledge) -> tuple[pl.DataFrame, int]:
    return decoded(rows), int(mask.sum())


def _without_title(_: Knowledge) -> pl.Expr:
    return pl.col("title") == ""


def _id_as_title(rows: pl.DataFrame, mask: pl.Series, knowledge: Knowledge) -> tuple[pl.DataFrame, int]:
    knowledge.catalogue.name_by_id(rows.filter(mask)["item_id"].unique(maintain_order=True))
    return rows.with_columns(title=pl.when(mask).then("item_id").otherwise("title")), int(mask.sum())


def _several_ids(knowledge: Knowledge) -> pl.Expr:
    return pl.col("item_id").is_in(knowledge.sharing["item_id"].implode())


def _most_rated_id(rows: pl.DataFrame, _: pl.Series, knowledge: Knowledge) -> tuple[pl.DataFrame, int]:
    best = knowledge.sharing
    mended = rows.with_columns(pl.col("item_id").replace(best["item_id"], best["best"]))
    return mended, int((mended["item_id"] != rows["item_id"]).sum())


def _repeats(_: Knowledge) -> pl.Expr:
    return ~pl.struct("user_id", "item_id", "rating", "timestamp").is_first_distinct()


def _conflicts(_: Knowledge) -> pl.Expr:
    return pl.struct("user_id", "item_id").is_duplicated()


def _latest(rows: pl.DataFrame, mask: pl.Series, _: Knowledge) -> tuple[pl.DataFrame, int]:
    """Of several ratings of one item by one user keep the latest, and of equally late ones the last in the source."""
    several = rows.filter(mask)
    latest = several.sort("timestamp", "row").unique(["user_id", "item_id"], keep="last")
    older = several.join(latest, on="row", how="anti")
    return rows.join(older, on="row", how="anti", maintain_order="left"), 0


CHECKS_AS_WRITTEN: Final = (
    Check("malformed_lines", _unparsed("line")),
    Check("byte_strings", _byte_string, _decode),
)
"""Before titles are looked up by the ids."""
CHECKS_OF_ROWS: Final = (
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
)
CHECKS_OF_TITLES: Final = (
    Check("titles_with_several_ids", _several_ids, _most_rated_id),
    Check("exact_duplicates", _repeats),
    Check("conflicting_ratings", _conflicts, _latest),
)
CHECKS: Final = (*CHECKS_AS_WRITTEN, *CHECKS_OF_ROWS, *CHECKS_OF_TITLES)
"""Every check, in order. Values are judged before rows are compared, lest a bad row win over a good one."""
