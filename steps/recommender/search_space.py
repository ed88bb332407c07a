"""What values of a parameter are tried: a list of choices, or a range of numbers."""

import re
from dataclasses import dataclass

GRID_VALUES = 5
"""Into how many values a grid cuts a range."""

_RANGE = re.compile(r"(?P<low>[-+.\deE]+?)\s*\.\.\s*(?P<high>[-+.\deE]+?)(?P<log>\s+log)?$")


@dataclass(frozen=True, slots=True)
class Choices:
    """One of some values, as text."""

    values: tuple[str, ...]

    def ends(self) -> tuple[str, ...]:
        """All values, each of which must be allowed."""
        return self.values

    def grid(self) -> tuple[str, ...]:
        """All values."""
        return self.values


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    is_log: bool
    is_whole: bool

    def ends(self) -> tuple[float, ...]:
        """The least and the greatest: if these are allowed, so is what is between."""
        return (self.low, self.high)

    def grid(self) -> tuple[float, ...]:
        """`GRID_VALUES` numbers at equal steps, or equal ratios; fewer of whole ones where there are not as many."""
        shares = [number / (GRID_VALUES - 1) for number in range(GRID_VALUES)]
        if self.is_log:
            values = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            values = [self.low + (self.high - self.low) * share for share in shares]
        return tuple(sorted({round(value) if self.is_whole else float(f"{value:.6g}") for value in values}))


Axis = Choices | Range


def parse_axis(name: str, text: str, *, whole: bool) -> Axis:
    """`8|16|32`, `0..0.3` or `0.001..0.1 log`, of a parameter whose values are whole numbers or not.

    Raises:
        ValueError: it is none of these.
    """
    if ".." not in text:
        values = tuple(dict.fromkeys(part.strip() for part in text.split("|")))
        if not all(values):
            raise ValueError(f"space: {name} has an empty value in `{text}`")
        return Choices(values)
    found = _RANGE.match(text.strip())
    try:
        low, high = (float(found[end]) for end in ("low", "high")) if found else (0.0, 0.0)
    except ValueError:
        found, low, high = None, 0.0, 0.0
    if found is None:
        raise ValueError(f"space: `{text}` is no range for {name}: write 0.001..0.1, or 0.001..0.1 log")
    if low >= high:
        raise ValueError(f"space: the range of {name} must go up, not from {low:g} to {high:g}")
    if found["log"] and low <= 0:
        raise ValueError(f"space: the range of {name} begins at {low:g}, and log needs more than 0")
    return Range(int(low) if whole else low, int(high) if whole else high, bool(found["log"]), whole)
