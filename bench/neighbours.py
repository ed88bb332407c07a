"""The settings of item-kNN, the baseline, that rate validation rows best.

    python -m bench.neighbours SPLIT

SPLIT is a folder that `split` wrote. Test rows are not read.
"""

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from steps.recommender import data, item_neighbours, metrics
from steps.recommender.rating_baselines import fit_simple
from steps.recommender.vocabulary import Vocabulary

SHRINKAGES: Final = (5.0, 20.0, 50.0, 100.0)
NEIGHBOURS: Final = (10, 20, 40, 80)
DAMPINGS: Final = (0.3, 1.0, 3.0)
USER_DAMPING: Final = 5.0


def main() -> None:
    """Print the RMSE of every setting, static and prequential, from the best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("split", type=Path)
    split = data.read_split(parser.parse_args().split)
    vocabulary = Vocabulary.of(split.train)
    train, validation = (data.encode(part, vocabulary) for part in (split.train, split.validation))
    together = data.encode_in_turn([split.train, split.validation], vocabulary)
    titles = fit_simple(train, validation, vocabulary)["title mean"]
    found = []
    for shrinkage in SHRINKAGES:
        fitted = item_neighbours.fit([train], titles, USER_DAMPING, shrinkage)
        for neighbours, damping in product(NEIGHBOURS, DAMPINGS):
            own = replace(fitted, neighbours=neighbours, similarity_damping=damping)
            rated = (own.predict(validation, train), own.predict_in_turn(together)[len(split.train) :])
            errors = [
                metrics.rmse(validation["rating"], np.clip(each, split.scale.minimum, split.scale.maximum))
                for each in rated
            ]
            found.append((*errors, neighbours, shrinkage, damping))
    for static, in_turn, count, shrunk, damped in sorted(found, key=lambda each: each[1]):
        print(
            f"static {static:.4f}  prequential {in_turn:.4f}  "
            f"{count} neighbours, shrinkage {shrunk:g}, damping {damped:g}"
        )


if __name__ == "__main__":
    main()
