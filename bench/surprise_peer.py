"""Surprise's recommenders with its own defaults, on a split given as CSV files (user, item, rating).

    PYTHON bench/surprise_peer.py FOLDER [NAME...]

`PYTHON` is of an environment of its own with `pip install scikit-surprise`. Prints a JSON object: RMSE on `test.csv`
after learning from `base.csv`, and seconds of CPU, by name.
"""

import json
import math
import sys
import time
from pathlib import Path

from surprise import SVD, BaselineOnly, Dataset, KNNBaseline, Reader, SVDpp  # type: ignore[import-not-found]

MODELS = {
    "Surprise BaselineOnly": lambda: BaselineOnly(verbose=False),
    "Surprise SVD": lambda: SVD(random_state=1),
    "Surprise SVD++": lambda: SVDpp(random_state=1),
    "Surprise KNNBaseline": lambda: KNNBaseline(verbose=False),
}


def main(folder: Path, names: list[str]) -> None:
    """Learn and judge each."""
    reader = Reader(line_format="user item rating", sep=",", rating_scale=(1, 5))
    base = Dataset.load_from_file(str(folder / "base.csv"), reader).build_full_trainset()
    test = [line.split(",") for line in (folder / "test.csv").read_text().splitlines()]
    figures = {}
    for name in names or MODELS:
        started = time.process_time()
        model = MODELS[name]().fit(base)
        errors = [float(rating) - model.predict(user, item).est for user, item, rating in test]
        rmse = math.sqrt(sum(error * error for error in errors) / len(errors))
        figures[name] = {"rmse": rmse, "seconds": time.process_time() - started}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
