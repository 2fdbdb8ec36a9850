"""Means and quantiles over steps that come chunk by chunk, with missing kept apart from NaN."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.values import Floats, Ints

# rows that a SomeSteps holds at least, once there are as many; at most it holds twice so many
KEPT: Final = 4_096


class StepMeans:
    """The finite values of each timestep summed up over steps, how many they are, and how many were measured at all."""

    def __init__(self) -> None:
        self._total, self._count, self._measured = np.zeros(0), np.zeros(0), np.zeros(0)

    @property
    def length(self) -> int:
        """Timesteps of the longest stretch so far."""
        return len(self._count)

    def add(self, values: NDArray[np.floating], missing: NDArray[np.bool_]) -> None:
        """Adds the steps of ``values`` [S, T]; where ``missing`` nothing was measured."""
        finite = np.isfinite(values) & ~missing
        self._total = added(self._total, np.where(finite, values, 0.0).sum(axis=0, dtype=np.float64))
        self._count = added(self._count, finite.sum(axis=0))
        self._measured = added(self._measured, (~missing).sum(axis=0))

    def mean(self, length: int) -> tuple[Floats, NDArray[np.bool_]]:
        """The means of timesteps 0 to ``length``, NaN where none is finite, and where nothing was measured."""
        total, count, measured = (added(np.zeros(length), each) for each in (self._total, self._count, self._measured))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan), measured == 0

    def overall(self) -> float | None:
        """The mean of all finite values; None where there is none."""
        count = float(self._count.sum())
        return float(self._total.sum()) / count if count else None


class StepReservoir:
    """Rows of steps, for quantiles over steps in bounded memory: all of them up to twice KEPT, of more every second,
    fourth, eighth, ... from the first one on, so that they stay evenly spaced."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float32]] = []
        self._seen, self._stride = 0, 1

    def add(self, values: NDArray[np.floating]) -> None:
        """Adds the steps of ``values`` [S, T]; they are kept as float32."""
        self._parts.append(values[-self._seen % self._stride :: self._stride].astype(np.float32))
        self._seen += len(values)
        while sum(map(len, self._parts)) > 2 * KEPT:
            self._parts, self._stride = [self.rows()[::2].copy()], 2 * self._stride

    def rows(self) -> NDArray[np.float32]:
        """The rows that were kept, [steps, T] of the longest; NaN beyond the end of a shorter stretch."""
        length = max((part.shape[1] for part in self._parts), default=0)
        pads = [((0, 0), (0, length - part.shape[1])) for part in self._parts]
        padded = [np.pad(part, pad, constant_values=np.nan) for part, pad in zip(self._parts, pads, strict=True)]
        return np.concatenate(padded) if padded else np.zeros((0, 0), np.float32)


def added(a: Floats, b: Floats | Ints) -> Floats:
    """Their sum; the shorter one is 0 beyond its end."""
    out = np.zeros(max(len(a), len(b)))
    out[: len(a)] += a
    out[: len(b)] += b
    return out


class UnitMeans:
    """The mean of each unit's finite numbers, summed up snapshot by snapshot."""

    def __init__(self) -> None:
        self.total, self.count = np.zeros(0), np.zeros(0)

    def add(self, units: Ints, values: Floats) -> None:
        """Adds the numbers of ``values`` [rows], each of the unit that ``units`` [rows] names."""
        finite = np.isfinite(values)
        length = int(units.max()) + 1 if len(units) else 0
        self.total = added(self.total, np.bincount(units[finite], weights=values[finite], minlength=length))
        self.count = added(self.count, np.bincount(units[finite], minlength=length))

    def mean(self) -> Floats:
        """[U], NaN where no number is finite."""
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1), np.nan)
