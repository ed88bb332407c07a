"""Clean: each fault is found, treated by its policy and counted once."""

import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps import ingest
from steps.checks import CHECKS
from steps.clean import Inputs, main
from tests.steps.data_fixtures import document, hand_on, run, table

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("rows_at_once")

Row = tuple[str, str, float | None, int | None, str | None]
"""user_id, item_id, rating, timestamp, unparsed"""

ITEMS = {"1": "One (2001)", "2": "Two (2002)", "3": "Three (2003)"}


def raw(folder: Path, rows: list[Row], items: dict[str, str] | None = ITEMS) -> None:
    """Write raw ratings on a scale of 1 to 5."""
    source = folder / "ratings"
    source.mkdir()
    schema: dict[str, pl.DataType] = {
        "user_id": pl.String(),
        "item_id": pl.String(),
        "rating": pl.Float64(),
        "timestamp": pl.Int64(),
        "unparsed": pl.String(),
    }
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(source / "ratings.parquet")
    if items is not None:
        described = [(item_id, title, 2000, ["Drama"]) for item_id, title in items.items()]
        columns: dict[str, pl.DataType] = {
            "item_id": pl.String(),
            "title": pl.String(),
            "year": pl.Int32(),
            "genres": pl.List(pl.String),
        }
        pl.DataFrame(described, schema=columns, orient="row").write_parquet(source / "items.parquet")
    about = {"name": "tiny", "source": "tiny", "sha256": "0", "rating_min": 1.0, "rating_max": 5.0}
    counts = {"ratings": len(rows), "users": 0, "items": 0}
    (source / "dataset.json").write_text(json.dumps({**about, **counts}))


def counted(folder: Path) -> dict[str, dict[str, Any]]:
    """What the checks that found something did: their report without policies and zeros."""
    checks = document(folder, "ratings/report.json")["checks"]
    return {
        name: {key: value for key, value in outcome.items() if key != "policy" and value}
        for name, outcome in checks.items()
        if outcome["found"]
    }


def kept(folder: Path) -> list[tuple[Any, ...]]:
    """The ratings that passed."""
    return pl.read_parquet(folder / "out/ratings/ratings.parquet").rows()


