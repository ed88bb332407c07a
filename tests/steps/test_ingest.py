"""Ingest: the same typed table out of every source and layout, and no row lost."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest

from steps import sources
from steps.ingest import main
from steps.movielens import GENRES_100K
from tests.steps.data_fixtures import (
    ITEMS,
    MOVIES_CSV,
    RATINGS_CSV,
    ROWS,
    SMALL,
    document,
    published,
    run,
    serving,
    table,
    write,
    zipped,
)

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests' own server is never behind the proxy that the package index may need.
    monkeypatch.setenv("no_proxy", ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1"])))


# The layouts of MovieLens, one after the other.


def test_the_csv_layout_is_read_from_a_zip_archive(tmp_path: Path, capsys: Capture) -> None:
    """A zip archive of the CSV layout becomes typed ratings and items, and the log says what came."""
    archive = zipped(tmp_path / "mine.zip", SMALL)
    assert run(main, tmp_path, "--dataset", "ml-latest-small", "--path", str(archive)) == 0
    assert (table(tmp_path), table(tmp_path, "items")) == (ROWS, ITEMS)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert document(tmp_path, "ratings/dataset.json") == {
        "name": "ml-latest-small",
        "source": "mine.zip",
        "sha256": digest,
        "rating_min": 0.5,
        "rating_max": 5.0,
        "ratings": 3,
        "users": 2,
        "items": 2,
    }
    assert document(tmp_path, ".wf/metrics.json") == {"ratings": 3, "users": 2, "items": 2, "unparsed": 0}
    assert capsys.readouterr().out == (
        f"ml-latest-small from local (mine.zip), sha256 {digest}\n"
        "3 ratings by 2 users of 2 items\n"
        "ratings from 0.5 to 5 on a scale of 0.5 to 5\n"
        "times from 1970-01-01 00:01:40 UTC to 1970-01-01 00:05:00 UTC\n"
    )
    assert sorted(file.name for file in (tmp_path / "out/ratings").iterdir()) == [
        "dataset.json",
        "items.parquet",
        "ratings.parquet",
    ]


def test_the_csv_layout_is_read_from_a_folder(tmp_path: Path) -> None:
    """An unpacked release gives the same tables as its archive."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    write(folder / "ratings.csv", RATINGS_CSV)
    write(folder / "movies.csv", MOVIES_CSV)
    assert run(main, tmp_path, "--dataset", "ml-latest-small", "--path", str(folder)) == 0
    assert (table(tmp_path), table(tmp_path, "items")) == (ROWS, ITEMS)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_the_dat_layout_is_read_with_its_users(tmp_path: Path, encoding: str) -> None:
    """The `::` layout is read in Latin-1 (ml-1m) and in UTF-8 (ml-10m), occupations by name."""
    files: dict[str, str | bytes] = {
        "m/ratings.dat": "1::10::4::100\n1::20::0.5::200\n2::10::5::300\n",
        "m/movies.dat": "10::Amélie (2001)::Comedy\n20::Postman, The (1994)::Drama|War\n".encode(encoding),
        "m/users.dat": "1::F::1::10::48067\n2::M::56::16::70072-1\n",
    }
    archive = zipped(tmp_path / "m.zip", files)
    assert run(main, tmp_path, "--dataset", "ml-latest-small", "--path", str(archive)) == 0
    assert table(tmp_path) == ROWS
    assert [(item["title"], item["genres"]) for item in table(tmp_path, "items")] == [
        ("Amélie (2001)", ["Comedy"]),
        ("Postman, The (1994)", ["Drama", "War"]),
    ]
    assert table(tmp_path, "users") == [
        {"user_id": "1", "age": 1, "gender": "F", "occupation": "K-12 student", "zip": "48067"},
        {"user_id": "2", "age": 56, "gender": "M", "occupation": "self-employed", "zip": "70072-1"},
    ]


