"""Ratings from a file of one's own: CSV, TSV, `::`, Parquet or the log of a stream, gzipped or not."""

import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal, cast

from steps.entry import StepError
from steps.movielens import Item, write_items
from steps.raw_rows import LOG, SEPARATORS, cut, field_of, title_in_log
from steps.tables import Summary, TextForm, read_rows, summarise, typed_ratings, write_ratings

if TYPE_CHECKING:
    import polars as pl

REQUIRED: Final = ("user_id", "item_id", "rating", "timestamp")
SEPARATOR_NAMES: Final = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
HEAD_BYTES: Final = 64 << 10
"""How much of a file is looked at to tell its form."""
NUMBER: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)\s*")


@dataclass(frozen=True, slots=True)
class FileForm:
    """What the user says about the file; see the parameters of `steps.ingest`."""

    format: Literal["auto", "text", "parquet", "log"]
    columns: Mapping[str, str]
    separator: str
    header: Literal["auto", "present", "absent"]
    quotes: bool
    encoding: str
    time_format: str


def load(path: Path, form: FileForm, folder: Path) -> tuple[str, Summary]:
    """Write the file as `ratings.parquet` and, where it has titles, `items.parquet`.

    Returns the SHA-256 of the file, and what the ratings hold.

    Raises:
        StepError: the file is not there, or not what `form` says.
    """
    if not path.is_file():
        raise StepError(f"there is no file {path}")
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        raise StepError(f"{path.name} is a zip archive: unpack it, or set dataset to the release of MovieLens in it")
    try:
        if start == b"PAR1" or form.format == "parquet":
            rows, places, width = _parquet(path, form.columns)
        elif form.format == "log":
            rows, places, width = _text(path, TextForm(",", len(LOG), encoding=form.encoding)), LOG, len(LOG)
        else:
            rows, places, width = _delimited(path, form)
        seen: list[pl.DataFrame] = []
        described = form.format == "log" or "title" in places
        write_ratings(
            _typed(rows, places, width, form.time_format, seen if described else None), folder / "ratings.parquet"
        )
    except StepError as error:
        raise StepError(f"{path.name}: {error}") from error
    if described:
        write_items(_items(seen, decode=form.format == "log"), folder)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), summarise(folder / "ratings.parquet")


def _typed(
    rows: "Iterator[pl.DataFrame]",
    places: Mapping[str, int],
    width: int,
    time_format: str,
    seen: "list[pl.DataFrame] | None",
) -> "Iterator[pl.DataFrame]":
    """Raw ratings, batch by batch; the descriptions of items met on the way are added to `seen`."""
    import polars as pl

    about = [name for name in ("item_id", "title", "year", "genres") if name in places]
    for batch in rows:
        if seen is not None:
            fields = [
                pl.col("fields").list.get(places[name], null_on_oob=True).str.strip_chars().alias(name)
                for name in about
            ]
            whole = batch.filter(pl.col("fields").list.len() == width)
            seen[:] = [pl.concat([*seen, whole.select(fields)]).unique(maintain_order=True)]
        yield typed_ratings(batch, places, width, time_format)


def _items(seen: "Sequence[pl.DataFrame]", *, decode: bool) -> list[Item]:
    """One description for each item: the first that has a title."""
    import polars as pl

    described = pl.concat(seen).filter(pl.col("item_id") != "")
    if decode:
        return [_item_of_log(item_id) for item_id in described["item_id"].unique(maintain_order=True)]
    described = described.filter(pl.col("title") != "")
    first = described.unique("item_id", keep="first", maintain_order=True)
    other = described.select("item_id", "title").unique().height - first.height
    if other:
        print(f"{other:,} further titles of items that have one already are left out: the first of each counts")
    year = pl.col("year").cast(pl.Int32, strict=False) if "year" in first.columns else pl.lit(None, pl.Int32)
    genres = pl.col("genres") if "genres" in first.columns else pl.lit("")
    return [
        (item_id, title, year, [genre for genre in genres.split("|") if genre])
        for item_id, title, year, genres in first.select("item_id", "title", year=year, genres=genres).iter_rows()
    ]