FAULTS: dict[str, Row] = {
    "malformed_lines": ("", "", None, None, '{"line": "1,2"}'),
    "missing_ids": ("", "1", 3.0, 10, None),
    "unparseable_ratings": ("u", "1", None, 10, '{"rating": "four"}'),
    "missing_ratings": ("u", "1", None, 10, None),
    "nan_ratings": ("u", "1", float("nan"), 10, None),
    "infinite_ratings": ("u", "1", float("-inf"), 10, None),
    "sentinel_ratings": ("u", "1", 9999.9, 10, None),
    "out_of_range_ratings": ("u", "1", 0.0, 10, None),
    "unparseable_times": ("u", "1", 3.0, None, '{"timestamp": "then"}'),
    "missing_times": ("u", "1", 3.0, None, None),
    "implausible_times": ("u", "1", 3.0, 5_000_000_000, None),
}
"""For each fault of a single row, such a row; all are dropped by default."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_row_is_dropped_for_its_one_reason(tmp_path: Path, fault: str) -> None:
    """Each fault of a single row is found by its own check and by no other."""
    raw(tmp_path, [("u", "2", 4.0, 10, None), FAULTS[fault]])
    assert run(main, tmp_path) == 0
    assert counted(tmp_path) == {fault: {"found": 1, "dropped": 1}}
    assert kept(tmp_path) == [("u", "2", "Two (2002)", 4.0, 10)]


@pytest.mark.parametrize("fault", FAULTS)
def test_any_check_can_fail_the_step(tmp_path: Path, capsys: Capture, fault: str) -> None:
    """The policy `fail` ends the step with the name of the check, and no output."""
    raw(tmp_path, [("u", "2", 4.0, 10, None), FAULTS[fault]])
    assert run(main, tmp_path, f"--{fault.replace('_', '-')}", "fail") == 1
    assert capsys.readouterr().err.startswith(f"error: {fault}: 1 rows\n  row 2: user ")
    assert list((tmp_path / "out/ratings").iterdir()) == []


def test_a_failure_shows_the_first_rows(tmp_path: Path, capsys: Capture) -> None:
    """The error of a failed check names the first five rows, says how many more there are, and what to do."""
    raw(tmp_path, [("u", str(item), 7.0, item, None) for item in range(1, 8)])
    assert run(main, tmp_path, "--out-of-range-ratings", "fail") == 1
    rows = [
        f"  row {n}: user 'u', item '{n}', title {ITEMS.get(str(n), '')!r}, rating 7.0, time {n}" for n in range(1, 6)
    ]
    assert capsys.readouterr().err.splitlines() == [
        "error: out_of_range_ratings: 7 rows",
        *rows,
        "  and 2 more",
        "Mend the source, or set out_of_range_ratings to another policy.",
    ]


planted = st.fixed_dictionaries({name: st.integers(0, 4) for name in (*FAULTS, "exact_duplicates", "conflicts")})


@settings(max_examples=15, deadline=None)
@given(good=st.integers(1, 20), plan=planted, order=st.randoms(use_true_random=False))
def test_planted_faults_are_counted_exactly(good: int, plan: dict[str, int], order: Any) -> None:
    """Whatever faults are mixed in whatever order, each count is the planted one and no row disappears."""
    users = iter(range(10_000))
    rows: list[Row] = [(f"u{next(users)}", "1", 3.0, 50, None) for _ in range(good)]
    for fault, row in FAULTS.items():
        rows += [(row[0] and f"u{next(users)}", *row[1:]) for _ in range(plan[fault])]
    for _ in range(plan["exact_duplicates"]):
        rows += [(f"u{next(users)}", "2", 3.0, 50, None)] * 2
    for user in [f"u{next(users)}" for _ in range(plan["conflicts"])]:
        rows += [(user, "3", rating, time, None) for rating, time in ((1.0, 10), (5.0, 30), (2.0, 20))]
    order.shuffle(rows)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        raw(folder, rows)
        assert run(main, folder) == 0
        report, found = document(folder, "ratings/report.json"), counted(folder)
        dropped = {name: outcome["dropped"] for name, outcome in found.items()}
        expected = {**plan, "conflicting_ratings": 2 * plan["conflicts"]}
        del expected["conflicts"]
        assert dropped == {name: count for name, count in expected.items() if count}
        assert report["rows_in"] == len(rows) == report["rows_out"] + sum(dropped.values())
        assert [row[3] for row in kept(folder) if row[1] == "3"] == [5.0] * plan["conflicts"]


values = st.sampled_from([0.0, 1.0, 3.5, 5.0, 6.0, -1.0, 9999.9, float("nan"), float("inf"), None])
anything = st.tuples(
    st.sampled_from(["", "u", "v", "b'u'"]),
    st.sampled_from(["", "1", "2", "b'2'", "9"]),
    values,
    st.sampled_from([None, -5, 0, 10, 20, 9_999_999_999]),
    st.sampled_from([None, '{"rating": "x"}', '{"timestamp": "x"}', '{"line": "x"}']),
)
policies = st.fixed_dictionaries(
    {
        name: st.sampled_from([policy for policy in info.annotation.__args__ if policy != "fail"])
        for name, info in Inputs.model_fields.items()
        if name in {check.name for check in CHECKS} and info.annotation is not None
    }
)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(anything, max_size=25), chosen=policies)
def test_no_row_disappears_uncounted(rows: list[Row], chosen: dict[str, str]) -> None:
    """For any rows and any policies, rows in are rows out and rows dropped, and what is left has no null."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        raw(folder, [*rows, ("w", "1", 3.0, 10, None)], {"1": "Same", "2": "Same"})
        flags = ["--with", json.dumps(chosen)]
        code = run(main, folder, *flags)
        if code == 1:  # dropping all items of a title can leave nothing
            assert chosen["titles_with_several_ids"] == "drop" or chosen["conflicting_ratings"] == "drop"
            return
        report = document(folder, "ratings/report.json")
        checks = report["checks"].values()
        assert report["rows_in"] == len(rows) + 1 == report["rows_out"] + sum(check["dropped"] for check in checks)
        out = pl.read_parquet(folder / "out/ratings/ratings.parquet")
        assert out.height == report["rows_out"]
        assert sum(out.null_count().row(0)) == 0


def test_a_rating_off_the_scale_can_be_moved_to_its_end(tmp_path: Path) -> None:
    """Fixing a rating out of range takes the nearest rating that is possible, and leaves sentinels alone."""
    raw(tmp_path, [("u", "1", 0.0, 1, None), ("u", "2", 5.5, 2, None), ("u", "3", 9999.9, 3, None)])
    assert run(main, tmp_path, "--out-of-range-ratings", "fix") == 0
    assert [row[3] for row in kept(tmp_path)] == [1.0, 5.0]
    assert counted(tmp_path) == {
        "sentinel_ratings": {"found": 1, "dropped": 1},
        "out_of_range_ratings": {"found": 2, "fixed": 2},
    }


def test_a_sentinel_on_the_scale_is_a_rating(tmp_path: Path) -> None:
    """A number that is a sentinel elsewhere counts as a rating where the scale has it, and the scale can be given."""
    raw(tmp_path, [("u", "1", -1.0, 1, None), ("u", "2", 99.0, 2, None)])
    assert run(main, tmp_path, "--rating-min", "-10", "--rating-max", "10") == 0
    assert counted(tmp_path) == {"sentinel_ratings": {"found": 1, "dropped": 1}}
    about = document(tmp_path, "ratings/dataset.json")
    assert (about["rating_min"], about["rating_max"], about["ratings"]) == (-10.0, 10.0, 1)


