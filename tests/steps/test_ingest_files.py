"""Ingest of files of the user's own: whatever their form, the same typed table, and no row lost."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from steps import tables
from steps.ingest import main
from tests.steps.data_fixtures import (
    ITEMS,
    RATINGS_CSV,
    ROWS,
    SMALL,
    document,
    run,
    table,
    write,
    zipped,
)

Capture = pytest.CaptureFixture[str]


def ingest_file(folder: Path, text: str, *flags: str) -> int:
    """Ingest a text file of one's own."""
    return run(main, folder, "--dataset", "file", "--path", write(folder / "mine.txt", text), *flags)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("user,item,rating,time\n1,10,4,100\n1,20,0.5,200\n2,10,5,300\n", ()),
        ("\ufeffuser\titem\trating\ttime\r\n1\t10\t4\t100\r\n1\t20\t.5\t200\r\n2\t10\t5\t300\r\n", ()),
        ("1::10::4::100\n\n1::20::0.5::200\n2::10::5::300", ()),
        ("1;10;4;100\n1;20;0.5;200\n2;10;5;300\n", ("--separator", "semicolon")),
        (
            "stars,when,who,what\n4,100,1,10\n.5,200,1,20\n5,300,2,10\n",
            ("--columns", "user_id=who,item_id=what,rating=stars,timestamp=when"),
        ),
        (
            "4 100 1 10\n.5 200 1 20\n5 300 2 10\n",
            ("--separator", " ", "--columns", "user_id=3,item_id=4,rating=1,timestamp=2"),
        ),
        (
            "a b c d\n1 10 4 100\n1 20 .5 200\n2 10 5 300\n",
            ("--separator", " ", "--header", "present", "--columns", "user_id=1,item_id=2,rating=3,timestamp=4"),
        ),
        ('user,item,rating,time\n"1","10","4","100"\n1,20,.5,200\n2,"10",5,300\n', ()),
        ("user,item,rating,time\n1,10,4,100000\n1,20,.5,200500\n2,10,5,300999\n", ("--time-format", "unix_ms")),
        ("user,item,rating,time\n1,10,4,1970-01-01 00:01:40\n1,20,.5,1970-01-01T00:03:20Z\n2,10,5,300.9\n", ()),
        (
            (
                "user,item,rating,time\n1,10,4,1970-01-01T02:01:40+02:00\n1,20,.5,1970-01-01T00:03:20.75\n"
                "2,10,5,1970-01-01 00:05\n"
            ),
            ("--time-format", "iso"),
        ),
        (
            "user,item,rating,time\n1,10,4,01/01/70 00:01:40\n1,20,.5,01/01/70 00:03:20\n2,10,5,01/01/70 00:05:00\n",
            ("--time-format", "%d/%m/%y %H:%M:%S"),
        ),
    ],
)
def test_a_text_file_is_read_in_many_forms(tmp_path: Path, text: str, flags: tuple[str, ...]) -> None:
    """Separator, header, columns, quotes, line ends and forms of time are found out or told."""
    assert ingest_file(tmp_path, text, *flags) == 0
    assert table(tmp_path) == ROWS


def test_columns_can_be_a_mapping(tmp_path: Path) -> None:
    """A workflow gives `columns` as a mapping, with numbers for a file without header."""
    path = write(tmp_path / "mine.txt", "100,1,10,4\n200,1,20,.5\n300,2,10,5\n")
    columns = {"timestamp": 1, "user_id": 2, "item_id": 3, "rating": 4}
    assert run(main, tmp_path, "--with", json.dumps({"dataset": "file", "path": path, "columns": columns})) == 0
    assert table(tmp_path) == ROWS


def test_a_gzipped_file_is_read(tmp_path: Path) -> None:
    """Gzip is known by its first bytes, whatever the file's name."""
    (tmp_path / "mine").write_bytes(gzip.compress(RATINGS_CSV.encode()))
    assert run(main, tmp_path, "--dataset", "file", "--path", str(tmp_path / "mine")) == 0
    assert table(tmp_path) == ROWS


