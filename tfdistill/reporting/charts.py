"""Charts as inline SVG, told apart by shape and dashes rather than colour."""

import dataclasses
import math
from collections.abc import Sequence
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 320, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 24
# Repeats of a run; a fifth one looks like the first again.
_DASHES = ("", "7 3", "2 3", "9 3 2 3")
_MOST_MARKS = 12


@dataclasses.dataclass(frozen=True)
class Scale:
    """A range of numbers, laid out on pixels."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> "Scale":
        """Returns a scale with room for all finite values."""
        finite = [v for v in values if math.isfinite(v)] or [0.0]
        low, high = min(finite), max(finite)
        room = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
        return cls(low - room, high + room)

    def place(self, value: float, start: float, end: float) -> float:
        """Returns the pixel of a value between two others."""
        share = (value - self.low) / (self.high - self.low)
        return round(start + share * (end - start), 1)

    def ticks(self, most: int = 6) -> list[float]:
        """Returns round numbers within it, at most as many."""
        step = 10.0 ** math.floor(math.log10(self.high - self.low))
        step /= 10
        for factor in (1, 2, 5, 10, 20, 50, 100):
            first = math.ceil(self.low / (step * factor))
            last = math.floor(self.high / (step * factor))
            if last - first < most:
                return [n * step * factor for n in range(first, last + 1)]
        return []


def line_chart(
    title: str,
    lines: Sequence[Points],
    *,
    x: Scale,
    y: Scale,
    reference: float | None = None,
) -> str:
    """Draw curves over steps.

    Args:
        title: What they are, for those who cannot see them.
        lines: Points of each curve; what is not finite is left out.
        x: Of the steps.
        y: Of the values.
        reference: A value to compare with, a dotted horizontal line.
    """
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [_frame(x, y)]
    if reference is not None and y.low <= reference <= y.high:
        height = y.place(reference, bottom, _TOP)
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{height}" y2="{height}" '
            'class="reference"/>'
        )
    for i, line in enumerate(lines):
        places = [
            (x.place(step, _LEFT, right), y.place(value, bottom, _TOP))
            for step, value in line
            if math.isfinite(value)
        ]
        path = " ".join(f"{a},{b}" for a, b in places)
        dashes = _DASHES[i % len(_DASHES)]
        parts.append(
            f'<polyline points="{path}" class="curve" '
            f'stroke-dasharray="{dashes}"/>'
        )
        if len(places) <= _MOST_MARKS:
            parts += [f'<circle cx="{a}" cy="{b}" r="2.2"/>' for a, b in places]
    return _svg(title, _HEIGHT, parts)


def dot_chart(
    title: str,
    rows: Sequence[tuple[str, float, float | None]],
    reference: float | None = None,
) -> str:
    """Draw a value with its deviation for each row, one below the other.

    Args:
        title: What they are, for those who cannot see them.
        rows: Name, value and standard deviation (None: one run).
        reference: A value to compare with, a dotted vertical line.
    """
    ends = [v + s * (d or 0.0) for _, v, d in rows for s in (-1, 1)]
    x = Scale.over([*ends, *([] if reference is None else [reference])])
    pitch = 18
    bottom = _TOP + pitch * len(rows)
    right = _WIDTH - _RIGHT
    parts = []
    for tick in x.ticks():
        place = x.place(tick, _LEFT, right)
        parts.append(
            f'<line x1="{place}" x2="{place}" y1="{_TOP}" y2="{bottom}" '
            'class="grid"/>'
            f'<text x="{place}" y="{bottom + 15}" text-anchor="middle">'
            f"{_number(tick)}</text>"
        )
    if reference is not None and math.isfinite(reference):
        place = x.place(reference, _LEFT, right)
        parts.append(
            f'<line x1="{place}" x2="{place}" y1="{_TOP}" y2="{bottom}" '
            'class="reference"/>'
        )
    for i, (name, value, deviation) in enumerate(rows):
        height = _TOP + pitch * (i + 0.5)
        parts.append(
            f'<text x="{_LEFT - 8}" y="{height + 4}" text-anchor="end">'
            f"{escape(name)}</text>"
        )
        if not math.isfinite(value):
            continue
        if deviation:
            low, high = (
                x.place(value + s * deviation, _LEFT, right) for s in (-1, 1)
            )
            parts.append(
                f'<line x1="{low}" x2="{high}" y1="{height}" y2="{height}" '
                'class="curve"/>'
            )
        place = x.place(value, _LEFT, right)
        parts.append(f'<circle cx="{place}" cy="{height}" r="4"/>')
    return _svg(title, bottom + _BOTTOM, parts)


def _frame(x: Scale, y: Scale) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for tick in y.ticks():
        height = y.place(tick, bottom, _TOP)
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{height}" y2="{height}" '
            'class="grid"/>'
            f'<text x="{_LEFT - 5}" y="{height + 4}" text-anchor="end">'
            f"{_number(tick)}</text>"
        )
    for tick in x.ticks():
        place = x.place(tick, _LEFT, right)
        parts.append(
            f'<text x="{place}" y="{_HEIGHT - 8}" text-anchor="middle">'
            f"{_number(tick)}</text>"
        )
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:.6g}"


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    name = escape(title, quote=True)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{name}">{"".join(parts)}</svg>'
    )