def _item_of_log(item_id: str) -> Item:
    title = title_in_log(item_id)
    year = re.search(r"\b(\d{4})$", title)
    return item_id, title, int(year.group(1)) if year else None, []


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked when it is gzipped."""
    with path.open("rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            yield file
            return
        try:
            with gzip.open(file) as unpacked:
                yield cast("IO[bytes]", unpacked)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise StepError(f"it is damaged: {error}") from error


def _text(path: Path, form: TextForm, *, header: bool = False) -> "Iterator[pl.DataFrame]":
    with _opened(path) as stream:
        for number, batch in enumerate(read_rows(stream, form)):
            yield batch[1:] if header and number == 0 else batch


def _delimited(path: Path, form: FileForm) -> "tuple[Iterator[pl.DataFrame], dict[str, int], int]":
    """The rows of a text file, where each field lies in them, and how many fields they have."""
    with _opened(path) as stream:
        head = stream.read(HEAD_BYTES).decode(form.encoding, "replace").removeprefix("\ufeff")
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        raise StepError("there is not one line in it")
    if len(head) >= HEAD_BYTES:
        lines = lines[:-1] or lines  # the last is cut off
    separator = SEPARATOR_NAMES.get(form.separator, form.separator)
    if separator == "auto":
        separator = _separator(lines, quotes=form.quotes)
    text = TextForm(separator, 0, form.quotes and len(separator) == 1 and _has_quotes(path), form.encoding)
    first, *others = [cut(line, separator, quotes=text.quotes) for line in lines]
    named = any(not column.isdecimal() for column in form.columns.values())
    header = form.header == "present" or (
        form.header == "auto" and (named or not any(NUMBER.fullmatch(field) for field in first))
    )
    width = len(first) if header else Counter(len(fields) for fields in (first, *others)).most_common(1)[0][0]
    names = [field.strip() for field in first] if header else None
    places = _places(names, width, form.columns)
    return _text(path, replace(text, width=width), header=header), places, width


def _has_quotes(path: Path) -> bool:
    """Whether a file has a double quote anywhere; most have none, and are read much faster for it."""
    with _opened(path) as stream:
        return any(b'"' in block for block in iter(lambda: stream.read(1 << 20), b""))


def _separator(lines: Sequence[str], *, quotes: bool) -> str:
    def fitting(separator: str) -> int:
        widths = Counter(len(cut(line, separator, quotes=quotes)) for line in lines)
        return max((rows for width, rows in widths.items() if width >= len(REQUIRED)), default=0)

    best = max(SEPARATORS, key=fitting)
    if fitting(best) == 0:
        raise StepError(f"no separator cuts it into {len(REQUIRED)} fields; the first line is {lines[0][:200]!r}")
    return best


def _places(names: Sequence[str] | None, width: int, columns: Mapping[str, str]) -> dict[str, int]:
    """The index of the column of each field; `names` is None where the file has no header."""
    known = {name: index for index, name in enumerate(names or [])}
    numbers = {str(index + 1): index for index in range(width)}
    places = {}
    for field, column in columns.items():
        index = known.get(column, numbers.get(column))
        if index is None:
            has = ", ".join(names) if names else f"{width} columns and no header: give the number of the column"
            raise StepError(f"there is no column {column} for {field}; it has {has}")
        places[field] = index
    if names is None and not columns:
        places = dict(zip(REQUIRED, range(width), strict=False))
    for name, index in known.items():
        known_field = field_of(name)
        if known_field and index not in places.values():
            places.setdefault(known_field, index)
    missing = [field for field in REQUIRED if field not in places]
    if missing:
        has = ", ".join(names) if names else f"{width} columns and no header"
        raise StepError(
            f"there is no column for {', '.join(missing)}; it has {has}: say which is which with columns, "
            f"for example columns={missing[0]}={names[0] if names else 1}"
        )
    return places


def _parquet(path: Path, columns: Mapping[str, str]) -> "tuple[Iterator[pl.DataFrame], dict[str, int], int]":
    """The rows of a Parquet file as text, so that each value is read by the same rules as in text files."""
    import polars as pl

    from steps.row_batches import read_batches

    with _readable_parquet():
        schema = pl.read_parquet_schema(path)
        found = _places(list(schema), 0, columns)
        names = [list(schema)[index] for index in found.values()]

    def rows() -> "Iterator[pl.DataFrame]":
        with _readable_parquet():
            for batch in read_batches(path, names):
                texts = batch.select(_as_text(name, schema[name]).fill_null("") for name in names)
                yield texts.select(text=pl.lit(""), fields=pl.concat_list(names))

    return rows(), {field: place for place, field in enumerate(found)}, len(names)


@contextmanager
def _readable_parquet() -> Iterator[None]:
    import polars as pl

    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise StepError(f"it cannot be read as Parquet: {error}") from error


def _as_text(name: str, dtype: "pl.DataType") -> "pl.Expr":
    import polars as pl

    column = pl.col(name)
    if isinstance(dtype, pl.Datetime | pl.Date):
        return column.dt.epoch("s").cast(pl.String)
    if isinstance(dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join("|")
    return column.cast(pl.String)
