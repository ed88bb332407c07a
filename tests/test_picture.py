"""Pictures of a plan."""

import xml.etree.ElementTree as ET
from pathlib import Path

from tests.projects import REPOSITORY, compile_text
from wf.compile import compile_file
from wf.picture import mermaid, svg

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


def test_no_line_ends_where_another_does() -> None:
    """Every edge of the training workflow has an arrow head of its own."""
    plan, _ = compile_file(REPOSITORY / "workflows" / "train-model.yaml", REPOSITORY)

    heads = [path.attrib["d"] for path in _paths(svg(plan)) if path.get("class") == "head"]

    assert len(heads) == len(set(heads)) == 6


def _paths(picture: str) -> list[ET.Element]:
    return list(ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}path"))
