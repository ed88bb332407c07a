"""Parts by place, without an order of all rows."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from steps.assignment import by_place


@given(
    numbers=st.lists(st.integers(0, 5), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 40), max_size=4).map(sorted),
)
def test_places_are_those_of_a_stable_sort(numbers: list[int], cuts: list[int]) -> None:
    """Rows with equal numbers stand in their own order; cuts beyond the last row part nothing."""
    drawn = np.array(numbers, dtype=np.uint64)
    order = np.argsort(drawn, kind="stable")
    expected = np.empty(len(drawn), dtype=np.int8)
    expected[order] = [sum(place >= cut for cut in cuts) for place in range(len(drawn))]
    assert by_place(drawn.copy, cuts, range(len(cuts) + 1)).to_list() == expected.tolist()


def test_a_part_takes_one_byte() -> None:
    """As there are many rows, a part is a number of one byte."""
    assert by_place(lambda: np.arange(3, dtype=np.uint64), [1], [0, 1]).dtype == pl.Int8
