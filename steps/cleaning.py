"""A table of raw ratings on its way through the checks, of which memory holds a part at a time."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from steps.catalogue import Catalogue
from steps.checks import CHECKS_AS_WRITTEN, CHECKS_OF_ROWS, CHECKS_OF_TITLES, Inspection, Knowledge, with_titles
from steps.partitions import Partitions
from steps.row_batches import count_rows, read_batches


class Cleaning:
    """The checks on the ratings in a folder in the format `raw-ratings`.

    Memory holds items and users, some of the rows, and one bit for each row. Rows that passed the checks of single
    rows wait in `scratch` until those of one user and title, which may repeat one another, are compared together.
    """

    def __init__(
        self,
        source: Path,
        policies: Mapping[str, str],
        *,
        scale: tuple[float, float],
        sentinels: tuple[float, ...],
        scratch: Path,
    ) -> None:
        self._source = source
        self._knowledge = Knowledge(Catalogue.read(source), scale, sentinels)
        self._inspection = Inspection(policies, self._knowledge)
        self.outcomes = self._inspection.outcomes
        """What each check found and did, by its name."""
        self.rows_in = count_rows(source / "ratings.parquet")
        self._passed = pl.repeat(False, self.rows_in + 1, eager=True)
        self._waiting = Partitions(scratch, self.rows_in, pl.col("user_id").hash() ^ pl.col("title").hash())

    def run(self) -> None:
        """Run all checks.

        Raises:
            StepError: a check with the policy `fail` found a row.
        """
        if self.outcomes["byte_strings"].policy == "fix" and self._catalogue_is_meant_otherwise():
            self._knowledge.decode()
        for batch in self._batches():
            rows = self._inspection.apply(CHECKS_AS_WRITTEN, batch)
            rows = self._inspection.apply(CHECKS_OF_ROWS, with_titles(rows, self._knowledge.titles))
            self._knowledge.catalogue.count(rows)
            self._waiting.add(rows)
        self._inspection.require_no_failure()
        self._knowledge.compare_titles()
        for rows in self._waiting.partitions():
            self._passed.scatter(self._inspection.apply(CHECKS_OF_TITLES, rows)["row"], True)
        self._inspection.require_no_failure()

    @property
    def rows_out(self) -> int:
        """How many rows have passed."""
        return int(self._passed.sum())

    def batches(self) -> Iterator[pl.DataFrame]:
        """The rows that have passed, mended, in the order of the source."""
        merged = self._merged()
        for rows in self._waiting.batches():
            passed = rows.filter(self._passed.gather(rows["row"]))
            best = pl.col("item_id").replace(merged["item_id"], merged["best"])
            yield passed if merged.is_empty() else passed.with_columns(best)

    def items(self) -> pl.DataFrame | None:
        """The items, mended, where the source has any."""
        return self._knowledge.catalogue.learned_items(self._merged()["item_id"])

    def users(self) -> pl.DataFrame | None:
        """The users, mended, where the source has any."""
        return self._knowledge.catalogue.users

    def _merged(self) -> pl.DataFrame:
        """Each item that was merged into another, and that as `best`."""
        sharing = self._knowledge.sharing
        fixed = self.outcomes["titles_with_several_ids"].fixed > 0
        return sharing.filter(pl.col("item_id") != pl.col("best")) if fixed else sharing.clear()

    def _batches(self) -> Iterator[pl.DataFrame]:
        first = 1
        for batch in read_batches(self._source / "ratings.parquet"):
            yield batch.with_row_index("row", offset=first)
            first += batch.height

    def _catalogue_is_meant_otherwise(self) -> bool:
        """Whether items or users are to be decoded: a row shows that bytes were written, and there are such."""
        catalogue = self._knowledge.catalogue
        if catalogue.describes_the_same(catalogue.decoded()):
            return False
        first_look = Inspection(dict.fromkeys(self.outcomes, "drop"), self._knowledge)
        for batch in self._batches():
            first_look.apply(CHECKS_AS_WRITTEN, batch)
            if first_look.outcomes["byte_strings"].found:
                return True
        return False
