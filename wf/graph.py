"""The order of jobs, and pictures of it: Mermaid text and SVG."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from html import escape

from wf.plan import Plan, UpstreamOutput


def find_cycle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Jobs that need one another in a ring, the first repeated at the end; empty where there is no ring."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1]
        return ring[::-1]
    return []


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """All jobs, each after the jobs that it needs, and otherwise in the order of the file."""
    return [name for layer in layers(needs) for name in layer]


def layers(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Jobs by the length of the longest chain above them, in the order of the file within a layer."""
    depth: dict[str, int] = {}
    for name in TopologicalSorter(needs).static_order():
        depth[name] = 1 + max((depth[need] for need in needs[name]), default=-1)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in needs:
        rows[depth[name]].append(name)
    return rows


def mermaid(plan: Plan) -> str:
    """A flowchart that GitHub and most editors draw: an edge is labelled with what passes along it."""
    ids = {task.id: f"j{number}" for number, task in enumerate(plan.tasks)}
    lines = ["flowchart LR"]
    lines += [f'    {ids[task.id]}["{task.id}<br/><small>{task.action}</small>"]' for task in plan.tasks]
    for source, target, label in edges(plan):
        lines.append(f"    {ids[source]} -->{f'|{label}|' if label else ''} {ids[target]}")
    return "\n".join(lines) + "\n"


def edges(plan: Plan) -> list[tuple[str, str, str]]:
    """From job, to job, and the names of what passes between them, with commas."""
    found: list[tuple[str, str, str]] = []
    for task in plan.tasks:
        passed: dict[str, list[str]] = {need: [] for need in task.needs}
        for port in task.inputs:
            if isinstance(port.source, UpstreamOutput):
                passed.setdefault(port.source.job, []).append(port.source.output)
        found += [(source, task.id, ", ".join(names)) for source, names in passed.items()]
    return found


_BOX_HEIGHT, _GAP_X, _GAP_Y, _MARGIN, _CHAR = 48, 110, 28, 24, 7.6
"""Pixels; `_CHAR` is about the width of one letter of the 13 px font."""


def svg(plan: Plan) -> str:
    """The same picture as one self-contained SVG, jobs from left to right, light and dark."""
    needs = {task.id: task.needs for task in plan.tasks}
    by_id = {task.id: task for task in plan.tasks}
    columns = _fewer_crossings(layers(needs), needs)
    rows = max(len(column) for column in columns)
    place: dict[str, tuple[float, float, float]] = {}
    x = float(_MARGIN)
    for column in columns:
        width = max(_CHAR * max(len(name), len(by_id[name].action)) + 28 for name in column)
        top = _MARGIN + (rows - len(column)) * (_BOX_HEIGHT + _GAP_Y) / 2
        for row, name in enumerate(column):
            place[name] = (x, top + row * (_BOX_HEIGHT + _GAP_Y), width)
        x += width + _GAP_X
    width, height = x - _GAP_X + _MARGIN, rows * (_BOX_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    parts = [_edge(place[source], place[target], label) for source, target, label in edges(plan)]
    parts += [_box(place[task.id], task.id, task.action) for task in plan.tasks]
    title = escape(plan.workflow.name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="Jobs of {title}">\n<title>Jobs of {title}</title>\n{_STYLE}\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _fewer_crossings(columns: list[list[str]], needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Sort each column by the mean place of what its jobs need (Sugiyama's barycentre, one sweep)."""
    seat: dict[str, float] = {}
    ordered = []
    for column in columns:
        ranked = sorted(column, key=lambda name: sum(seat[n] for n in needs[name]) / max(1, len(needs[name])))
        seat.update({name: index / len(ranked) for index, name in enumerate(ranked)})
        ordered.append(ranked)
    return ordered


def _box(place: tuple[float, float, float], name: str, action: str) -> str:
    x, y, width = place
    middle = x + width / 2
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BOX_HEIGHT}" rx="8"/>'
        f'<text x="{middle:.1f}" y="{y + 20:.1f}" class="name">{escape(name)}</text>'
        f'<text x="{middle:.1f}" y="{y + 37:.1f}" class="action">{escape(action)}</text>'
    )


def _edge(source: tuple[float, float, float], target: tuple[float, float, float], label: str) -> str:
    x1, y1 = source[0] + source[2], source[1] + _BOX_HEIGHT / 2
    x2, y2 = target[0] - 7, target[1] + _BOX_HEIGHT / 2
    bend = max(30.0, (x2 - x1) / 2)
    path = f'<path d="M{x1:.1f},{y1:.1f} C{x1 + bend:.1f},{y1:.1f} {x2 - bend:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"/>'
    head = f'<path class="head" d="M{x2:.1f},{y2 - 4:.1f} l7,4 l-7,4 z"/>'
    # The label stands near the target, where edges of one source have parted.
    text = f'<text x="{x2 - 4:.1f}" y="{y2 - 7:.1f}" class="label">{escape(label)}</text>' if label else ""
    return path + head + text


_STYLE = """<style>
  rect { fill: #f5f7fa; stroke: #6b7a90; } path { fill: none; stroke: #6b7a90; stroke-width: 1.4; }
  .head { fill: #6b7a90; stroke: none; } text { font: 13px system-ui, sans-serif; fill: #1d2733; }
  .name { font-weight: 600; text-anchor: middle; } .action { font-size: 11px; fill: #5a6675; text-anchor: middle; }
  .label { font-size: 10px; fill: #5a6675; text-anchor: end; }
  @media (prefers-color-scheme: dark) {
    rect { fill: #1e2630; stroke: #8493a8; } path { stroke: #8493a8; } .head { fill: #8493a8; }
    text { fill: #e8edf3; } .action, .label { fill: #a9b4c2; }
  }
</style>"""
