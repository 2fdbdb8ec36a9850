"""A small picture of numbers over timesteps, as SVG in the colour of the text around it."""

import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

WIDTH: Final = 240
HEIGHT: Final = 56
_EDGE: Final = 3


def sparkline(values: Sequence[float], title: str) -> Markup:
    """A line of ``values`` [T] on a log axis. NaN, inf and 0 leave a gap in it and have a tick at its foot in red."""
    finite = [math.log10(value) for value in values if _drawable(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    points = [_point(t, value, len(values), low, high) if _drawable(value) else None for t, value in enumerate(values)]
    ticks = Markup("").join(_tick(t, len(values)) for t, point in enumerate(points) if point is None)
    return Markup(
        '<svg role="img" width="{}" height="{}" style="display:block;margin:.4rem 0 0"><title>{}</title>'
        '<path d="{}" fill="none" stroke="currentColor" stroke-width="1.5"/>{}</svg>'
    ).format(WIDTH, HEIGHT, title, _path(points), ticks)


def _drawable(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _place(t: int, count: int) -> float:
    return _EDGE + (WIDTH - 2 * _EDGE) * (t / (count - 1) if count > 1 else 0.5)


def _point(t: int, value: float, count: int, low: float, high: float) -> str:
    share = (math.log10(value) - low) / (high - low) if high > low else 0.5
    return f"{_place(t, count):.1f},{HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * share:.1f}"


def _path(points: Sequence[str | None]) -> str:
    """A move to each point behind a gap, a line to every other; a lone point is a dot."""
    parts, before = [], None
    for point in points:
        if point is not None:
            parts.append(f"M{point}h.1" if before is None else f"L{point}")
        before = point
    return "".join(parts)


def _tick(t: int, count: int) -> Markup:
    x = f"{_place(t, count):.1f}"
    return Markup('<path d="M{},{}v-8" stroke="#d7191c" stroke-width="2"/>').format(x, HEIGHT - 1)
