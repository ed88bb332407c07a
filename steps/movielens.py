"""The releases of MovieLens and the layouts in which they come (https://grouplens.org/datasets/movielens/)."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from steps.entry import StepError
from steps.sources import Archive
from steps.tables import Summary, TextForm, read_rows, summarise, typed_ratings, write_ratings

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Release:
    """A release, and what tells whether a copy of it is the true one."""

    lowest: float
    """The least rating that a user could give."""
    ratings: int | None
    """As its README says; None where GroupLens replaces the release from time to time."""
    md5: str | None
    """Of the archive, as published beside it on the data site."""
    content: str | None = None
    """SHA-256 of its sorted rows `user\\titem\\trating\\ttime`, where one release has several layouts."""


HIGHEST_RATING: Final = 5.0

RELEASES: Final = {
    "ml-100k": Release(
        lowest=1.0,
        ratings=100_000,
        md5="0e33842e24a9c977be4e0107933c0723",
        # Computed from u.data, whose md5 is 6e47046882bad158b0efbb84cd5cb987.
        content="4bcd95ab98c3d6b1a9874d0609cd42f8e4d629ff4462319d783e8da0c4534de7",
    ),
    "ml-1m": Release(lowest=1.0, ratings=1_000_209, md5="c4d9eecfca2ab87c1945afe126590906"),
    "ml-10m": Release(lowest=0.5, ratings=10_000_054, md5="ce571fd55effeba0271552578f2648bd"),
    "ml-20m": Release(lowest=0.5, ratings=20_000_263, md5="cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": Release(lowest=0.5, ratings=25_000_095, md5="6b51fb2759a8657d3bfcbfc42b592ada"),
    "ml-latest-small": Release(lowest=0.5, ratings=None, md5=None),
    "ml-latest": Release(lowest=0.5, ratings=None, md5=None),
}

Item = tuple[str, str, int | None, list[str]]
"""item_id, title, year, genres"""
User = tuple[str, int | None, str, str, str]
"""user_id, age, gender, occupation, zip"""

GENRES_100K: Final = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""The flags at the end of each line of u.item, in the order of u.genre."""

OCCUPATIONS_1M: Final = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
"""The meaning of the codes 0, 1, ... in the users.dat of ml-1m, as its README gives it."""

TABLE_BYTES: Final = 64 << 20
"""The largest table of items or users, in bytes; that of ml-latest has about 4 MB."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a release lies in its files."""

    ratings: str
    """The name of the file of ratings, which tells the layout."""
    form: TextForm
    header: tuple[str, ...] | None
    """The fields of the first line, where that is a header."""
    items: Callable[[Archive], list[Item]]
    users: Callable[[Archive], list[User]] | None


def load(name: str, archive: Archive, folder: Path) -> tuple[str, Summary]:
    """Write a release as `ratings.parquet`, `items.parquet` and, where it has users, `users.parquet`.

    Returns the SHA-256 of what was read, and what the ratings hold.

    Raises:
        StepError: the archive is not that release, or not in a layout of MovieLens.
    """
    layout = next((known for known in LAYOUTS if archive.has(known.ratings)), None)
    if layout is None:
        raise StepError(f"it holds no ratings of MovieLens ({', '.join(known.ratings for known in LAYOUTS)})")
    target = folder / "ratings.parquet"
    write_ratings(_ratings(archive, layout), target)
    try:
        items = layout.items(archive)
        users = layout.users(archive) if layout.users else []
    except (ValueError, IndexError) as error:
        raise StepError(f"its items or users are damaged: {error}") from error
    write_items(items, folder)
    if users:
        _write_users(users, folder)
    summary = summarise(target)
    _verify(name, RELEASES[name], target, summary)
    return archive.sha256(layout.ratings), summary


def _verify(name: str, release: Release, ratings: Path, summary: Summary) -> None:
    import polars as pl

    if summary.unparsed:
        raise StepError(f"{summary.unparsed:,} of its lines are damaged")
    if release.ratings not in (None, summary.ratings):
        raise StepError(f"it holds {summary.ratings:,} ratings, and {name} has {release.ratings:,}")
    if release.content:
        rows = pl.read_parquet(ratings).select(
            *(pl.col(column).cast(pl.Int64) for column in ("user_id", "item_id", "rating", "timestamp"))
        )
        text = rows.sort(pl.all()).write_csv(include_header=False, separator="\t").removesuffix("\n")
        if hashlib.sha256(text.encode()).hexdigest() != release.content:
            raise StepError(f"its ratings are not those of {name}")


def _ratings(archive: Archive, layout: Layout) -> "Iterator[pl.DataFrame]":
    places = {"user_id": 0, "item_id": 1, "rating": 2, "timestamp": 3}
    with archive.open(layout.ratings) as stream:
        for number, rows in enumerate(read_rows(stream, layout.form)):
            first = 0
            if number == 0 and layout.header:
                found = tuple(rows["fields"][0]) if rows.height else ()
                if found != layout.header:
                    raise StepError(
                        f"{layout.ratings} begins with {','.join(found)!r} instead of {','.join(layout.header)!r}"
                    )
                first = 1
            yield typed_ratings(rows[first:], places, layout.form.width)


