"""Pictures of a plan: Mermaid text, and SVG with the jobs from left to right."""

import itertools
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from msgspec import Struct

from wf.graph import layers
from wf.plan import GatheredOutput, Plan, Task, UpstreamOutput


class Edge(Struct, frozen=True):
    """Something passes, or only time does, from one job to another."""

    source: str
    target: str
    label: str
    """The names of what passes, with commas."""


def edges(plan: Plan) -> list[Edge]:
    """Every edge of the plan once, in the order of its targets."""
    found = []
    for task in plan.tasks:
        passed: dict[str, list[str]] = {need: [] for need in task.needs}
        for port in task.inputs:
            match port.source:
                case UpstreamOutput(job, output):
                    passed.setdefault(job, []).append(output)
                case GatheredOutput(_, output, members):
                    for job, _ in members:
                        passed.setdefault(job, []).append(output)
        found += [Edge(source, task.id, ", ".join(names)) for source, names in passed.items()]
    return found


def mermaid(plan: Plan) -> str:
    """A flowchart that GitHub and most editors draw."""
    ids = {task.id: f"j{number}" for number, task in enumerate(plan.tasks)}
    lines = ["flowchart LR"]
    lines += [f'    {ids[task.id]}["{task.id}<br/><small>{task.action}</small>"]' for task in plan.tasks]
    for edge in edges(plan):
        lines.append(f"    {ids[edge.source]} -->{f'|{edge.label}|' if edge.label else ''} {ids[edge.target]}")
    return "\n".join(lines) + "\n"


_CHAR: Final = 7.6
"""About the width of one letter of the 13 px font, in pixels, as everything here."""
_BOX_HEIGHT, _PORT_GAP, _GAP_X, _GAP_Y, _MARGIN = 48.0, 16.0, 110.0, 28.0, 24.0


class _Node(Struct):
    """A box, or a bend of an edge that passes a column of boxes."""

    task: Task | None = None
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    ins: list["_Node"] = []
    outs: list["_Node"] = []

    def port_in(self, source: "_Node") -> tuple[float, float]:
        """Where the line from `source` ends: each has its own place on the left side, from top to bottom."""
        return self.x, self.y + _share(source, self.ins) * self.height

    def port_out(self, target: "_Node") -> tuple[float, float]:
        """Where the line to `target` begins."""
        return self.x + self.width, self.y + _share(target, self.outs) * self.height


def _share(node: _Node, of: list[_Node]) -> float:
    ranked = sorted(range(len(of)), key=lambda index: of[index].y)
    place = next(rank for rank, index in enumerate(ranked) if of[index] is node)
    return (place + 1) / (len(of) + 1)


def svg(plan: Plan) -> str:
    """One self-contained picture, for light and dark pages."""
    all_edges = edges(plan)
    boxes = {task.id: _Node(task) for task in plan.tasks}
    columns = [[boxes[name] for name in layer] for layer in layers({task.id: task.needs for task in plan.tasks})]
    lines = _lines(all_edges, boxes, columns)
    _place(columns)
    width = max(node.x + node.width for node in columns[-1]) + _MARGIN
    height = max(node.y + node.height for column in columns for node in column) + _MARGIN
    parts = [_draw_line(edge, nodes) for edge, nodes in zip(all_edges, lines, strict=True)]
    parts += [_draw_box(node, node.task) for node in boxes.values() if node.task]
    title = escape(f"Jobs of {plan.workflow.name}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{title}">\n<title>{title}</title>\n{_STYLE}\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _lines(all_edges: Sequence[Edge], boxes: Mapping[str, _Node], columns: list[list[_Node]]) -> list[list[_Node]]:
    """The nodes along each edge, with a bend added to every column that it passes."""
    depth = {id(node): index for index, column in enumerate(columns) for node in column}
    lines = []
    for edge in all_edges:
        source, target = boxes[edge.source], boxes[edge.target]
        bends = [_Node() for _ in range(depth[id(source)] + 1, depth[id(target)])]
        for column, bend in enumerate(bends, depth[id(source)] + 1):
            columns[column].append(bend)
        line = [source, *bends, target]
        for left, right in itertools.pairwise(line):
            left.outs.append(right)
            right.ins.append(left)
        lines.append(line)
    return lines


def _place(columns: list[list[_Node]]) -> None:
    """Give every node its place; a column's order follows the mean place of what leads to it, against crossings."""
    x = _MARGIN
    for column in columns:
        for node in column:
            if node.task:
                node.width = _CHAR * max(len(node.task.id), len(node.task.action)) + 28
                node.height = max(_BOX_HEIGHT, _PORT_GAP * (1 + max(len(node.ins), len(node.outs))))
        # Sugiyama's barycentre, one sweep from left to right.
        column.sort(key=lambda node: sum(above.y + above.height / 2 for above in node.ins) / max(1, len(node.ins)))
        y = 0.0
        for node in column:
            node.x, node.y = x, y
            y += node.height + _GAP_Y
        x += max(node.width for node in column) + _GAP_X
    tallest = max(column[-1].y + column[-1].height for column in columns)
    for column in columns:
        shift = _MARGIN + (tallest - column[-1].y - column[-1].height) / 2
        width = max(node.width for node in column)
        for node in column:
            node.y += shift
            node.width = width


def _draw_box(node: _Node, task: Task) -> str:
    x, middle = node.x + node.width / 2, node.y + node.height / 2
    return (
        f'<rect x="{node.x:.1f}" y="{node.y:.1f}" width="{node.width:.1f}" height="{node.height:.1f}" rx="8"/>'
        f'<text x="{x:.1f}" y="{middle - 4:.1f}" class="name">{escape(task.id)}</text>'
        f'<text x="{x:.1f}" y="{middle + 13:.1f}" class="action">{escape(task.action)}</text>'
    )


def _draw_line(edge: Edge, nodes: Sequence[_Node]) -> str:
    path = ""
    for left, right in itertools.pairwise(nodes):
        (x1, y1), (x2, y2) = left.port_out(right), right.port_in(left)
        x2 -= 7 if right is nodes[-1] else 0
        middle = (x1 + x2) / 2
        path += (
            f"{'L' if path else 'M'}{x1:.1f},{y1:.1f} C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f} "
        )
    head = f'<path class="head" d="M{x2:.1f},{y2 - 4:.1f} l7,4 l-7,4 z"/>'
    # The label stands at the target, where every edge has a place of its own.
    text = f'<text x="{x2 - 4:.1f}" y="{y2 - 5:.1f}" class="label">{escape(edge.label)}</text>' if edge.label else ""
    return f'<path d="{path.strip()}"/>{head}{text}'


_STYLE: Final = """<style>
  rect { fill: #f5f7fa; stroke: #6b7a90; } path { fill: none; stroke: #6b7a90; stroke-width: 1.4; }
  .head { fill: #6b7a90; stroke: none; } text { font: 13px system-ui, sans-serif; fill: #1d2733; }
  .name { font-weight: 600; text-anchor: middle; } .action { font-size: 11px; fill: #5a6675; text-anchor: middle; }
  .label { font-size: 10px; fill: #5a6675; text-anchor: end; }
  @media (prefers-color-scheme: dark) {
    rect { fill: #1e2630; stroke: #8493a8; } path { stroke: #8493a8; } .head { fill: #8493a8; }
    text { fill: #e8edf3; } .action, .label { fill: #a9b4c2; }
  }
</style>"""
