"""Intervals of 95%: of means over steps and over seeds, of medians of paired differences, and of success rates."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.values import Floats
from graddiag.analysis.words import plural

Interval = tuple[float, float]

FEWEST_RESAMPLED: Final = 5  # values; the bootstrap of fewer says little more than which of them is the smallest

MEMORY: Final = 20  # values: the correlation time up to which an interval over steps holds
FEWEST_STEPS: Final = 10 * MEMORY

_PER_COSINE: Final = 6.4  # correlation times that one cosine coefficient takes
_FEWEST_A_BLOCK: Final = 8
_FEWEST_COSINES: Final = 2
_MOST_COSINES: Final = 12
_FASTER: Final = 7  # times as many faster coefficients as slow ones to compare with
_DRIFT: Final = 15.0  # above this ratio of their mean squares the series drifts

_RESAMPLES: Final = 2000
_RESAMPLES_OF_FEW: Final = 20_000  # for quantiles farther out
_SEED: Final = 0
_LEVEL: Final = 0.95
_T: Final = (12.706, 4.303, 3.182)  # Student's t, 97.5%, for 1, 2 and 3 degrees of freedom


def over_steps(values: Floats) -> Interval | None:
    """95% interval of the mean of ``values`` [S], steps in order, which depend on one another; None where none holds.

    It holds for a correlation time of up to MEMORY values: 1 / (1 - phi) of a series x_s = phi x_{s-1} + e_s, so that
    20 is phi = .95. There is none for fewer than FEWEST_STEPS finite values, nor where the slowest changes dominate (a
    drift over the whole run), since then the values do not show the error of their mean.

    The slowest B cosine coefficients of the series have the variance of its mean, as long as its spectrum is flat up to
    their frequency, whatever happens above: mean -+ t_B sqrt(mean of their squares), Student's t with B degrees of
    freedom. B is S / 128, from 2 to 12. No autocorrelation has to be estimated. Simulated with phi = 0,
    .5, .9 and .95 it covers 92 to 96 of 100 (tests/analysis/test_intervals.py).

    Source: Mueller (2007), A theory of robust long-run variance estimation; Mueller & Watson (2018) on the cosines.
    """
    values = values[np.isfinite(values)]
    n = len(values)
    if n < FEWEST_STEPS:
        return None
    count = min(max(int(n / (_PER_COSINE * MEMORY)), _FEWEST_COSINES), _MOST_COSINES)
    squares = _cosines(values, min((1 + _FASTER) * count, n // 2)) ** 2
    slow, faster = float(squares[:count].mean()), float(squares[count:].mean())
    rounding = np.finfo(np.float64).eps * float(np.abs(values).max())
    if slow > _DRIFT * faster and math.sqrt(slow) > rounding:
        return None
    half = _student(count) * math.sqrt(slow)
    return float(values.mean()) - half, float(values.mean()) + half


def why_none_over_steps(values: Floats) -> str:
    """Why ``over_steps`` gives no interval of ``values``, in words; empty where it gives one."""
    n = int(np.isfinite(values).sum())
    if over_steps(values) is not None:
        return ""
    if n == 1:
        return "one step: no interval"
    if n < FEWEST_STEPS:
        return f"no interval: {plural(n, 'recorded step')}, {FEWEST_STEPS} are needed"
    return "no interval: it drifts over the run"


def over_neighbours(values: Floats, blocks: int) -> Interval | None:
    """95% interval of the mean of ``values`` [S], of which only neighbours depend on one another; None for fewer than
    eight a block.

    The variance of the mean is (gamma_0 + 2 gamma_1) / S, with deviations taken from the mean of each of ``blocks``
    equal parts, so that a slow change of the mean is no error of it; Student's t with a third of the degrees of freedom
    that S independent values would have.

    Source: Hansen & Hodrick (1980), for a moving average of order 1.
    """
    n, used = len(values), 3 * blocks  # what centring takes off gamma_0 + 2 gamma_1, in values
    if n < _FEWEST_A_BLOCK * blocks:
        return None
    parts = [part - part.mean() for part in np.array_split(values, blocks)]
    alone = sum(float(part @ part) for part in parts)
    shared = alone + 2 * sum(float(part[1:] @ part[:-1]) for part in parts)
    variance = (shared if shared > 0 else alone) / (n - used) / n
    half = _student((n - blocks) // 3) * math.sqrt(variance)
    return float(values.mean()) - half, float(values.mean()) + half


def _cosines(values: Floats, count: int) -> Floats:
    """The ``count`` slowest cosine coefficients of ``values`` [S], scaled so that those of white noise have the
    variance of its mean."""
    n = len(values)
    k = np.arange(1, count + 1)
    half_a_step = np.exp(-0.5j * np.pi * k / n)
    return np.asarray(math.sqrt(2) / n * (half_a_step * np.fft.rfft(values - values.mean(), 2 * n)[k]).real)


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
        half = _student(n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
        return float(values.mean()) - half, float(values.mean()) + half
    tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * _student(n - 1))
    return _interval(values, n, _RESAMPLES_OF_FEW if n < 50 else _RESAMPLES, tail)


def told_over_seeds(n: int) -> str:
    """How ``over_seeds`` came to the interval of ``n`` values, where a reader has to know it; else empty."""
    return f"Student's t of {plural(n, 'pair')}" if 2 <= n < FEWEST_RESAMPLED else ""


def _student(freedom: int) -> float:
    """The 97.5% quantile of Student's t; for 4 degrees of freedom or more to within 0.01, by Cornish and Fisher's
    series (Abramowitz & Stegun 26.7.5)."""
    if freedom <= len(_T):
        return _T[freedom - 1]
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


_TAIL: Final = 0.025
_HALVINGS: Final = 60


@cache
def exact_interval(successes: int, runs: int) -> Interval:
    """The 95% interval of a rate, from the binomial distribution itself; it holds the rate in 95% of cases or more.

    Wilson's interval is narrower and holds a rate of 5% in 86% of samples of three.

    Source: Clopper & Pearson (1934).
    """
    low = 0.0 if successes == 0 else _root(lambda rate: _at_least(successes, runs, rate) < _TAIL)
    high = 1.0 if successes == runs else _root(lambda rate: _at_least(successes + 1, runs, rate) < 1 - _TAIL)
    return low, high


def difference_interval(baseline: int, treated: int, runs: int) -> Interval:
    """The 95% interval of the rate of ``treated`` successes less that of ``baseline``, each of ``runs``.

    It takes the runs of a pair for independent or alike; where they are alike (the same seed makes both succeed or both
    fail) it is wider than it would have to be.

    Source: Newcombe (1998), method 10, here with exact limits in place of Wilson's (Zou & Donner 2008).
    """
    before, after = baseline / runs, treated / runs
    (low_before, high_before), (low_after, high_after) = exact_interval(baseline, runs), exact_interval(treated, runs)
    gap = after - before
    return (
        gap - math.hypot(after - low_after, high_before - before),
        gap + math.hypot(high_after - after, before - low_before),
    )


def fisher_test(baseline: int, treated: int, runs: int) -> float:
    """The two-sided p value of two rates being the same, each of ``runs``, given how many succeeded in all.

    Source: Fisher (1935).
    """
    total = baseline + treated
    ways = [math.comb(runs, k) * math.comb(runs, total - k) for k in range(max(0, total - runs), min(runs, total) + 1)]
    seen = math.comb(runs, baseline) * math.comb(runs, treated)
    return sum(each for each in ways if each <= seen) / math.comb(2 * runs, total)


def _at_least(successes: int, runs: int, rate: float) -> float:
    """The chance of so many successes or more."""
    return sum(_chance(k, runs, rate) for k in range(successes, runs + 1))


def _chance(k: int, runs: int, rate: float) -> float:
    if rate in (0.0, 1.0):
        return float(k == runs * rate)
    ln_ways = math.lgamma(runs + 1) - math.lgamma(k + 1) - math.lgamma(runs - k + 1)
    return math.exp(ln_ways + k * math.log(rate) + (runs - k) * math.log1p(-rate))


def _root(below: Callable[[float], bool]) -> float:
    """Where ``below``, true for small rates, becomes false."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2
