"""The order of jobs by their needs."""

from hypothesis import given
from hypothesis import strategies as st

from wf.graph import find_cycle, in_order, layers


def test_a_ring_is_found_in_the_order_of_needs() -> None:
    """The first job is repeated at the end."""
    ring = find_cycle({"a": ["b"], "b": ["c"], "c": ["a"], "d": []})

    assert ring[0] == ring[-1]
    assert set(ring) == {"a", "b", "c"}


def test_no_ring_is_nothing() -> None:
    """A graph without rings gives an empty list."""
    assert find_cycle({"a": ["b"], "b": []}) == []


def test_layers_follow_the_longest_chain() -> None:
    """A job stands right after the last of what it needs."""
    assert layers({"d": ["a", "c"], "a": [], "c": ["b"], "b": []}) == [["a", "b"], ["c"], ["d"]]


def test_a_ring_and_what_needs_it_has_no_place() -> None:
    """Nothing of it could ever start."""
    assert in_order({"a": ["b"], "b": ["a"], "c": ["a"], "d": [], "e": ["d"]}) == ["d", "e"]


@given(st.lists(st.sets(st.integers(0, 30)), max_size=30))
def test_every_job_follows_what_it_needs(needs_by_index: list[set[int]]) -> None:
    """Whatever the graph, the order respects it."""
    needs = {str(n): [str(need) for need in sorted(above) if need < n] for n, above in enumerate(needs_by_index)}

    order = in_order(needs)

    assert sorted(order) == sorted(needs)
    assert all(order.index(need) < order.index(name) for name in needs for need in needs[name])