def test_a_file_larger_than_one_block_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that two blocks share are put together again."""
    monkeypatch.setattr(tables, "BLOCK_BYTES", 7)
    assert ingest_file(tmp_path, RATINGS_CSV) == 0
    assert table(tmp_path) == ROWS


def test_a_parquet_file_is_read_whatever_its_types(tmp_path: Path) -> None:
    """Integer ids, 32-bit ratings and date-times of Parquet give the same table as text."""
    path = tmp_path / "mine.parquet"
    pl.DataFrame(
        {
            "when": [datetime.fromtimestamp(seconds, UTC) for seconds in (100, 200, 300)],
            "user": [1, 1, 2],
            "movie": [10, 20, 10],
            "title": ["Toy Story (1995)", "Postman, The (1994)", "Toy Story (1995)"],
            "year": [1995, 1994, 1995],
            "genres": [["Animation", "Comedy"], [], ["Animation", "Comedy"]],
            "stars": pl.Series([4, 0.5, 5], dtype=pl.Float32),
        }
    ).write_parquet(path)
    flags = ["--dataset", "file", "--path", str(path), "--columns", "timestamp=when,rating=stars"]
    assert run(main, tmp_path, *flags) == 0
    assert (table(tmp_path), table(tmp_path, "items")) == (ROWS, ITEMS)


def test_the_log_of_a_stream_is_read(tmp_path: Path) -> None:
    """A log line gives time, user, item and rating, and the item's id its title and year."""
    text = "2021-12-16 14:52:44, 461360, the+muppet+movie+1979, 2\n2021-12-16 14:52:45, 7, am%C3%A9lie, 4\n"
    assert ingest_file(tmp_path, text, "--format", "log") == 0
    assert table(tmp_path) == [
        {
            "user_id": "461360",
            "item_id": "the+muppet+movie+1979",
            "rating": 2.0,
            "timestamp": 1639666364,
            "unparsed": None,
        },
        {"user_id": "7", "item_id": "am%C3%A9lie", "rating": 4.0, "timestamp": 1639666365, "unparsed": None},
    ]
    assert table(tmp_path, "items") == [
        {"item_id": "the+muppet+movie+1979", "title": "the muppet movie 1979", "year": 1979, "genres": []},
        {"item_id": "am%C3%A9lie", "title": "amélie", "year": None, "genres": []},
    ]


def test_titles_in_the_file_become_items(tmp_path: Path, capsys: Capture) -> None:
    """Each item is described once, by the first title that it has, and further titles are told."""
    text = "user,item,rating,time,title,genres\n1,10,4,100,,\n1,10,4,100,A,X|Y\n2,10,5,300,B,X\n"
    assert ingest_file(tmp_path, text) == 0
    assert table(tmp_path, "items") == [{"item_id": "10", "title": "A", "year": None, "genres": ["X", "Y"]}]
    assert capsys.readouterr().out.startswith(
        "1 further titles of items that have one already are left out: the first of each counts\n"
    )


@pytest.mark.parametrize("quoted", ["", '"1",10,4,100\n'])
def test_no_row_is_lost_or_silently_changed(tmp_path: Path, capsys: Capture, quoted: str) -> None:
    """What cannot be read is null, and its text is kept: of a value, or of a line with too few or too many fields."""
    text = "user,item,rating,time\n1,10,four,100\n1,20,,yesterday\n2,10,NaN,\n\n3\n4,40,inf,400,5\n,,9999.9,5\n"
    assert ingest_file(tmp_path, text + quoted) == (0 if quoted else 1)
    if not quoted:
        assert capsys.readouterr().err == "error: not one rating can be read: check columns, separator and header\n"
        return
    rows = pl.read_parquet(tmp_path / "out/ratings/ratings.parquet").with_columns(pl.col("rating").cast(pl.String))
    assert rows.rows()[:6] == [
        ("1", "10", None, 100, '{"rating": "four"}'),
        ("1", "20", None, None, '{"timestamp": "yesterday"}'),
        ("2", "10", "NaN", None, None),
        ("", "", None, None, '{"line": "3"}'),
        ("", "", None, None, '{"line": "4,40,inf,400,5"}'),
        ("", "", "9999.9", 5, None),
    ]
    assert "4 rows hold something that could not be read: see the column `unparsed`\n" in capsys.readouterr().out


def test_a_sentinel_is_not_the_end_of_the_scale(tmp_path: Path, capsys: Capture) -> None:
    """The scale of a file is observed on ratings that can be true, and the log says so."""
    text = "user,item,rating,time\n1,1,2,1\n1,2,4.5,1\n1,3,9999.9,1\n1,4,-1,1\n1,5,inf,1\n1,6,NaN,1\n"
    assert ingest_file(tmp_path, text) == 0
    about = document(tmp_path, "ratings/dataset.json")
    assert (about["rating_min"], about["rating_max"]) == (2.0, 4.5)
    assert capsys.readouterr().out == (
        "the scale of the ratings is taken as 2 to 4.5, as observed: set rating_min and rating_max if you know better\n"
        "6 ratings by 1 users of 6 items\n"
        "ratings from -1 to 9999.9 on a scale of 2 to 4.5\n"
        "times from 1970-01-01 00:00:01 UTC to 1970-01-01 00:00:01 UTC\n"
    )


