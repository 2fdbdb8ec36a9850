"""The median of paired differences, with an interval that holds for every distribution: no normality, no symmetry."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from graddiag.analysis.comparison.intervals import Interval
from graddiag.analysis.values import Floats

LEVEL: Final = 0.95
LOWEST_LEVEL: Final = 0.92  # an interval of a level below this is not given
FEWEST_PAIRS: Final = 5  # the range of 4 values holds the median in 87.5% of cases, that of 5 in 93.75%


@dataclass(frozen=True)
class MedianInterval:
    """Two of the sorted values, and how often such a pair of them holds the median of the distribution."""

    ends: Interval
    level: float


def median(values: Floats) -> float | None:
    """The median of ``values`` [n], -inf and inf among them; None for no value or where it is not finite."""
    ordered = np.sort(values)
    if not len(ordered):
        return None
    middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
    return float(middle.mean()) if np.isfinite(middle).all() else None


def median_interval(values: Floats) -> MedianInterval | None:
    """The interval from the k-th smallest to the k-th largest of ``values`` [n]; None for fewer than five.

    It holds the median of the distribution in at least ``level`` of all samples, whatever that distribution is: skewed,
    with two modes, with ties, with infinite values. The values have to be independent. k is that whose level is nearest
    to 95% and at least 92%: 94% for n=5, 93% for 8, 96% for 20.

    Source: Thompson (1936), On confidence ranges for the median; the interval of the sign test.
    """
    n = len(values)
    if n < FEWEST_PAIRS:
        return None
    k, level = _rank(n)
    ordered = np.sort(values)
    return MedianInterval((float(ordered[k - 1]), float(ordered[n - k])), level)


def highest_level(n: int) -> float:
    """How often the range of ``n`` values holds the median of their distribution: 50% for 2, 75% for 3."""
    return 1 - 2.0 ** (1 - n)


@cache
def _rank(n: int) -> tuple[int, float]:
    """Which of ``n`` sorted values are the ends, and the level: that nearest to 95% of those of at least 92%."""
    found, outside = [], 0.0
    for k in range(1, n // 2 + 1):
        outside += math.exp(_ln_choose(n, k - 1) - n * math.log(2))
        if 1 - 2 * outside < LOWEST_LEVEL:
            break
        found.append((k, 1 - 2 * outside))
    return min(found, key=lambda each: abs(each[1] - LEVEL))


def _ln_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
