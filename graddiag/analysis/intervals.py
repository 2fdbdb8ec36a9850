"""Bootstrap intervals: of a mean over steps that follow one another, and of a mean over independent seeds."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.values import Floats

Interval = tuple[float, float]

_RESAMPLES: Final = 2000
_SEED: Final = 0
_LEVEL: Final = 0.95


def over_steps(values: Floats) -> Interval | None:
    """95% interval of the mean of ``values`` [S], steps in order; None for fewer than two finite ones.

    Neighbouring steps are alike, so blocks of about sqrt(S) steps in a row are drawn, not single ones (a single draw
    would make the interval too narrow). Seeded: the same values give the same interval.

    Source: Kuensch (1989), the moving block bootstrap, with blocks that wrap around (Politis & Romano 1992).
    """
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None
    length = max(1, math.isqrt(len(values)))
    sums = np.cumsum(np.concatenate([[0.0], values, values[: length - 1]]))
    blocks = (sums[length:] - sums[:-length]) / length
    return _interval(blocks, math.ceil(len(values) / length))


def over_seeds(values: Floats) -> Interval | None:
    """95% interval of the mean of ``values`` [seeds], by the percentile bootstrap; None for fewer than two.

    With a handful of seeds it is a rough guide: it cannot be wider than the values themselves.

    Source: Efron (1979).
    """
    values = values[np.isfinite(values)]
    return _interval(values, len(values)) if len(values) >= 2 else None


def _interval(values: NDArray[np.float64], draws: int) -> Interval:
    rng = np.random.default_rng(_SEED)
    means = values[rng.integers(len(values), size=(_RESAMPLES, draws))].mean(axis=1)
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
