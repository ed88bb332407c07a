"""How much memory each step needs, and whether it grows with the table.

    python -m bench.memory --rows 1000000 10000000

Made-up ratings by 20,000 users of 5,000 titles, as a CSV file, go through `ingest`, `clean`, `split`, `train` (one
epoch), `export` and `evaluate` (of the model above them), each a process of its own; users and titles stay as many
while rows grow. A line for each step: peaks of resident memory in MiB, MiB for each million rows between the least and
the largest table, and seconds of CPU for the largest. `--only` names models or steps, where not all are measured.
"""

import argparse
import multiprocessing
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
STEPS: Final = {
    "`ingest`, of CSV": ("ingest", "--dataset=file", "--path=ratings.csv", "--rating-min=1", "--rating-max=5"),
    "`clean`": ("clean",),
    "`split`, `leave_last_n`": ("split", "--method=leave_last_n"),
    "`split`, `time_quantile`": ("split", "--method=time_quantile"),
    "`split`, `random`": ("split", "--method=random"),
    **{
        f"`{step}`, `{model}`": (*command, *(flags if step == "train" else ()))
        for model, flags in {
            "mf": ("--batch-size=65536",),
            "autoencoder": ("--batch-size=65536", "--embedding-size=64"),
            "retrieval": (),
            "multitask": (),
            "history": ("--batch-size=8192",),
            "ranking": ("--batch-size=65536",),
            "bias": ("--batch-size=65536",),
        }.items()
        for step, command in {
            "train": ("train", "--epochs=1", "--tracking=off", "--stream=always", f"--model={model}"),
            "export": ("export",),
        }.items()
    },
    "`evaluate`, `bias`": ("evaluate", "--tracking=off"),
}
ALWAYS: Final = ("`ingest`, of CSV", "`clean`", "`split`, `random`")
"""Without these there is nothing to learn from."""


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


def measure(folder: Path, *command: str) -> tuple[float, float]:
    """Run a step on the folder, where its inputs and outputs are the same.

    Returns the peak of its resident memory in MiB, and its seconds of CPU. A process counts the peak of the one that
    starts it as its own, so this one must hold little.
    """
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
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Run every step on tables of each size and print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=(1_000_000, 10_000_000), help="sizes, the least first")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="measure what has one of these words in its name")
    arguments = parser.parse_args()
    words = arguments.only or [""]
    steps = {name: command for name, command in STEPS.items() if name in ALWAYS or any(word in name for word in words)}
    peaks: dict[str, list[float]] = {name: [] for name in steps}
    seconds: dict[str, float] = {}
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            writer = multiprocessing.get_context("spawn").Process(
                target=write_ratings, args=(folder / "ratings.csv", rows)
            )
            writer.start()
            writer.join()
            for name, command in steps.items():
                peak, seconds[name] = measure(folder, *command)
                peaks[name].append(peak)
                print(f"{rows:,} rows: {name} {peak:,.0f} MiB, {seconds[name]:,.0f} s", file=sys.stderr, flush=True)
    print(f"| step | {' | '.join(f'{rows:,} rows' for rows in arguments.rows)} | for each million more | CPU s |")
    print(f"| --- |{' ---: |' * (len(arguments.rows) + 2)}")
    millions = (arguments.rows[-1] - arguments.rows[0]) / 1e6 or 1
    for name, measured in peaks.items():
        cells = " | ".join(f"{peak:,.0f} MiB" for peak in measured)
        growth = (measured[-1] - measured[0]) / millions
        print(f"| {name} | {cells} | {growth:,.1f} MiB | {seconds[name]:,.0f} |")


if __name__ == "__main__":
    main()
