"""Small SVG charts for a page that loads nothing: pure functions from figures to markup.

Colours are the page's CSS classes, so that charts follow the reader's light or dark mode.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from steps.recommender.history import EpochResult
from steps.recommender.metrics import Estimate

WIDTH: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 18, 10, 42

Point = tuple[float, float]
Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Line:
    """A named line; `css` is its class."""

    name: str
    css: str
    points: Sequence[Point]


def interval_chart(title: str, rows: Sequence[tuple[str, Estimate, str]], *, axis: str) -> str:
    """A dot and its interval for each (name, estimate, css class), one below the other."""
    top, row_height = 6, 30
    left = min(max(142, 14 + 7 * max(len(name) for name, *_ in rows)), WIDTH // 2)
    height = top + row_height * len(rows) + _BOTTOM
    low, high = min(estimate.low for _, estimate, _ in rows), max(estimate.high for _, estimate, _ in rows)
    x, ticks = _axis(low, high, left, WIDTH - _RIGHT)
    bottom = height - _BOTTOM
    marks = [*_x_axis(x, ticks, top, bottom, axis, left)]
    for number, (name, estimate, css) in enumerate(rows):
        y = top + row_height * (number + 0.5)
        marks += [
            f'<text class="name {css}" x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>',
            _line(f"{css} interval", (x(estimate.low), y), (x(estimate.high), y)),
            f'<circle class="{css} dot" cx="{x(estimate.value):.1f}" cy="{y:.1f}" r="5"/>',
        ]
    return _svg(title, height, marks)


def line_chart(title: str, lines: Sequence[Line], *, x_axis: str, y_axis: str, mark: Point | None = None) -> str:
    """Lines over a common x axis, each named at its end by the legend; `mark` is ringed."""
    height = 250
    points = [point for line in lines for point in line.points]
    places = [p[0] for p in points]
    whole = all(float(place).is_integer() for place in places)
    x, x_ticks = _axis(min(places), max(places), _LEFT, WIDTH - _RIGHT, whole=whole)
    y, y_ticks = _axis(min(p[1] for p in points), max(p[1] for p in points), height - _BOTTOM, _TOP + 18)
    marks = [*_x_axis(x, x_ticks, _TOP + 18, height - _BOTTOM, x_axis, _LEFT), *_y_axis(y, y_ticks, y_axis)]
    for line in lines:
        path = " ".join(f"{x(px):.1f},{y(py):.1f}" for px, py in line.points)
        marks.append(f'<polyline class="{line.css} line" points="{path}"/>')
    if mark:
        marks.append(f'<circle class="mark" cx="{x(mark[0]):.1f}" cy="{y(mark[1]):.1f}" r="6"/>')
    return _svg(title, height, [*marks, _legend([(line.name, line.css) for line in lines])])


def learning_curve(history: Sequence[EpochResult], best_epoch: int) -> str:
    """The errors of each epoch; the best one is ringed."""
    validation = [(record.epoch, record.validation_rmse) for record in history]
    return line_chart(
        "RMSE on training and validation rows by epoch",
        [
            Line("training", "other", [(record.epoch, record.rmse) for record in history]),
            Line("validation", "model", validation),
        ],
        x_axis="epoch",
        y_axis="RMSE",
        mark=validation[best_epoch - 1],
    )


def bar_chart(
    title: str,
    centers: Sequence[float],
    series: Sequence[tuple[str, str, Sequence[float]]],
    *,
    x_axis: str,
    y_axis: str,
) -> str:
    """Bars of each (name, css class, heights) side by side around `centers`, which are evenly spaced."""
    height = 250
    step = centers[1] - centers[0] if len(centers) > 1 else 1.0
    x, ticks = _axis(centers[0] - step / 2, centers[-1] + step / 2, _LEFT, WIDTH - _RIGHT, tight=True)
    tallest = max(max(heights) for _, _, heights in series)
    y, y_ticks = _axis(0, tallest or 1, height - _BOTTOM, _TOP + 18)
    marks = [*_x_axis(x, ticks, _TOP + 18, height - _BOTTOM, x_axis, _LEFT), *_y_axis(y, y_ticks, y_axis)]
    slot = (x(step) - x(0)) * 0.84
    for place, (_, css, heights) in enumerate(series):
        width = slot / len(series)
        for center, value in zip(centers, heights, strict=True):
            left = x(center) - slot / 2 + place * width
            marks.append(
                f'<rect class="{css} bar" x="{left:.1f}" y="{y(value):.1f}" '
                f'width="{max(width - 1, 1):.1f}" height="{y(0) - y(value):.1f}"/>'
            )
    return _svg(title, height, [*marks, _legend([(name, css) for name, css, _ in series])])


def diagonal_chart(title: str, points: Sequence[Point], *, x_axis: str, y_axis: str) -> str:
    """Points on two axes of equal scale, with the line on which both are equal."""
    height = 300
    values = [value for point in points for value in point]
    low, high = min(values), max(values)
    x, ticks = _axis(low, high, _LEFT, WIDTH - _RIGHT)
    y, _ = _axis(low, high, height - _BOTTOM, _TOP + 18)
    marks = [
        *_x_axis(x, ticks, _TOP + 18, height - _BOTTOM, x_axis, _LEFT),
        *_y_axis(y, ticks, y_axis),
        _line("diagonal", (x(ticks[0]), y(ticks[0])), (x(ticks[-1]), y(ticks[-1]))),
        *(f'<circle class="model dot" cx="{x(px):.1f}" cy="{y(py):.1f}" r="5"/>' for px, py in points),
    ]
    return _svg(title, height, marks)


def heat_map(title: str, names: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    """A square for each two names, the fuller the larger its value; rows and columns are in the order of names."""
    left, top = 92, 84
    side = (WIDTH - _RIGHT - left) / len(names)
    largest = max(max(row) for row in values) or 1.0
    marks = []
    for place, name in enumerate(names):
        middle = top + (place + 0.5) * side
        marks.append(f'<text class="tick" x="{left - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        across = left + (place + 0.5) * side
        marks.append(
            f'<text class="tick" x="{across:.1f}" y="{top - 8}" '
            f'transform="rotate(-45 {across:.1f} {top - 8})">{escape(name)}</text>'
        )
        for other, value in enumerate(values[place]):
            marks.append(
                f'<rect class="model bar" x="{left + other * side + 1:.1f}" y="{top + place * side + 1:.1f}" '
                f'width="{side - 2:.1f}" height="{side - 2:.1f}" fill-opacity="{value / largest:.3f}">'
                f"<title>{escape(name)} x {escape(names[other])}: {value:.3f}</title></rect>"
            )
    return _svg(title, top + side * len(names) + 6, marks)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers whose first and last enclose low..high."""
    span = (high - low) or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(span / count))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if span / (step * power) <= count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def _axis(
    low: float, high: float, start: float, end: float, *, whole: bool = False, tight: bool = False
) -> tuple[Scale, list[float]]:
    """A linear scale from values to pixels and its ticks; `tight` axes end at low and high, others at ticks."""
    ticks = nice_ticks(low, high)
    if whole:
        ticks = sorted({float(round(tick)) for tick in ticks})
    if not tight:
        low, high = min(low, ticks[0]), max(high, ticks[-1])
    inside = [tick for tick in ticks if low <= tick <= high]
    return lambda value: start + (value - low) / ((high - low) or 1) * (end - start), inside


