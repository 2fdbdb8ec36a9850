"""Means over steps that come stretch by stretch, with missing kept apart from NaN."""

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.values import Floats, Ints


class StepMeans:
    """The finite values of each timestep summed up over steps, how many they are, and how many were measured at all."""

    def __init__(self) -> None:
        self._total, self._count, self._measured = np.zeros(0), np.zeros(0), np.zeros(0)

    @property
    def length(self) -> int:
        """Timesteps of the longest stretch so far."""
        return len(self._count)

    def add(self, values: Floats, missing: NDArray[np.bool_]) -> None:
        """Adds the steps of ``values`` [S, T]; where ``missing`` nothing was measured."""
        finite = np.isfinite(values) & ~missing
        self._total = _added(self._total, np.where(finite, values, 0.0).sum(axis=0))
        self._count = _added(self._count, finite.sum(axis=0))
        self._measured = _added(self._measured, (~missing).sum(axis=0))

    def mean(self, length: int) -> tuple[Floats, NDArray[np.bool_]]:
        """The means of timesteps 0 to ``length``, NaN where none is finite, and where nothing was measured."""
        total, count, measured = (_added(np.zeros(length), each) for each in (self._total, self._count, self._measured))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan), measured == 0

    def overall(self) -> float | None:
        """The mean of all finite values; None where there is none."""
        count = float(self._count.sum())
        return float(self._total.sum()) / count if count else None


def _added(a: Floats, b: Floats | Ints) -> Floats:
    """Their sum; the shorter one is 0 beyond its end."""
    out = np.zeros(max(len(a), len(b)))
    out[: len(a)] += a
    out[: len(b)] += b
    return out
