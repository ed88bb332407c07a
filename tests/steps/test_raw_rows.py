"""Rows come as CSV, JSON or lines of the raw stream, and become the same, for training and for requests."""

from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steps.local_file import FileForm, load
from steps.raw_rows import UnreadableRowError, read_rows, seconds_of
from steps.tables import seconds

MEANT = [("42", "Toy Story (1995)", 892870992), ("é世", "Devil's Advocate, The (1997)", None)]


@pytest.mark.parametrize(
    "text",
    [
        'user_id,movie_title,timestamp\n42,Toy Story (1995),892870992\né世,"Devil\'s Advocate, The (1997)",\n',
        (
            "\ufefftimestamp,rating,Title,USER\r\n892870992,5,Toy Story (1995),42\r\n"
            ',3,"Devil\'s Advocate, The (1997)",é世\r\n'
        ),
        (
            '[{"user": 42, "movie": "Toy Story (1995)", "timestamp": "1998-04-18T03:43:12"},'
            ' {"user": "é世", "movie": "Devil\'s Advocate, The (1997)"}]'
        ),
        (
            '{"user": 42, "movie": "Toy Story (1995)", "time": 892870992000}\n'
            '{"user": "é世", "movie": "Devil\'s Advocate, The (1997)"}\n'
        ),
        "1998-04-18 03:43:12,42,Toy+Story+%281995%29,4\n,é世,Devil's Advocate, The (1997),2\n",
        "1998-04-18 03:43:12,42,Toy+Story+%281995%29\n,é世,Devil's Advocate, The (1997)\n",
        'User ID;"Movie Title";Time\n42;Toy Story (1995);892870992\né世;Devil\'s Advocate, The (1997);\n',
        "userId::title::time\n42::Toy Story (1995)::1998-04-18T03:43:12Z\né世::Devil's Advocate, The (1997)::\n",
        'user, item, title, time\n 42 , 1 ,Toy Story (1995) ,892870992\né世,2,"Devil\'s Advocate, The (1997)", \n',
        "userId\tmovie-title\ttimestamp\n\n42\tToy Story (1995)\t892870992.0\né世\tDevil's Advocate, The (1997)\n",
        (
            '{"instances": [{"user_id": {"b64": "NDI="}, "title": {"b64": "VG95IFN0b3J5ICgxOTk1KQ=="}, "time": 892870992},'  # noqa: E501
            ' {"user_id": "é世", "title": "Devil\'s Advocate, The (1997)", "time": null}]}'
        ),
    ],
    ids=[
        "csv",
        "csv of Windows",
        "json",
        "json lines",
        "raw stream",
        "raw stream without ratings",
        "csv of Europe",
        "colons",
        "blanks, and ids beside titles",
        "tabs",
        "bytes",
    ],
)
def test_all_forms_mean_the_same(text: str) -> None:
    """Ids stay text; a movie may have a comma; a moment may be missing."""
    assert read_rows(text.encode()) == MEANT


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"user,movie\n1,\xff\n", "row 2 cannot be read: it is not UTF-8 text"),
        (
            b"1,2\n",
            "row 1 cannot be read: a line is `timestamp,user,movie`, or the first one names the columns",
        ),
        (b"user,movie,time\n1,x,soon\n", "row 2 cannot be read: `soon` is no time"),
        (b'[{"user": 1}]', "row 1 cannot be read: it has no movie"),
        (b'[{"user": 1, "movie": {"b64": "/w=="}}]', "row 1 cannot be read: `/w==` is no UTF-8 text in base64"),
        (b'[{"user": [1], "movie": "x"}]', "row 1 cannot be read: `[1]` is neither text nor a whole number"),
        (b"[1]", "row 1 cannot be read: a row is an object with a user and a movie"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_row(content: bytes, why: str) -> None:
    """Nobody shall look for it."""
    with pytest.raises(UnreadableRowError) as caught:
        read_rows(content)

    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        (
            "auto",
            [
                "user,item,title,rating,time",
                '42, 1,"Toy Story (1995) ",4,892870992',
                "7,2,Heat (1995),3,1998-04-18 05:43:12+0200",
            ],
        ),
        (
            "auto",
            [
                "UserID::MovieID::Title::Rating::Timestamp",
                "42::1::Toy Story (1995)::4::892870992.9",
                "7::2::Heat (1995)::3::892870992",
            ],
        ),
        (
            "auto",
            [
                "User ID;item;Movie Title;stars;Date",
                "42;1; Toy Story (1995);4;1998-04-18 03:43:12.5",
                "7;2;Heat (1995);3;1998-04-18T03:43:12Z",
            ],
        ),
        ("log", ["1998-04-18 03:43:12, 42, Toy+Story+%281995%29, 4", "1998-04-18 03:43:12, 7, Heat+(1995), 3"]),
    ],
)
def test_training_and_requests_read_the_same(form: Literal["auto", "log"], lines: list[str], tmp_path: Path) -> None:
    """The bytes of a file mean the same users, titles and times to `ingest` and to `wf predict --file`."""
    path = tmp_path / "ratings.txt"
    path.write_text("\n".join(lines))
    load(path, FileForm(form, {}, "auto", "auto", quotes=True, encoding="utf-8", time_format="auto"), tmp_path)
    ratings = pl.read_parquet(tmp_path / "ratings.parquet")
    titles = pl.read_parquet(tmp_path / "items.parquet").select("item_id", "title")

    trained = ratings.join(titles, on="item_id", maintain_order="left").select("user_id", "title", "timestamp").rows()

    assert trained == [("42", "Toy Story (1995)", 892870992), ("7", "Heat (1995)", 892870992)]
    assert read_rows(path.read_bytes()) == trained


_PARTS = st.integers(0, 61)
_MOMENTS = st.builds(
    "{}-{:02}-{}{}{:02}:{}{}{}{}".format,
    st.integers(900, 10000),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from("T t"),
    st.integers(0, 25),
    _PARTS,
    st.sampled_from(["", ":0", ":07", ":59", ":60", ":61"]),
    st.sampled_from(["", ".", ".5", ".999999999"]),
    st.sampled_from(["", "Z", "+02", "+0200", "-05:30", "+2000", "z"]),
)
_NUMBERS = st.builds("{}{}".format, st.integers(-(10**10), 10**10), st.sampled_from(["", ".", ".5", ".x", "e3"]))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_NUMBERS | _MOMENTS | st.text("0123456789-+:. TZeinfa", max_size=20))
def test_a_time_is_the_same_in_bulk_and_alone(text: str) -> None:
    """`ingest` reads columns, a request has single texts: one rule."""
    bulk = seconds(pl.Series([text.strip()]), "auto")[0]
    try:
        alone = seconds_of(text)
    except ValueError:
        alone = None

    assert alone == bulk


def test_nothing_is_no_rows() -> None:
    """An empty file is no mistake."""
    assert read_rows(b"") == []
