"""What is left of the loss's gradient in one layer, by the steps that are judged."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag.analysis.flow.reach import Reach
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Ints

_SOME: Final = 3


@dataclass(frozen=True)
class Fading:
    """What is left in one layer over the judged steps: the median of the smallest share at a timestep, and the
    geometric mean of the gains (None where the loss touches fewer than half of the timesteps)."""

    reach: Reach
    judged: tuple[int, int]
    arriving: float
    fresh_gain: float | None


def fading(reach: Reach, thresholds: Thresholds) -> Fading | None:
    """What is left in one layer, by the last ``judged_share`` of the steps at which that is known; None if at none."""
    known = np.flatnonzero(np.isfinite(reach.arriving_by_step))
    if not len(known):
        return None
    if reach.missing and not reach.zero_gains and not _by_totals(reach, known, thresholds):
        return None
    judged = known[int(len(known) * (1 - thresholds.judged_share)) :]
    return Fading(
        reach,
        (int(reach.steps[judged[0]]), int(reach.steps[judged[-1]])),
        float(np.median(reach.arriving_by_step[judged])),
        _fresh_gain(reach, judged) if reach.dense else None,
    )


def _by_totals(reach: Reach, known: Ints, thresholds: Thresholds) -> bool:
    """Without any gain (of a tapped state) totals far below that of the last timestep show a gradient that vanishes;
    totals that are level show nothing, since each timestep may have a loss of its own."""
    judged = known[int(len(known) * (1 - thresholds.judged_share)) :]
    return len(reach.timesteps) > 1 and bool(np.median(reach.arriving_by_step[judged]) < thresholds.arriving)


def began(fading: Fading, thresholds: Thresholds) -> int:
    """The first recorded step from which on less than ``arriving`` is left, for good."""
    arriving = fading.reach.arriving_by_step
    enough = np.flatnonzero(np.isfinite(arriving) & (arriving >= thresholds.arriving))
    last = int(enough[-1]) if len(enough) else -1
    return int(fading.reach.steps[last + 1]) if last + 1 < len(arriving) else fading.judged[0]


def _fresh_gain(reach: Reach, judged: Ints) -> float | None:
    if reach.zero_gains > reach.n_gains:
        return 0.0
    exponents = reach.exponent_by_step[judged]
    exponents = exponents[np.isfinite(exponents)]
    return math.exp(float(np.median(exponents))) if len(exponents) else None


def arrived_early(fading: Fading, thresholds: Thresholds) -> bool:
    """Whether enough was left, in the median of the steps before it no longer was; False where these are too few."""
    reach = fading.reach
    early = reach.arriving_by_step[reach.steps < began(fading, thresholds)]
    early = early[np.isfinite(early)]
    return len(early) >= _SOME and bool(np.median(early) >= thresholds.arriving)