def test_other_sentinels_can_be_named(tmp_path: Path) -> None:
    """The list of sentinels is a parameter."""
    raw(tmp_path, [("u", "1", 77.0, 1, None), ("u", "2", 3.0, 2, None)])
    assert run(main, tmp_path, "--sentinels", "77,88.5") == 0
    assert counted(tmp_path) == {"sentinel_ratings": {"found": 1, "dropped": 1}}


def test_byte_strings_are_decoded(tmp_path: Path) -> None:
    """Users, items and titles written as b'...' become the text that was meant, and find their titles."""
    raw(
        tmp_path,
        [("b'587'", "1", 3.0, 1, None), ("587", "b'2'", 3.0, 2, None), ("587", "3", 3.0, 3, None)],
        {"1": "One", "2": "Two", "3": r"""b"Devil's Am\xc3\xa9lie" """.strip()},
    )
    assert run(main, tmp_path) == 0
    assert counted(tmp_path) == {"byte_strings": {"found": 3, "fixed": 3}}
    assert [row[:3] for row in kept(tmp_path)] == [
        ("587", "1", "One"),
        ("587", "2", "Two"),
        ("587", "3", "Devil's Amélie"),
    ]
    assert [item["title"] for item in table(tmp_path, "items")] == ["One", "Two", "Devil's Amélie"]


def test_byte_strings_are_decoded_before_rows_are_compared(tmp_path: Path) -> None:
    """A row that repeats another, but for how its user is written, is a duplicate."""
    raw(tmp_path, [("b'u'", "1", 3.0, 1, None), ("u", "1", 3.0, 1, None)])
    assert run(main, tmp_path) == 0
    assert counted(tmp_path) == {
        "byte_strings": {"found": 1, "fixed": 1},
        "exact_duplicates": {"found": 1, "dropped": 1},
    }


def test_an_item_without_title_has_its_id_for_a_title(tmp_path: Path) -> None:
    """Items that are unknown, or known with a blank title, are described by their ids."""
    raw(
        tmp_path, [("u", "1", 3.0, 1, None), ("u", "8", 3.0, 2, None), ("u", "9", 3.0, 3, None)], {"1": "One", "8": " "}
    )
    assert run(main, tmp_path) == 0
    assert counted(tmp_path) == {"ids_without_titles": {"found": 2, "fixed": 2}}
    assert [row[2] for row in kept(tmp_path)] == ["One", "8", "9"]
    assert [(item["item_id"], item["title"], item["genres"]) for item in table(tmp_path, "items")] == [
        ("1", "One", ["Drama"]),
        ("8", "8", []),
        ("9", "9", []),
    ]


def test_a_source_without_items_has_ids_for_titles(tmp_path: Path) -> None:
    """Where the source describes no items, none are written."""
    raw(tmp_path, [("u", "1", 3.0, 1, None)], items=None)
    assert run(main, tmp_path) == 0
    assert kept(tmp_path) == [("u", "1", "1", 3.0, 1)]
    assert not (tmp_path / "out/ratings/items.parquet").exists()


SHARED = {"1": "Same", "2": "Same", "3": "Other"}
SHARED_ROWS: list[Row] = [
    ("u", "1", 3.0, 1, None),
    ("u", "2", 4.0, 2, None),
    ("v", "2", 5.0, 3, None),
    ("v", "3", 2.0, 4, None),
]


def test_titles_with_several_ids_are_kept_by_default(tmp_path: Path) -> None:
    """Rows of a title with several ids are counted and left as they are."""
    raw(tmp_path, SHARED_ROWS, SHARED)
    assert run(main, tmp_path) == 0
    assert counted(tmp_path) == {"titles_with_several_ids": {"found": 3, "kept": 3}}
    assert len(kept(tmp_path)) == 4


def test_titles_with_several_ids_can_be_merged(tmp_path: Path) -> None:
    """Merging takes the id that is rated most; who rated both ids then has a conflict, and the latest rating stays."""
    raw(tmp_path, SHARED_ROWS, SHARED)
    assert run(main, tmp_path, "--titles-with-several-ids", "fix") == 0
    assert counted(tmp_path) == {
        "titles_with_several_ids": {"found": 3, "fixed": 1},
        "conflicting_ratings": {"found": 2, "dropped": 1},
    }
    assert [row[:4] for row in kept(tmp_path)] == [
        ("u", "2", "Same", 4.0),
        ("v", "2", "Same", 5.0),
        ("v", "3", "Other", 2.0),
    ]
    assert [item["item_id"] for item in table(tmp_path, "items")] == ["2", "3"]


