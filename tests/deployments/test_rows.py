"""Rows come as CSV, JSON or lines of the raw stream, and become the same."""

import pytest

from wf.deployments.rows import Row, read_rows
from wf.errors import InvalidWorkflow

MEANT = [Row("42", "Toy Story (1995)", 892870992), Row("é世", "Devil's Advocate, The (1997)", None)]


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
    with pytest.raises(InvalidWorkflow) as caught:
        read_rows(content)

    assert str(caught.value) == why


def test_nothing_is_no_rows() -> None:
    """An empty file is no mistake."""
    assert read_rows(b"") == []
