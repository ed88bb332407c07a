"""The order of jobs and its pictures."""

import xml.etree.ElementTree as ET
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.projects import compile_text
from wf.graph import find_cycle, in_order, layers, mermaid, svg

DIAMOND = """
jobs:
  Make:
    uses: script@v1
    with: {image: "bash:5", script: echo 1 > /outputs/text}
    outputs: {text: {type: string}}
  Left: {needs: [Make], uses: script@v1, inputs: {a: Make.outputs.text}, with: {image: "bash:5", script: "true"}}
  Right: {needs: [Make], uses: script@v1, with: {image: "bash:5", script: "true"}}
  Join: {needs: [Left, Right], uses: container@v1, with: {image: "bash:5"}}
"""


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


@given(st.lists(st.sets(st.integers(0, 30)), max_size=30))
def test_every_job_follows_what_it_needs(needs_by_index: list[set[int]]) -> None:
    """Whatever the graph, the order respects it."""
    needs = {str(n): [str(need) for need in sorted(above) if need < n] for n, above in enumerate(needs_by_index)}

    order = in_order(needs)

    assert sorted(order) == sorted(needs)
    assert all(order.index(need) < order.index(name) for name in needs for need in needs[name])


def test_mermaid_shows_jobs_and_what_passes_between_them(tmp_path: Path) -> None:
    """The whole text."""
    assert mermaid(compile_text(tmp_path, DIAMOND)) == (
        "flowchart LR\n"
        '    j0["Make<br/><small>script@v1</small>"]\n'
        '    j1["Left<br/><small>script@v1</small>"]\n'
        '    j2["Right<br/><small>script@v1</small>"]\n'
        '    j3["Join<br/><small>container@v1</small>"]\n'
        "    j0 -->|text| j1\n"
        "    j0 --> j2\n"
        "    j1 --> j3\n"
        "    j2 --> j3\n"
    )


def test_svg_holds_a_box_for_each_job_and_nothing_overlaps(tmp_path: Path) -> None:
    """Boxes stand apart and inside the picture."""
    root = ET.fromstring(svg(compile_text(tmp_path, DIAMOND)))
    boxes = [
        tuple(float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        for rect in root.iter("{http://www.w3.org/2000/svg}rect")
    ]

    assert len(boxes) == 4
    assert all(x >= 0 and x + w <= float(root.attrib["width"]) for x, _, w, _ in boxes)
    assert all(y >= 0 and y + h <= float(root.attrib["height"]) for _, y, _, h in boxes)
    for index, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[index + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