def test_the_wheel_and_the_original_layout_give_the_same_tables(tmp_path: Path) -> None:
    """ML-100K out of the package index has 100,000 verified rows, and its u.data layout gives equal files."""
    assert run(main, tmp_path, "--sources", "wheel") == 0
    by_wheel = {file.name: file.read_bytes() for file in (tmp_path / "out/ratings").glob("*.parquet")}
    ratings = pl.read_parquet(tmp_path / "out/ratings/ratings.parquet")
    assert ratings.select(pl.len(), pl.col("user_id").n_unique(), pl.col("item_id").n_unique()).row(0) == (
        100_000,
        943,
        1682,
    )
    original: dict[str, str | bytes] = {
        "ml-100k/u.data": ratings.select("user_id", "item_id", pl.col("rating").cast(pl.Int8), "timestamp").write_csv(
            include_header=False, separator="\t"
        ),
        "ml-100k/u.item": "".join(
            f"{item['item_id']}|{item['title']}|01-Jan-1995|||"
            + "|".join(str(int(genre in item["genres"])) for genre in GENRES_100K)
            + "\n"
            for item in table(tmp_path, "items")
        ).encode("latin-1"),
        "ml-100k/u.user": "".join("|".join(map(str, user.values())) + "\n" for user in table(tmp_path, "users")),
    }
    assert table(tmp_path, "items")[0]["title"] == "Toy Story (1995)"
    archive = zipped(tmp_path / "ml-100k.zip", original)
    assert run(main, tmp_path, "--sources", "local", "--path", str(archive)) == 0
    assert {file.name: file.read_bytes() for file in (tmp_path / "out/ratings").glob("*.parquet")} == by_wheel


def test_the_wheel_is_kept_in_the_cache(tmp_path: Path, capsys: Capture) -> None:
    """A second run has the wheel from the cache, needs no network, and describes the data in the same words."""
    assert run(main, tmp_path, "--sources", "wheel") == 0
    first = document(tmp_path, "ratings/dataset.json")
    capsys.readouterr()
    assert run(main, tmp_path, "--sources", "cache") == 0
    assert document(tmp_path, "ratings/dataset.json") == first
    assert capsys.readouterr().out.startswith(
        "not from cache (ml-100k.zip): not there yet\nml-100k from cache (recbole-1.2.1-py3-none-any.whl), sha256 "
    )


