"""What is known of the items and users of a table of ratings, and what its rows teach about them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import polars as pl

from steps.byte_strings import decoded, is_byte_string


def _no_items() -> pl.DataFrame:
    return pl.DataFrame(schema={"item_id": pl.String, "title": pl.String})


def _no_ids() -> pl.Series:
    return pl.Series("item_id", [], pl.String)


@dataclass
class Catalogue:
    """Items and users as a source describes them, and the items that were met among its ratings."""

    items: pl.DataFrame | None
    users: pl.DataFrame | None
    untitled: pl.Series = field(default_factory=_no_ids)
    """Items that have their id for a title, as they were met."""
    rated: pl.DataFrame = field(default_factory=_no_items)
    """Each item of the ratings that were counted: `item_id`, `title`, and how many `ratings` it has."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The catalogue in a folder in the format `raw-ratings`; blank titles are none."""
        items, users = (
            pl.read_parquet(path) if path.exists() else None
            for path in (folder / "items.parquet", folder / "users.parquet")
        )
        if items is not None:
            items = items.with_columns(pl.col("title").fill_null("").str.strip_chars())
        return cls(items, users)

    def decoded(self) -> "Catalogue":
        """The catalogue with the text that was meant where bytes are written; who is met twice then counts once."""
        items, users = (
            None if frame is None else decoded(frame).unique(key, keep="first", maintain_order=True)
            for frame, key in ((self.items, "item_id"), (self.users, "user_id"))
        )
        return replace(self, items=items, users=users)

    def describes_the_same(self, other: "Catalogue") -> bool:
        """Whether both say the same of items and users."""
        pairs = ((self.items, other.items), (self.users, other.users))
        return all(one is None or (two is not None and one.equals(two)) for one, two in pairs)

    def titles(self) -> pl.DataFrame:
        """The title of each item that is described: of several the first."""
        items = _no_items() if self.items is None else self.items.select("item_id", "title")
        return items.unique("item_id", keep="first")

    def titled_in_bytes(self) -> pl.Series:
        """The items whose title is written as bytes."""
        return self.titles().filter(is_byte_string("title"))["item_id"]

    def count(self, rows: pl.DataFrame) -> None:
        """Add the ratings of some titled rows to those of their items."""
        counted = rows.group_by("item_id").agg(pl.first("title"), ratings=pl.len())
        if self.rated.height:
            both = pl.concat([self.rated, counted])
            counted = both.group_by("item_id").agg(pl.first("title"), pl.sum("ratings"))
        self.rated = counted

    def name_by_id(self, items: pl.Series) -> None:
        """Note items that have no title but their id."""
        self.untitled = pl.concat([self.untitled, items]).unique(maintain_order=True)

    def sharing_titles(self) -> pl.DataFrame:
        """The rated items that share their title with another, and the `best` of them: that which is rated most."""
        sharing = self.rated.filter(pl.col("title").is_duplicated()) if self.rated.height else self.rated
        if sharing.is_empty():
            return sharing.select("item_id", "title", best="item_id")
        ranked = sharing.sort("ratings", "item_id", descending=[True, False])
        best = ranked.unique("title", keep="first").select("title", best="item_id")
        return sharing.select("item_id", "title").join(best, on="title")

    def learned_items(self, merged: pl.Series) -> pl.DataFrame | None:
        """The items, with those that have their id for a title, and without those `merged` into others."""
        if self.items is None:
            return None
        items = self.items
        if self.untitled.len():
            known = items.join(self.untitled.to_frame(), on="item_id", how="anti", maintain_order="left")
            new = self.untitled.to_frame().with_columns(title=pl.col("item_id"))
            items = pl.concat([known, new], how="diagonal").with_columns(pl.col("genres").fill_null([]))
        return items.join(merged.to_frame("item_id"), on="item_id", how="anti", maintain_order="left")
