"""How quick the index for very many titles is, beside comparing all of them: `python -m bench.index`.

The vectors are made here, since no data set at hand has a million titles: `--centers` points drawn from a normal
distribution, and around each of them, spread half as wide, its share of the vectors and of the queries. Vectors without
such clusters are harder: `--centers 0` draws them all alone, and shows by how much.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from steps.recommender.retrieval_index import BATCH, Comparison, Leaves, Vectors, compare

SPREAD = 0.5


def clustered(random: np.random.Generator, count: int, centers: Vectors) -> Vectors:
    """Vectors around centers, or, where there are none, drawn alone, [count, size]."""
    alone: Vectors = random.standard_normal((count, centers.shape[1]), np.float32)
    if not len(centers):
        return alone
    return centers[random.integers(0, len(centers), count)] + np.float32(SPREAD) * alone


def line(name: str, single: float, batched: float, recall: float) -> str:
    """A row of the table."""
    return f"{name:<22} {single:>12.2f} {batched:>20.2f} {recall:>10.4f}"


def table(found: Comparison) -> str:
    """Both, side by side."""
    single, batched = found.faster
    leaves = found.leaves
    return "\n".join(
        [
            (
                f"{found.vectors:,} vectors of {found.size} numbers, the best {found.k}; {leaves.count:,} leaves, "
                f"{leaves.searched} searched, {leaves.reordered:,} compared again; built in {found.build_seconds:.0f} s"
            ),
            f"{'':<22} {'ms, 1 query':>12} {f'ms, {BATCH} at a time':>20} {'recall':>10}",
            line("brute force", found.brute_force.single, found.brute_force.batched, 1.0),
            line("ScaNN", found.index.single, found.index.batched, found.recall),
            f"{'times as quick':<22} {single:>12.1f} {batched:>20.1f}",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a table for each choice of leaves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--centers", type=int, default=2000)
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument(
        "--searched", type=int, nargs="+", default=[], metavar="N", help="so many leaves, one table for each"
    )
    arguments = parser.parse_args(argv)
    random = np.random.default_rng(0)
    centers: Vectors = random.standard_normal((arguments.centers, arguments.size), np.float32)
    vectors = clustered(random, arguments.vectors, centers)
    queries = clustered(random, 96, centers)
    suited = Leaves.suited_to(len(vectors), arguments.k)
    for searched in arguments.searched or [suited.searched]:
        leaves = Leaves(suited.count, searched, suited.reordered)
        print(table(compare(vectors, queries, arguments.k, leaves)[1]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
