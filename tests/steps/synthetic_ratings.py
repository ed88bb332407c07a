"""Ratings made by a formula, as the `split` folder that the recommender's steps read."""

import json
from pathlib import Path

import numpy as np
import polars as pl

USERS, TITLES = 30, 25


def ratings(rows: int, *, seed: int, first_user: int = 0, first_title: int = 0) -> pl.DataFrame:
    """Ratings that a user's and a title's mood explain for the most part, in the columns of a split."""
    random = np.random.default_rng(seed)
    users = random.integers(first_user, USERS, rows)
    titles = random.integers(first_title, TITLES, rows)
    wanted = 3.4 + 0.9 * np.sin(users) + 0.9 * np.cos(2 * titles) + random.normal(0, 0.3, rows)
    return pl.DataFrame(
        {
            "user_id": [str(user) for user in users],
            "item_id": [f"i{title}" for title in titles],
            "title": [f"Amélie, Part {title} (2001)" for title in titles],
            "rating": np.clip(np.round(wanted), 1, 5).astype(np.float32),
            "timestamp": np.arange(rows, dtype=np.int64) + 880_000_000,
        }
    )


def write_split(folder: Path, *, validation_rows: int = 150) -> Path:
    """Write a split whose test part has users and titles that training has not; returns `folder`."""
    folder.mkdir(parents=True)
    train = ratings(600, seed=1).filter((pl.col("user_id") != "29") & (pl.col("item_id") != "i24"))
    train.write_parquet(folder / "train.parquet")
    ratings(validation_rows, seed=2).write_parquet(folder / "validation.parquet")
    ratings(150, seed=3, first_user=15, first_title=12).write_parquet(folder / "test.parquet")
    description = {"name": "synthetic", "rating_min": 1.0, "rating_max": 5.0}
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder
