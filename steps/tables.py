"""Tables of ratings out of text, without losses: lines -> fields -> typed columns, one batch at a time.

What cannot be read becomes null, and its text goes into the column `unparsed`; no line is left out or mended.
"""

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from steps.entry import StepError
from steps.raw_rows import ISO_TIME, UNIX_TIME

if TYPE_CHECKING:
    import polars as pl

BLOCK_BYTES: Final = 4 << 20
"""Text that is parsed at once, in bytes: large enough to be quick, small enough for any machine."""

LINE_BYTES: Final = 1 << 20
"""The longest line that is taken for a row, in bytes."""

QUOTED_ROWS: Final = 200_000
"""Rows that are parsed at once where fields may be quoted."""

SENTINELS: Final = (-1.0, -9.0, -99.0, -999.0, -9999.0, -9999.9, 99.0, 999.0, 9999.0, 9999.9, 99999.0, 999999.0)
"""Numbers that programs write where a value is missing; they are that only outside the scale of the ratings."""

ISO_TIMES: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M", "%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a text file is cut into rows and fields."""

    separator: str
    width: int
    """The number of fields that each row must have."""
    quotes: bool = False
    """Whether a field may stand in double quotes and then contain separators and line ends."""
    encoding: str = "utf-8"


def read_rows(stream: IO[bytes], form: TextForm) -> "Iterator[pl.DataFrame]":
    """Cut a stream of bytes into rows.

    Each batch has the columns `line` (the number of the row's first line, from 1), `text` (the row as it
    stands) and `fields` (a list of text). Lines that are empty or blank are no rows.

    Raises:
        StepError: a line is not in the encoding, too long, or has quotes that do not close.
    """
    return _quoted_rows(stream, form) if form.quotes else _plain_rows(stream, form)


def _plain_rows(stream: IO[bytes], form: TextForm) -> "Iterator[pl.DataFrame]":
    import polars as pl

    line = 1
    for block in _blocks_of_lines(stream, form.encoding):
        lines = pl.DataFrame({"text": [block]}).select(pl.col("text").str.split("\n").explode())
        rows = lines.with_row_index("line", offset=line).with_columns(pl.col("text").str.strip_chars_end("\r"))
        line += lines.height
        yield rows.filter(pl.col("text").str.strip_chars() != "").with_columns(
            fields=pl.col("text").str.split(form.separator)
        )


def _blocks_of_lines(stream: IO[bytes], encoding: str) -> Iterator[str]:
    """Text of whole lines, without the end of the last one."""
    line, rest = 1, b""
    while True:
        block = stream.read(BLOCK_BYTES)
        whole, end, rest = (rest + block).rpartition(b"\n") if block else (rest, b"", b"")
        if len(rest) > LINE_BYTES:
            number = line + whole.count(b"\n") + len(end)
            raise StepError(f"line {number} is longer than {LINE_BYTES:,} bytes: this is not a table of ratings")
        if whole or end:
            yield _decoded(whole, encoding, line).removeprefix("\ufeff" if line == 1 else "")
            line += whole.count(b"\n") + 1
        if not block:
            return


def _decoded(block: bytes, encoding: str, first_line: int) -> str:
    try:
        return block.decode(encoding)
    except UnicodeDecodeError as error:
        line = first_line + block.count(b"\n", 0, error.start)
        raise StepError(f"line {line} is not {encoding} text: set encoding to latin-1, or convert the file") from error


def _quoted_rows(stream: IO[bytes], form: TextForm) -> "Iterator[pl.DataFrame]":
    import polars as pl

    text = io.TextIOWrapper(stream, encoding="utf-8-sig" if form.encoding == "utf-8" else form.encoding, newline="")
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in text:
            taken.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=form.separator, strict=True)
    schema: dict[str, pl.DataType] = {"line": pl.UInt32(), "text": pl.String(), "fields": pl.List(pl.String)}
    rows: list[tuple[int, str, list[str]]] = []
    try:
        for fields in reader:
            raw = "".join(taken)
            if raw.strip():
                rows.append((reader.line_num - len(taken) + 1, raw.rstrip("\r\n"), fields))
            taken.clear()
            if len(rows) == QUOTED_ROWS:
                yield pl.DataFrame(rows, schema=schema, orient="row")
                rows.clear()
    except csv.Error as error:
        line = reader.line_num - max(len(taken), 1) + 1
        raise StepError(
            f"the row at line {line} cannot be cut into fields ({error}): mend its quotes, or set quotes to false"
        ) from error
    except UnicodeDecodeError as error:
        raise StepError(
            f"after line {reader.line_num} the text is not {form.encoding}: set encoding to latin-1, or convert it"
        ) from error
    yield pl.DataFrame(rows, schema=schema, orient="row")


def typed_ratings(
    rows: "pl.DataFrame", places: Mapping[str, int], width: int, time_format: str = "unix"
) -> "pl.DataFrame":
    """Rows as the columns of raw ratings.

    `places` says at which index the fields `user_id`, `item_id`, `rating` and `timestamp` lie. A row without
    exactly `width` fields keeps nothing but its text, as `{"line": ...}` in `unparsed`.
    """
    import polars as pl

    whole = pl.col("fields").list.len() == width
    texts = rows.select(
        "text",
        whole.alias("whole"),
        *(
            pl.when(whole)
            .then(pl.col("fields").list.get(places[name], null_on_oob=True).str.strip_chars())
            .otherwise(pl.lit(""))
            .alias(name)
            for name in ("user_id", "item_id", "rating", "timestamp")
        ),
    )
    rating = texts["rating"].cast(pl.Float64, strict=False)
    timestamp = seconds(texts["timestamp"], time_format)
    unread = texts.with_columns(
        rating=pl.when(rating.is_null() & (texts["rating"] != "")).then("rating"),
        timestamp=pl.when(timestamp.is_null() & (texts["timestamp"] != "")).then("timestamp"),
        line=pl.when(~pl.col("whole")).then("text"),
    ).select("line", "rating", "timestamp")
    return texts.select(
        "user_id", "item_id", rating=rating, timestamp=timestamp, unparsed=pl.Series(_as_json(unread), dtype=pl.String)
    )


def _as_json(unread: "pl.DataFrame") -> list[str | None]:
    """One JSON object for each row where a column holds text that could not be read."""
    import polars as pl

    objects: list[str | None] = [None] * unread.height
    some = unread.with_row_index("row").filter(pl.any_horizontal(pl.col(unread.columns).is_not_null()))
    for row, *values in some.iter_rows():
        found = {name: text for name, text in zip(unread.columns, values, strict=True) if text is not None}
        objects[row] = json.dumps(found, ensure_ascii=False)
    return objects


def seconds(texts: "pl.Series", time_format: str) -> "pl.Series":
    """Times as whole seconds since 1970 in UTC, parts of a second cut off; null where a text is no time.

    `time_format` is `unix` (seconds), `unix_ms`, `iso` (UTC unless the text has an offset), `auto` (unix or iso,
    each row for itself) or a strptime pattern.
    """
    import polars as pl

    if time_format in ("unix", "unix_ms"):
        number = pl.when(pl.col("t").str.contains(UNIX_TIME)).then("t")
        whole = pl.coalesce(
            number.cast(pl.Int64, strict=False),
            number.cast(pl.Float64, strict=False).floor().cast(pl.Int64, strict=False),
        )
        return texts.to_frame("t").select(whole // (1000 if time_format == "unix_ms" else 1)).to_series()
    if time_format == "auto":
        unix = seconds(texts, "unix")
        # Most files use one form throughout, so the second reading is seldom needed.
        unread = unix.is_null() & (texts != "")
        return unix.zip_with(~unread, seconds(texts, "iso")) if unread.any() else unix
    patterns: tuple[str, ...] = (time_format,)
    if time_format == "iso":
        patterns = ISO_TIMES
        plain = pl.when(pl.col("t").str.contains(ISO_TIME)).then(pl.col("t").str.replace("T", " "))
        texts = texts.to_frame("t").select(plain.alias("t")).to_series()
    readings = [
        pl.col("t").str.to_datetime(pattern, strict=False, time_unit="us").dt.epoch("s") for pattern in patterns
    ]
    return texts.to_frame("t").select(pl.coalesce(readings)).to_series()


def write_ratings(batches: "Iterable[pl.DataFrame]", target: Path) -> None:
    """Write raw ratings in the order of `batches`, of which only one is in memory at a time.

    Raises:
        StepError: there is not one row.
    """
    import polars as pl

    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".parts-") as folder:
        rows = 0
        for number, batch in enumerate(batches):
            rows += batch.height
            batch.write_parquet(Path(folder, f"{number:06}.parquet"))
        if rows == 0:
            raise StepError("there is not one rating in it")
        pl.scan_parquet(Path(folder, "*.parquet")).sink_parquet(target)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a table of ratings holds; null where not one value could be read."""

    ratings: int
    users: int
    items: int
    unparsed: int
    lowest: float | None
    highest: float | None
    first: int | None
    last: int | None


def summarise(ratings: Path) -> Summary:
    """Count and measure the ratings in a Parquet file."""
    import polars as pl

    from steps.row_batches import count_distinct, read_batches

    # JSON and scales have no infinity: only finite ratings have a lowest and a highest.
    finite = pl.col("rating").filter(pl.col("rating").is_finite())
    parts = [
        rows.select(
            ratings=pl.len(),
            unparsed=pl.col("unparsed").count(),
            lowest=finite.min(),
            highest=finite.max(),
            first=pl.col("timestamp").min(),
            last=pl.col("timestamp").max(),
        )
        for rows in read_batches(ratings, ["rating", "timestamp", "unparsed"])
    ]
    figures = pl.concat(parts).select(
        pl.sum("ratings", "unparsed"), pl.min("lowest", "first"), pl.max("highest", "last")
    )
    users, items = (count_distinct(ratings, column) for column in ("user_id", "item_id"))
    return Summary(users=users, items=items, **figures.row(0, named=True))
