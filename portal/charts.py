"""Numbers to shapes: bars, scales and sparklines as plain values; the templates draw them.

Coordinates are texts, so that no template writes them with a thousands separator.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)
QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Rect:
    """One bar, in the units of its chart's view box."""

    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Spark:
    """A line and the area under it, as path data."""

    line: str
    area: str


def scale_top(values: Sequence[int]) -> int:
    """Return the top of a scale: the smallest that no value exceeds and whose quarters are round, at least 4."""
    quarter = -(-max([*values, QUARTERS]) // QUARTERS)
    if quarter < _STEPS[0]:
        return QUARTERS * quarter
    power = int("1" + "0" * (len(str(quarter)) - 2))
    return QUARTERS * next(step * power for step in _STEPS if step * power >= quarter)


def bars(values: Sequence[int], *, top: int, width: float, height: float, gap: float = 0.25) -> list[Rect]:
    """Return one bar a value, left to right, standing on the base line; `gap` is the share left free."""
    if not values:
        return []
    slot = width / len(values)
    return [
        Rect(
            x=_coordinate(index * slot + slot * gap / 2),
            y=_coordinate(height - _share(value, top) * height),
            width=_coordinate(slot * (1 - gap)),
            height=_coordinate(_share(value, top) * height),
        )
        for index, value in enumerate(values)
    ]


def grid(parts: int, height: float) -> list[str]:
    """Return the heights of the lines that cut a chart into equal parts, without the base line."""
    return [_coordinate(height * part / parts) for part in range(parts)]


def ticks(top: int, parts: int) -> list[str]:
    """Return the labels of a scale from its top to zero."""
    return [short(top * part // parts) for part in range(parts, -1, -1)]


def short(number: int) -> str:
    """Return a number as an axis shows it: `950`, `1.6k`, `25k`, `3.2M`."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + letter
    return str(number)


def sparkline(values: Sequence[int], *, width: float, height: float) -> Spark | None:
    """Return a line through the values, scaled to the largest; None where there is nothing to draw."""
    largest = max(values, default=0)
    if largest == 0 or len(values) < 2:
        return None
    step = width / (len(values) - 1)
    points = [
        f"{_coordinate(index * step)} {_coordinate(height - (height - 3) * _share(value, largest))}"
        for index, value in enumerate(values)
    ]
    line = "M" + "L".join(points)
    return Spark(line, f"{line}L{_coordinate(width)} {_coordinate(height)}L0 {_coordinate(height)}Z")


def shares(values: Sequence[int]) -> list[int]:
    """Return each value in whole per cent of the largest."""
    largest = max(values, default=0)
    return [round(100 * value / largest) if largest else 0 for value in values]


def _share(value: int, top: int) -> float:
    return min(1.0, max(0.0, value / top)) if top > 0 else 0.0


def _coordinate(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