@pytest.mark.parametrize(
    ("policy", "ratings", "outcome"),
    [
        ("fix", [4.0], {"found": 3, "dropped": 2}),
        ("drop", [], {"found": 3, "dropped": 3}),
        ("keep", [5.0, 4.0, 2.0], {"found": 3, "kept": 3}),
    ],
)
def test_conflicting_ratings(tmp_path: Path, policy: str, ratings: list[float], outcome: dict[str, int]) -> None:
    """Of several ratings of one item by one user the latest stays, or none, or all; later rows win a tie."""
    rows: list[Row] = [("u", "1", 5.0, 9, None), ("u", "1", 4.0, 9, None), ("u", "1", 2.0, 8, None)]
    raw(tmp_path, [*rows, ("u", "2", 1.0, 1, None)])
    assert run(main, tmp_path, "--conflicting-ratings", policy) == 0
    assert [row[3] for row in kept(tmp_path)] == [*ratings, 1.0]
    assert counted(tmp_path) == {"conflicting_ratings": outcome}


def test_when_nothing_is_left_the_step_fails(tmp_path: Path, capsys: Capture) -> None:
    """An empty result is an error that says where the rows went."""
    raw(tmp_path, [("u", "1", None, 1, None), ("u", "2", 9.0, 1, None), ("u", "3", 9.0, 1, None)])
    assert run(main, tmp_path) == 1
    assert capsys.readouterr().err == (
        "error: no row is left of 3; dropped: missing_ratings 1, out_of_range_ratings 2\n"
    )


def test_the_log_is_the_report_as_a_table(tmp_path: Path, capsys: Capture) -> None:
    """Every check has a line in the log, and the last line is the balance."""
    raw(tmp_path, [("u", "1", 3.0, 1, None), ("u", "1", 3.0, 1, None)])
    assert run(main, tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [check.name for check in CHECKS]
    assert lines[0] == "check                    policy      found    dropped      fixed       kept"
    assert lines[-3] == "exact_duplicates         drop            1          1          0          0"
    assert lines[-1] == "rows in 2 = rows out 1 + rows dropped 1"
    assert document(tmp_path, ".wf/metrics.json") == {"rows_in": 2, "rows_out": 1, "rows_dropped": 1}


def test_every_check_has_a_parameter() -> None:
    """The checks and the parameters that set their policies are the same, in the same order."""
    assert list(Inputs.model_fields)[: len(CHECKS)] == [check.name for check in CHECKS]


def test_faults_planted_in_a_file_come_out_counted(tmp_path: Path) -> None:
    """A text file with faults, ingested and cleaned, reports exactly what was planted."""
    faults = [
        "1,11,four,100,A",
        "1,12,,100,A2",
        "1,13,NaN,100,A3",
        "1,14,inf,100,A4",
        "1,15,9999.9,100,A5",
        "1,16,-1,100,A6",
        "1,17,7,100,A7",
        "1,18,3,yesterday,A8",
        "1,19,3,,A9",
        "1,20,3",
        "1,21,3,100,A11,too many",
        ",22,3,100,A12",
        "b'1',23,3,100,A13",
        "1,24,3,100,",
        "1,25,3,100,A15",
        "1,25,3,100,A15",
        "1,26,3,100,A16",
        "1,26,4,200,A16",
    ]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["user,item,rating,time,title", *faults, "2,11,5,100,A"]))
    flags = ["--dataset", "file", "--path", str(path), "--rating-min", "1", "--rating-max", "5"]
    assert run(ingest.main, tmp_path, *flags) == 0
    hand_on(tmp_path)
    assert run(main, tmp_path) == 0
    assert counted(tmp_path) == {
        "malformed_lines": {"found": 2, "dropped": 2},
        "byte_strings": {"found": 1, "fixed": 1},
        "missing_ids": {"found": 1, "dropped": 1},
        "unparseable_ratings": {"found": 1, "dropped": 1},
        "missing_ratings": {"found": 1, "dropped": 1},
        "nan_ratings": {"found": 1, "dropped": 1},
        "infinite_ratings": {"found": 1, "dropped": 1},
        "sentinel_ratings": {"found": 2, "dropped": 2},
        "out_of_range_ratings": {"found": 1, "dropped": 1},
        "unparseable_times": {"found": 1, "dropped": 1},
        "missing_times": {"found": 1, "dropped": 1},
        "ids_without_titles": {"found": 1, "fixed": 1},
        "exact_duplicates": {"found": 1, "dropped": 1},
        "conflicting_ratings": {"found": 2, "dropped": 1},
    }
    assert document(tmp_path, "ratings/report.json")["rows_out"] == 5