def write_items(items: list[Item], folder: Path) -> None:
    """Write `items.parquet`."""
    import polars as pl

    schema: dict[str, pl.DataType] = {
        "item_id": pl.String(),
        "title": pl.String(),
        "year": pl.Int32(),
        "genres": pl.List(pl.String),
    }
    pl.DataFrame(items, schema=schema, orient="row").write_parquet(folder / "items.parquet")


def _write_users(users: list[User], folder: Path) -> None:
    import polars as pl

    schema: dict[str, pl.DataType] = {
        "user_id": pl.String(),
        "age": pl.Int32(),
        "gender": pl.String(),
        "occupation": pl.String(),
        "zip": pl.String(),
    }
    pl.DataFrame(users, schema=schema, orient="row").write_parquet(folder / "users.parquet")


def year_of(title: str) -> int | None:
    """The year in `Toy Story (1995)`."""
    years = re.findall(r"\((\d{4})\)", title)
    return int(years[-1]) if years else None


def _table(archive: Archive, name: str, form: TextForm) -> list[list[str]]:
    """The rows of a small table, each with the fields that it must have."""
    with archive.open(name) as stream:
        data = stream.read(TABLE_BYTES + 1)
    if len(data) > TABLE_BYTES:
        raise StepError(f"{name} in it has more than {TABLE_BYTES:,} bytes")
    rows: list[list[str]] = []
    for batch in read_rows(io.BytesIO(_as_utf8(data)), form):
        for line, _, fields in batch.iter_rows():
            if len(fields) != form.width:
                raise StepError(f"{name}, line {line}: {len(fields)} fields instead of {form.width}")
            rows.append(fields)
    return rows


def _as_utf8(data: bytes) -> bytes:
    """ml-100k and ml-1m have titles in Latin-1, the later releases in UTF-8, which Latin-1 with accents never is."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1").encode("utf-8")
    return data


def _items_100k(archive: Archive) -> list[Item]:
    rows = _table(archive, "u.item", TextForm("|", 5 + len(GENRES_100K)))
    return [
        # Three titles end in a blank.
        (
            row[0],
            row[1].strip(),
            year_of(row[1]),
            [g for g, flag in zip(GENRES_100K, row[5:], strict=True) if flag == "1"],
        )
        for row in rows
    ]


def _users_100k(archive: Archive) -> list[User]:
    rows = _table(archive, "u.user", TextForm("|", 5))
    return [(row[0], int(row[1]), row[2], row[3], row[4]) for row in rows]


def _items_wheel(archive: Archive) -> list[Item]:
    _, *rows = _table(archive, "ml-100k.item", TextForm("\t", 4))
    # The wheel parts "Toy Story (1995)" into name and year, and misspells the one film called "unknown".
    titles = ["unknown" if name == "unkonwn" else f"{name} ({year})" for _, name, year, _ in rows]
    return [(row[0], title, year_of(title), row[3].split()) for row, title in zip(rows, titles, strict=True)]


def _users_wheel(archive: Archive) -> list[User]:
    _, *rows = _table(archive, "ml-100k.user", TextForm("\t", 5))
    return [(row[0], int(row[1]), row[2], row[3], row[4]) for row in rows]


def _items_dat(archive: Archive) -> list[Item]:
    rows = _table(archive, "movies.dat", TextForm("::", 3))
    return [_item(*row) for row in rows]


def _users_dat(archive: Archive) -> list[User]:
    if not archive.has("users.dat"):  # ml-10m has none
        return []
    rows = _table(archive, "users.dat", TextForm("::", 5))
    return [(user, int(age), gender, OCCUPATIONS_1M[int(code)], area) for user, gender, age, code, area in rows]


def _items_csv(archive: Archive) -> list[Item]:
    _, *rows = _table(archive, "movies.csv", TextForm(",", 3, quotes=True))
    return [_item(*row) for row in rows]


def _item(item_id: str, title: str, genres: str) -> Item:
    return item_id, title.strip(), year_of(title), [] if genres == "(no genres listed)" else genres.split("|")


LAYOUTS: Final = (
    Layout("u.data", TextForm("\t", 4), None, _items_100k, _users_100k),
    Layout(
        "ml-100k.inter",
        TextForm("\t", 4),
        ("user_id:token", "item_id:token", "rating:float", "timestamp:float"),
        _items_wheel,
        _users_wheel,
    ),
    Layout("ratings.dat", TextForm("::", 4), None, _items_dat, _users_dat),
    Layout("ratings.csv", TextForm(",", 4), ("userId", "movieId", "rating", "timestamp"), _items_csv, None),
)
