"""Tests of `steps.recommender.checkpoint`."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from steps.recommender import checkpoint
from steps.recommender.checkpoint import Checkpoint

STATE = Checkpoint(
    fingerprint="abc",
    history=[{"epoch": 1, "loss": 0.1}],
    weights=[np.array([[1.5, 2.5]], np.float32), np.array([3.0], np.float32)],
    optimizer=[np.array(7, np.int64)],
    best_epoch=1,
    best_weights=[np.array([[1.0, 2.0]], np.float32), np.array([3.0], np.float32)],
)


def test_a_checkpoint_comes_back_whole(tmp_path: Path) -> None:
    """Numbers, types and shapes survive the file."""
    checkpoint.save(STATE, tmp_path)
    loaded = checkpoint.load(tmp_path, "abc")

    assert loaded is not None
    assert (loaded.history, loaded.best_epoch) == (STATE.history, STATE.best_epoch)
    for group in ("weights", "optimizer", "best_weights"):
        for ours, theirs in zip(getattr(loaded, group), getattr(STATE, group), strict=True):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)


def test_another_fingerprint_finds_nothing(tmp_path: Path) -> None:
    """State of other data or parameters is as good as none."""
    checkpoint.save(STATE, tmp_path)

    assert checkpoint.load(tmp_path, "other") is None


def test_a_save_that_was_cut_short_leaves_the_one_before(tmp_path: Path) -> None:
    """A half-written file lies beside the checkpoint, never in its place."""
    checkpoint.save(STATE, tmp_path)
    (tmp_path / f"{checkpoint.FILE_NAME}.unfinished").write_bytes(b"half a file")

    loaded = checkpoint.load(tmp_path, "abc")
    assert loaded is not None
    assert loaded.best_epoch == 1

    checkpoint.save(replace(STATE, best_epoch=2), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.FILE_NAME]
