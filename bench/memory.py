"""How much memory each step needs, and whether it grows with the table.

    python -m bench.memory --rows 1000000 10000000

Made-up ratings by 20,000 users of 5,000 titles, as a CSV file, go through `ingest`, `clean`, `split`, `train` and
`evaluate`, each a process of its own; users and titles stay as many while rows grow. Peaks of resident memory in MiB,
and from them MiB per million rows. `train` learns for one epoch, with the rows in memory and with the rows streamed;
`evaluate` judges the last model.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

USERS, TITLES = 20_000, 5_000
PART: Final = 1_000_000
"""Rows that are made up at once."""
TRAIN: Final = ("train", "--epochs=1", "--batch-size=65536", "--tracking=off")
STEPS: Final = {
    "ingest": ("ingest", "--dataset=file", "--path=ratings.csv", "--rating-min=1", "--rating-max=5"),
    "clean": ("clean",),
    "split": ("split", "--method=random"),
    **{
        f"train {model}, stream {stream}": (*TRAIN, f"--model={model}", f"--stream={stream}")
        for model, stream in (
            ("bias", "never"),
            ("mf", "always"),
            ("ranking", "always"),
            ("bias", "always"),
        )
    },
    "evaluate": ("evaluate", "--tracking=off"),
}


def write_ratings(path: Path, rows: int) -> None:
    """A CSV file of made-up ratings with their times and titles."""
    random = np.random.default_rng(1)
    with path.open("wb") as file:
        for start in range(0, rows, PART):
            count = min(PART, rows - start)
            user, title = random.integers(USERS, size=count), random.integers(TITLES, size=count)
            wanted = 3.5 + np.sin(user) + np.cos(title) + random.normal(0, 0.5, count)
            part = pl.DataFrame(
                {
                    "user_id": user,
                    "item_id": title,
                    "rating": np.clip(np.round(wanted), 1, 5),
                    "timestamp": np.arange(start, start + count) + 900_000_000,
                }
            ).with_columns(title=pl.format("Film Number {} (1999)", "item_id"))
            part.write_csv(file, include_header=start == 0)


def peak_of(folder: Path, *command: str) -> float:
    """Run a step on the folder, where its inputs and outputs are the same; the peak of its resident memory in MiB."""
    folders = [f"--inputs-dir={folder}", f"--outputs-dir={folder}", f"--state-dir={folder / 'state'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", f"steps.{command[0]}", *command[1:], *folders],
        stdout=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    return usage.ru_maxrss / 1024


def main() -> None:
    """Run every step on tables of each size and print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs=2, default=(1_000_000, 10_000_000))
    few, many = parser.parse_args().rows
    peaks: dict[str, list[float]] = {name: [] for name in STEPS}
    for rows in (few, many):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_ratings(folder / "ratings.csv", rows)
            for name, command in STEPS.items():
                peaks[name].append(peak_of(folder, *command))
                print(f"{rows:,} rows: {name} {peaks[name][-1]:,.0f} MiB", flush=True)
    for name, (low, high) in peaks.items():
        print(f"{name}: {low:,.0f} and {high:,.0f} MiB, {(high - low) / (many - few) * 1e6:,.1f} per million rows")


if __name__ == "__main__":
    main()
