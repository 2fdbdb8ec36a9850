"""A course of many steps in a few numbers, for a line as small as a word."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.values import Floats

POINTS: Final = 40

Spark = tuple[float | None, ...]


def spark(values: Floats, missing: NDArray[np.bool_], *, peaks: bool = False, points: int = POINTS) -> Spark:
    """``values`` [n] in at most ``points`` numbers of four digits, each of as many steps: their mean, or with ``peaks``
    log10 of the largest, so that none is lost. None where no value is finite (with ``peaks``: and above 0)."""
    usable = np.isfinite(values) & ~missing & (~np.bool_(peaks) | (values > 0))
    parts = [part for part in np.array_split(np.arange(len(values)), min(points, len(values)) or 1) if len(part)]
    return tuple(_one(values[part][usable[part]], peaks) for part in parts)


def _one(found: Floats, peaks: bool) -> float | None:
    if not len(found):
        return None
    with np.errstate(over="ignore"):
        value = float(np.log10(found.max())) if peaks else float(found.mean())
    return float(f"{value:.4g}") if np.isfinite(value) else None
