"""95% intervals: of a mean over steps that follow one another, and of a mean over independent seeds."""

import math
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.values import Floats
from graddiag.analysis.words import plural

Interval = tuple[float, float]

FEWEST_RESAMPLED: Final = 5  # values; the bootstrap of fewer says little more than which of them is the smallest

_RESAMPLES: Final = 2000
_RESAMPLES_OF_FEW: Final = 20_000  # for quantiles farther out
_SEED: Final = 0
_LEVEL: Final = 0.95
_T: Final = (12.706, 4.303, 3.182)  # Student's t, 97.5%, for 1, 2 and 3 degrees of freedom


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
    """95% interval of the mean of ``values`` [seeds], for example of paired differences; None for fewer than two.

    Of two to four by Student's t: mean -+ t s / sqrt(n), which takes the values for normal, and is wide, for so few
    tell little (two of them: 12.7 standard errors each way). A bootstrap of so few cannot leave their range, which
    holds the median of 2 in half of all cases, of 4 in seven of eight, and would pass for certainty.

    Of five or more by the bootstrap, whose percentile interval is too narrow for small n by the factor
    sqrt((n - 1) / n) and by the normal quantile in place of t: it is taken at the quantiles that make up for both,
    Phi(-+ sqrt(n / (n - 1)) t), which go to 2.5% and 97.5% for large n.

    Source: Student (1908); Efron (1979); Hesterberg (2015), What teachers should know about the bootstrap, section
    5.3, the expanded percentile interval.
    """
    values = values[np.isfinite(values)]
    n = len(values)
    if n < 2:
        return None
    if n < FEWEST_RESAMPLED:
        half = _T[n - 2] * float(values.std(ddof=1)) / math.sqrt(n)
        return float(values.mean()) - half, float(values.mean()) + half
    tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * _student(n - 1))
    return _interval(values, n, _RESAMPLES_OF_FEW if n < 50 else _RESAMPLES, tail)


def told_over_seeds(n: int) -> str:
    """How ``over_seeds`` came to the interval of ``n`` values, where a reader has to know it; else empty."""
    return f"Student's t of {plural(n, 'pair')}" if 2 <= n < FEWEST_RESAMPLED else ""


def _student(freedom: int) -> float:
    """The 97.5% quantile of Student's t, for 4 degrees of freedom or more to within 0.01: Cornish and Fisher's series
    (Abramowitz & Stegun 26.7.5)."""
    z, v = NormalDist().inv_cdf((1 + _LEVEL) / 2), freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _interval(
    values: NDArray[np.float64], draws: int, resamples: int = _RESAMPLES, tail: float = (1 - _LEVEL) / 2
) -> Interval:
    rng = np.random.default_rng(_SEED)
    means = values[rng.integers(len(values), size=(resamples, draws))].mean(axis=1)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