def _x_axis(x: Scale, ticks: Sequence[float], top: float, bottom: float, name: str, left: float) -> Iterator[str]:
    for tick, text in zip(ticks, _tick_texts(ticks), strict=True):
        yield _line("grid", (x(tick), top), (x(tick), bottom))
        yield f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>'
    middle = (left + WIDTH - _RIGHT) / 2
    yield f'<text class="axis" x="{middle:.1f}" y="{bottom + 36}" text-anchor="middle">{escape(name)}</text>'


def _y_axis(y: Scale, ticks: Sequence[float], name: str) -> Iterator[str]:
    for tick, text in zip(ticks, _tick_texts(ticks), strict=True):
        yield _line("grid", (_LEFT, y(tick)), (WIDTH - _RIGHT, y(tick)))
        yield f'<text class="tick" x="{_LEFT - 7}" y="{y(tick) + 4:.1f}" text-anchor="end">{text}</text>'
    yield f'<text class="axis" x="2" y="12">{escape(name)}</text>'


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    names = "\u2003".join(f'<tspan class="{css} swatch">\u25a0</tspan> {escape(name)}' for name, css in entries)
    return f'<text class="name" x="{WIDTH - _RIGHT}" y="12" text-anchor="end">{names}</text>'


def _line(css: str, start: Point, end: Point) -> str:
    return f'<line class="{css}" x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'


def _tick_texts(ticks: Sequence[float]) -> list[str]:
    decimals = max(len(f"{tick:g}".partition(".")[2]) for tick in ticks)
    return [f"{tick:.{decimals}f}" for tick in ticks]


def _svg(title: str, height: float, marks: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(marks)}</svg>"
    )
