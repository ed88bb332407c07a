"""Logs that do not fill the disk."""

from pathlib import Path

from wf.store.joblog import LogWriter, log_files, read_lines


def test_a_log_below_its_limit_is_whole(tmp_path: Path) -> None:
    """Every line, in order, and readable while it is written."""
    with LogWriter(tmp_path / "log", 1000) as log:
        log.write(["one", "two"])
        log.write(["three\r"])

        assert list(read_lines(tmp_path / "log")) == ["one", "two", "three\r"]
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_log_beyond_its_limit_keeps_its_end(tmp_path: Path) -> None:
    """At least half of the limit, and a line that says how many are gone; the disk holds no more than the limit."""
    with LogWriter(tmp_path / "log", 1000) as log:
        for number in range(1000):
            log.write([f"line {number:03}"])
            assert sum(path.stat().st_size for path in log_files(tmp_path / "log")[:2] if path.exists()) <= 1000

    cut, *lines = read_lines(tmp_path / "log")
    assert lines == [f"line {number:03}" for number in range(1000 - len(lines), 1000)]
    assert len(lines) * 9 >= 500
    assert cut == (
        f"[wf: {1000 - len(lines)} lines before this one were cut: the log reached its limit, see `wf run --log-limit`]"
    )