def test_the_scale_of_a_file_can_be_given(tmp_path: Path) -> None:
    """A given scale is taken as it is."""
    assert ingest_file(tmp_path, RATINGS_CSV, "--rating-min", "0", "--rating-max", "10") == 0
    about = document(tmp_path, "ratings/dataset.json")
    assert (about["rating_min"], about["rating_max"]) == (0.0, 10.0)


@pytest.mark.parametrize(
    ("text", "flags", "reason"),
    [
        ("", (), "there is not one line in it"),
        ("a b c\n", (), "no separator cuts it into 4 fields; the first line is 'a b c'"),
        (
            "who,what,stars,time\na,b,3,4\n",
            (),
            (
                "there is no column for user_id, item_id; it has who, what, "
                "stars, time: say which is which with columns, for example columns=user_id=who"
            ),
        ),
        (
            "who,what,stars,time\na,b,3,4\n",
            ("--columns", "user_id=whom"),
            "there is no column whom for user_id; it has who, what, stars, time",
        ),
        (
            "1,2,3,4\n",
            ("--columns", "user_id=9"),
            ("there is no column 9 for user_id; it has 4 columns and no header: give the number of the column"),
        ),
        ("user,item,rating,time\n", (), "there is not one rating in it"),
        (
            'user,item,rating,time\n1,2,3,4\n"1,2,3,4\n2,2,3,4\n',
            (),
            (
                "the row at line 3 cannot be cut into fields "
                "(unexpected end of data): mend its quotes, or set quotes to false"
            ),
        ),
        (
            "user,item,rating,time\n1,2,3,4\n" + "1" * 2_000_000,
            (),
            ("line 3 is longer than 1,048,576 bytes: this is not a table of ratings"),
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, capsys: Capture, text: str, flags: tuple[str, ...], reason: str
) -> None:
    """The error names the file, what is wrong in it, where, and what to do."""
    assert ingest_file(tmp_path, text, *flags) == 1
    assert capsys.readouterr().err == f"error: mine.txt: {reason}\n"


@pytest.mark.parametrize("quotes", ["", '"'])
def test_the_encoding_is_never_guessed(tmp_path: Path, capsys: Capture, quotes: str) -> None:
    """Bytes that are no UTF-8 are refused until the encoding is named."""
    path = tmp_path / "mine.txt"
    path.write_bytes(f"user,item,rating,time,title\n1,10,4,100,{quotes}Amélie{quotes}\n".encode("latin-1"))
    flags = ["--dataset", "file", "--path", str(path)]
    assert run(main, tmp_path, *flags) == 1
    where = "after line 0 the text is not utf-8" if quotes else "line 2 is not utf-8 text"
    assert capsys.readouterr().err.startswith(f"error: mine.txt: {where}: set encoding to latin-1, or convert")
    assert run(main, tmp_path, *flags, "--encoding", "latin-1") == 0
    assert table(tmp_path, "items")[0]["title"] == "Amélie"


def test_other_kinds_of_file_are_refused(tmp_path: Path, capsys: Capture) -> None:
    """A zip archive, a damaged gzip or Parquet file and a missing file each have their own message."""
    zipped(tmp_path / "a.zip", SMALL)
    (tmp_path / "b.gz").write_bytes(gzip.compress(RATINGS_CSV.encode())[:-12])
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and no more")
    told = []
    for name in ("a.zip", "b.gz", "c.parquet", "d.csv"):
        assert run(main, tmp_path, "--dataset", "file", "--path", str(tmp_path / name)) == 1
        told.append(capsys.readouterr().err)
    assert told[0] == ("error: a.zip is a zip archive: unpack it, or set dataset to the release of MovieLens in it\n")
    assert told[1] == (
        "error: b.gz: it is damaged: Compressed file ended before the end-of-stream marker was reached\n"
    )
    assert told[2].startswith("error: c.parquet: it cannot be read as Parquet: ")
    assert told[3] == f"error: there is no file {tmp_path / 'd.csv'}\n"


def test_parquet_that_is_damaged_in_the_middle_is_refused(tmp_path: Path, capsys: Capture) -> None:
    """Rows are read after the end of the file, which says what is in it: what is wrong with them is told alike."""
    path = tmp_path / "c.parquet"
    rows = pl.DataFrame({"user": ["a", "b"], "item": ["1", "2"], "rating": [1.0, 2.0], "time": [1, 2]})
    rows.write_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"x" * 40 + content[44:])
    assert run(main, tmp_path, "--dataset", "file", "--path", str(path)) == 1
    assert capsys.readouterr().err.startswith("error: c.parquet: it cannot be read as Parquet: ")
    assert list((tmp_path / "out/ratings").iterdir()) == []