def test_without_a_package_index_the_wheel_is_no_source(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pip says of a wheel that it cannot have is passed on."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # where nothing listens
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert refusal(tmp_path, capsys, "--sources", "wheel") == (
        "wheel (recbole==1.2.1): pip failed: No matching distribution found for recbole==1.2.1 "
        "(`pip download recbole==1.2.1` tells more)"
    )
    assert list((tmp_path / "cache/movielens").iterdir()) == []


# The sources of MovieLens, and what becomes of bad ones.


def test_a_mirror_is_verified_and_its_archive_kept(tmp_path: Path, capsys: Capture) -> None:
    """An archive from a mirror is compared with its md5 and lies in the cache afterwards, and nothing else does."""
    archive = published(tmp_path / "www")
    with serving(tmp_path / "www") as address:
        assert run(main, tmp_path, "--dataset", "ml-latest-small", "--sources", "mirror", "--mirrors", address) == 0
    assert table(tmp_path) == ROWS
    kept = list((tmp_path / "cache/movielens").iterdir())
    assert [(file.name, file.read_bytes()) for file in kept] == [("ml-latest-small.zip", archive.read_bytes())]
    capsys.readouterr()
    assert run(main, tmp_path, "--dataset", "ml-latest-small") == 0
    assert capsys.readouterr().out.startswith("ml-latest-small from cache (ml-latest-small.zip), sha256 ")


def test_each_source_that_fails_is_told_and_the_next_one_tried(tmp_path: Path, capsys: Capture) -> None:
    """Sources are tried in the order given; each failure takes one line."""
    published(tmp_path / "bad", md5="0" * 32)
    published(tmp_path / "good")
    broken = write(tmp_path / "broken.zip", "no archive")
    with serving(tmp_path) as address:
        flags = ["--sources", "local,cache,mirror", "--path", broken, "--mirrors", f"{address}/bad,{address}/good/"]
        assert run(main, tmp_path, "--dataset", "ml-latest-small", *flags) == 0
    digest = hashlib.md5((tmp_path / "bad/ml-latest-small.zip").read_bytes()).hexdigest()
    assert capsys.readouterr().out.splitlines()[:3] == [
        "not from local (broken.zip): it is neither a folder nor a zip archive",
        "not from cache (ml-latest-small.zip): not there yet",
        f"not from mirror ({address}/bad/ml-latest-small.zip): its md5 is {digest} and should be {'0' * 32}",
    ]
    assert table(tmp_path) == ROWS


def test_an_error_lists_every_source_and_what_to_do(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no source has the data, one message gives the reason of each and a way out."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nothing listens
    assert run(main, tmp_path, "--dataset", "ml-1m") == 1
    url = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
    assert capsys.readouterr().err == (
        "error: ml-1m was found nowhere:\n"
        "  local: no `path` is given\n"
        "  cache (ml-1m.zip): not there yet\n"
        f"  site ({url}): no connection: [Errno 111] Connection refused\n"
        "  mirror: no `mirrors` are given\n"
        "  wheel (recbole==1.2.1): it holds only ml-100k\n"
        "Download ml-1m.zip from https://grouplens.org/datasets/movielens/ by hand and give its place as `path`, "
        "or name a copy of the data site in `mirrors`.\n"
    )
    assert list((tmp_path / "out/ratings").iterdir()) == []


def refusal(folder: Path, capsys: Capture, *flags: str) -> str:
    """Why the only source that was asked does not do."""
    assert run(main, folder, *flags) == 1
    return capsys.readouterr().err.splitlines()[1].strip()


def test_a_download_that_ends_early_is_no_download(tmp_path: Path, capsys: Capture) -> None:
    """Half an archive is refused with its size, and the cache stays empty."""
    size = published(tmp_path / "www").stat().st_size
    (tmp_path / "www/half").touch()
    with serving(tmp_path / "www") as address:
        flags = ["--dataset", "ml-latest-small", "--sources", "mirror", "--mirrors", address]
        assert refusal(tmp_path, capsys, *flags) == (
            f"mirror ({address}/ml-latest-small.zip): the connection ended after {size // 2} of {size} bytes"
        )
    assert list((tmp_path / "cache/movielens").iterdir()) == []


def test_an_archive_that_cannot_be_verified_is_refused(tmp_path: Path, capsys: Capture) -> None:
    """A mirror without the .md5 file of a changing release is not trusted."""
    published(tmp_path / "www").with_suffix(".zip.md5").unlink()
    with serving(tmp_path / "www") as address:
        flags = ["--dataset", "ml-latest-small", "--sources", "mirror", "--mirrors", address]
        url = f"{address}/ml-latest-small.zip"
        assert refusal(tmp_path, capsys, *flags) == (
            f"mirror ({url}): HTTP 404 for {url}.md5, by which it would be verified"
        )


def test_a_known_release_is_verified_by_its_known_md5(tmp_path: Path, capsys: Capture) -> None:
    """Another archive under the name of a fixed release is refused, whatever digest lies beside it."""
    archive = zipped(tmp_path / "www/ml-1m.zip", SMALL)
    digest = hashlib.md5(archive.read_bytes()).hexdigest()
    with serving(tmp_path / "www") as address:
        assert refusal(tmp_path, capsys, "--dataset", "ml-1m", "--sources", "mirror", "--mirrors", address) == (
            f"mirror ({address}/ml-1m.zip): its md5 is {digest} and should be c4d9eecfca2ab87c1945afe126590906"
        )


def test_a_cached_archive_that_has_changed_is_refused(tmp_path: Path, capsys: Capture) -> None:
    """The cache is verified again, so a file that was damaged there does no harm."""
    archive = zipped(tmp_path / "cache/movielens/ml-1m.zip", SMALL)
    digest = hashlib.md5(archive.read_bytes()).hexdigest()
    assert refusal(tmp_path, capsys, "--dataset", "ml-1m", "--sources", "cache") == (
        f"cache (ml-1m.zip): its md5 is {digest} and should be c4d9eecfca2ab87c1945afe126590906"
    )


def damaged_by(old: bytes, new: bytes) -> dict[str, str | bytes]:
    """The small release with something replaced in its files."""
    return {name: text.encode().replace(old, new) for name, text in SMALL.items()}


@pytest.mark.parametrize(
    ("files", "flags", "reason"),
    [
        (
            {"a/readme.txt": "hello"},
            (),
            "it holds no ratings of MovieLens (u.data, ml-100k.inter, ratings.dat, ratings.csv)",
        ),
        (SMALL, ("--dataset", "ml-1m"), "it holds 3 ratings, and ml-1m has 1,000,209"),
        (SMALL, ("--dataset", "ml-100k"), "it holds 3 ratings, and ml-100k has 100,000"),
        (damaged_by(b"4.0", b"four"), (), "1 of its lines are damaged"),
        (
            damaged_by(b"userId", b"user"),
            (),
            "ratings.csv begins with 'user,movieId,rating,timestamp' instead of 'userId,movieId,rating,timestamp'",
        ),
        (damaged_by(b'"Postman, The', b"Postman, The"), (), "movies.csv, line 3: 4 fields instead of 3"),
        ({"ratings.csv": RATINGS_CSV}, (), "there is no movies.csv in it"),
        ({"ratings.csv": "userId,movieId,rating,timestamp\n"}, (), "there is not one rating in it"),
        (
            {"ratings.dat": "1::2::3::4\n", "movies.dat": "2::A::B\n", "users.dat": "1::F::1::99::0\n"},
            (),
            "its items or users are damaged: tuple index out of range",
        ),
    ],
)
def test_an_archive_that_is_not_the_release_is_refused(
    tmp_path: Path, capsys: Capture, files: dict[str, str | bytes], flags: tuple[str, ...], reason: str
) -> None:
    """What is in an archive is compared with what the release must hold."""
    archive = zipped(tmp_path / "mine.zip", files)
    told = refusal(
        tmp_path, capsys, "--dataset", "ml-latest-small", "--sources", "local", "--path", str(archive), *flags
    )
    assert told == f"local (mine.zip): {reason}"


def test_a_member_that_is_too_large_is_never_unpacked(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size of a member is known and refused before it is read."""
    monkeypatch.setattr(sources, "MEMBER_BYTES", 10)
    archive = zipped(tmp_path / "mine.zip", SMALL)
    flags = ["--dataset", "ml-latest-small", "--sources", "local", "--path", str(archive)]
    assert refusal(tmp_path, capsys, *flags) == (
        "local (mine.zip): ml-latest-small/ratings.csv in it has more than 10 bytes"
    )


def test_an_archive_with_flipped_bytes_is_refused(tmp_path: Path, capsys: Capture) -> None:
    """The checksums within a zip archive are looked at."""
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as stored:
        for name, text in SMALL.items():
            stored.writestr(name, text)
    archive.write_bytes(archive.read_bytes().replace(b"1,10,4.0", b"1,10,3.0"))
    flags = ["--dataset", "ml-latest-small", "--sources", "local", "--path", str(archive)]
    assert refusal(tmp_path, capsys, *flags) == ("local (mine.zip): Bad CRC-32 for file 'ml-latest-small/ratings.csv'")


# What is refused before anything is read.


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--dataset", "file"), "Value error, dataset=file needs path: the file to read"),
        (
            ("--sources", "moon,site"),
            "sources: Value error, moon is no source: choose from local, cache, site, mirror, wheel",
        ),
        (
            ("--mirrors", "ftp://a"),
            "mirrors: Value error, ftp://a is no address: it must begin with http:// or https://",
        ),
        (("--separator", ";"), "Value error, separator is for dataset=file: the form of ml-100k is known"),
        (
            ("--rating-max", "5"),
            "Value error, rating_min and rating_max are for dataset=file: the scale of ml-100k is known",
        ),
        (
            ("--dataset", "file", "--path", "a", "--columns", "stars=4"),
            (
                "columns: Value error, stars is no field: choose "
                "from user_id, item_id, rating, timestamp, title, year, genres"
            ),
        ),
        (
            ("--dataset", "file", "--path", "a", "--columns", "rating"),
            (
                "columns: Value error, rating has no column: write "
                "rating=NAME, or rating=NUMBER for a file without header"
            ),
        ),
        (
            ("--dataset", "file", "--path", "a", "--rating-min", "5", "--rating-max", "1"),
            "Value error, rating_min must be less than rating_max",
        ),
        (
            ("--dataset", "file", "--path", "a", "--time-format", "epoch"),
            "Value error, time_format must be auto, unix, unix_ms, iso or a pattern such as %d/%m/%Y",
        ),
    ],
)
def test_parameters_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: Capture, flags: tuple[str, ...], problem: str
) -> None:
    """Wrong parameters are found before anything is read, with exit code 2."""
    assert run(main, tmp_path, *flags) == 2
    assert capsys.readouterr().err == f"error: ingest: {problem}\n"


@pytest.mark.parametrize("step", ["ingest", "clean", "split"])
def test_help_is_light(step: str) -> None:
    """Asking a data step for help imports neither polars nor NumPy."""
    code = (
        f"import sys, steps.{step} as step\n"
        "try: step.main(['--help'])\n"
        "except SystemExit: print({'polars', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
