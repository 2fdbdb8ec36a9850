"""Steps whose gradient norm jumps far above what is usual: the exploding gradient as training meets it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints

# so many steps in a row rise once in 120 times by chance
_LED_UP: Final = 5


@dataclass(frozen=True)
class Spikes:
    """The spikes among the norms of a run.

    steps and norms [k]: those of the spikes; ratios [k]: how many times the typical norm each was. counted: finite
    norms that were compared; usual: the typical norm at the largest ratio, or at the end where there is no spike
    (None: too few norms).
    """

    steps: Ints
    norms: Floats
    ratios: Floats
    counted: int
    usual: float | None

    @property
    def share(self) -> float:
        return len(self.steps) / self.counted if self.counted else 0.0

    @property
    def largest(self) -> int:
        """The index of the largest ratio; only where there is a spike."""
        return int(self.ratios.argmax())


def find_spikes(steps: Ints, norms: Floats, thresholds: Thresholds) -> Spikes:
    """The steps whose norm is ``thresholds.spike`` times the usual one; NaN and inf norms are passed over.

    The typical norm at a step is the largest of: the median of all norms before it, the highest that median has been,
    and the median of the ``recent`` ones before it. So a norm that climbs step by step makes no spike.
    """
    finite = np.isfinite(norms)
    recent = pd.Series(norms[finite]).rolling(max(thresholds.recent, thresholds.history), thresholds.history).median()
    usual = np.fmax(_usual(norms[finite], thresholds.history), recent.shift(1).to_numpy())
    return _above(steps, norms, finite, usual, thresholds)


def find_high(steps: Ints, norms: Floats, thresholds: Thresholds) -> Spikes:
    """The steps whose norm is ``thresholds.spike`` times what was usual in all the training before, by a spike or by
    growing step by step."""
    finite = np.isfinite(norms)
    return _above(steps, norms, finite, _usual(norms[finite], thresholds.history), thresholds)


def climbs_from(steps: Ints, norms: Floats, high: Spikes) -> int:
    """The first step from which on the norm stays above the lowest median that it had, until the first ``high`` one."""
    before = np.isfinite(norms) & (steps < high.steps[0])
    median = pd.Series(norms[before]).expanding().median().min()
    low = steps[before & (norms <= median)]
    return int(steps[steps > low[-1]][0]) if len(low) else int(high.steps[0])


def leads_up_from(steps: Ints, norms: Floats, spikes: Spikes) -> int:
    """The step of the first spike; or, if the norm rose at each of at least five steps up to it, the first of these."""
    finite = np.isfinite(norms) & (steps <= spikes.steps[0])
    falls = np.flatnonzero(np.diff(norms[finite]) <= 0)
    first = int(falls[-1]) + 2 if len(falls) else 1
    rises = int(finite.sum()) - first
    return int(steps[finite][first]) if rises >= _LED_UP else int(spikes.steps[0])


def _above(steps: Ints, norms: Floats, finite: NDArray[np.bool_], usual: Floats, thresholds: Thresholds) -> Spikes:
    known = usual > 0
    ratios = np.where(known, norms[finite] / np.where(known, usual, 1.0), 0.0)
    spikes = ratios >= thresholds.spike
    at = (int(ratios.argmax()) if spikes.any() else len(usual) - 1) if known.any() else None
    return Spikes(
        steps[finite][spikes],
        norms[finite][spikes],
        ratios[spikes],
        int(finite.sum()),
        None if at is None else float(usual[at]),
    )


def _usual(norms: Floats, history: int) -> Floats:
    """For each norm the usual one before it, NaN for the first ``history``."""
    median = pd.Series(norms).expanding(min_periods=history).median().shift(1)
    return np.asarray(median.cummax(), dtype=np.float64)
