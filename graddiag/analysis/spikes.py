"""Steps whose gradient norm jumps far above what is usual: the exploding gradient as training meets it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints


@dataclass(frozen=True)
class Spikes:
    """The spikes among the norms of a run.

    steps and norms [k]: those of the spikes; ratios [k]: how many times the usual norm each was. counted: finite norms
    looked at; usual: the usual norm at the largest ratio, or at the end where there is no spike (None: too few norms).
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

    The usual norm at a step is the median of all norms before it, or what that median was at its highest.
    """
    finite = np.isfinite(norms)
    usual = _usual(norms[finite], thresholds.history)
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
