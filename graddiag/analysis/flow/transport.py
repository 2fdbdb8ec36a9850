"""What the transport gains of a sequence multiply up to: how a gradient shrinks or grows on its way back through time.

Legend: S recorded steps, T timesteps in the order in which the layer ran (a reverse direction is turned round first).
gain_t = ||J_t^T lambda_t|| / ||lambda_t|| takes the gradient from t to t-1; the product of the gains at t1+1 ... t2 is
what a gradient is multiplied by from t2 back to t1. With a single loss at the end this is exact:
||lambda_t1|| = ||lambda_t2|| prod gain, since then nothing is added on the way.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.values import Floats

# a run stores norms as float32: one that is not 0 is at least the least of these, one that is not inf at most the most
FLOAT32_LEAST: Final = 2.0**-149
FLOAT32_NORMAL: Final = 2.0**-126  # the smallest normal number: below it digits are lost
FLOAT32_MOST: Final = float(np.finfo(np.float32).max)

# what the exponential of a logarithm can hold in float64
_LN_LEAST: Final = float(np.log(np.nextafter(0.0, 1.0)))
_LN_MOST: Final = float(np.log(np.finfo(np.float64).max))

# ln of a gain of exactly 0: far below anything that float64 can hold, and yet a number that sums keep
LN_ZERO: Final = -1000.0


def at_bounds(norms: Floats) -> NDArray[np.bool_]:
    """Which stored norms say no more than "at most" or "at least" this: those at the bounds of float32."""
    return np.asarray((norms == FLOAT32_LEAST) | (norms == FLOAT32_MOST))


def multiples(logs: Floats) -> Floats:
    """e to the power of ``logs``; what float64 cannot hold becomes the largest number that it can."""
    return np.asarray(np.exp(np.minimum(logs, _LN_MOST)))


def log_gains(gain: Floats) -> Floats:
    """ln gain, [S, T]: NaN where the gain is missing, NaN or inf, LN_ZERO where it is exactly 0."""
    usable = np.isfinite(gain) & (gain > 0)
    logs = np.log(np.where(usable, gain, 1.0))
    return np.where(usable, logs, np.where(gain == 0, LN_ZERO, np.nan))


def between_timesteps(gain: Floats, present: NDArray[np.bool_]) -> Floats:
    """The gains that lead from one timestep to another, [S, T]: that of the first timestep ``present`` in each sequence
    leads to the initial state, and becomes NaN."""
    kept = gain.copy()
    if kept.size:
        kept[np.arange(len(kept)), present.argmax(axis=1)] = np.nan
    return kept


def stretch(logs: Floats) -> Floats:
    """The largest product of gains over any stretch of a sequence, ln of it, [S]; -inf where no gain is known.

    A missing gain counts as 1: the stretch continues behind it.
    """
    path = np.cumsum(np.where(np.isnan(logs), 0.0, logs), axis=1)
    path = np.concatenate([np.zeros((len(path), 1)), path], axis=1)
    if path.shape[1] < 2:
        return np.full(len(logs), -np.inf)
    gained = path[:, 1:] - np.minimum.accumulate(path, axis=1)[:, :-1]
    return np.where(np.isnan(logs), -np.inf, gained).max(axis=1)


def max_amplification(total: Floats, direct: Floats) -> Floats:
    """ln of the largest total gradient of a sequence over the largest immediate one, [S]: how far it outgrows all that
    the loss puts in at once; -inf where either is not known, inf where one of them is beyond what float32 holds."""
    largest = [np.where(np.isfinite(each), each, 0.0).max(axis=1, initial=0.0) for each in (total, direct)]
    found = _log_ratio(largest[0], largest[1])
    return np.where(np.isfinite(found) & (at_bounds(largest[0]) | at_bounds(largest[1])), np.inf, found)


def touched_by_loss(direct: Floats, floor: float) -> NDArray[np.bool_]:
    """Where the loss reaches a timestep at once and not through time, [S, T]: its immediate gradient is at least
    ``floor`` of the largest one of the sequence."""
    size = np.where(np.isfinite(direct), direct, 0.0)
    largest = size.max(axis=1, initial=0.0, keepdims=True)
    return np.asarray((size > 0) & (size >= floor * largest))


def only_last(present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The last timestep ``present`` in each sequence, [S, T]: where a loss is taken to be if that was not recorded."""
    touched = np.zeros(present.shape, dtype=bool)
    if touched.size:
        last = present.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
        touched[np.arange(len(present)), last] = present.any(axis=1)
    return touched


def arrival(logs: Floats, total: Floats, touched: NDArray[np.bool_], ended: NDArray[np.bool_] | None = None) -> Floats:
    """ln of the smallest share of a loss's gradient that reaches a timestep, [S]; NaN where not known.

    Each timestep gets its gradient from the nearest later one that the loss touches, by the product of the gains in
    between; a timestep that the loss touches itself has all of it (ln 1 = 0). Where more is left than these gains
    give, since something was added on the way, or where one of them is not known, the ratio of ``total`` = ||dL/dh|| at
    both ends is taken instead; a total of exactly 0 at a timestep is a share of 0. Where a total is at the bounds of
    float32 the ratio says nothing, and the product of the gains is used alone if it is known. A total of exactly 0 at a
    timestep that is ``ended``, since every sample's memory ends behind it, is no share at all.
    """
    if not total.size:
        return np.full(len(total), np.nan)
    served = _next_touched(touched)
    reached = served < total.shape[1]
    at = np.minimum(served, total.shape[1] - 1)
    carried = np.where(_between(np.isnan(logs), at) > 0, -np.inf, _between(np.where(np.isnan(logs), 0.0, logs), at))
    at_loss = np.take_along_axis(total, at, axis=1)
    told = _log_ratio(total, at_loss)
    unbounded = np.where((at_bounds(total) | at_bounds(at_loss)) & np.isfinite(carried), -np.inf, told)
    share = np.maximum(carried, unbounded)
    # what is not 0 does not become so in float64 either
    share = np.where(total == 0, LN_ZERO, np.where(total > 0, np.maximum(share, _LN_LEAST), share))
    known = reached & np.isfinite(total)
    if ended is not None:
        known &= ~(ended & (total == 0))
    return np.where(known.any(axis=1), np.where(known, share, np.inf).min(axis=1), np.nan)


def ways_behind_cut(cut: NDArray[np.bool_], touched: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each timestep that a ``cut`` parts from the nearest later one that the loss touches the timesteps between
    the two, [S, T]: no gradient can reach it. 0 for all others."""
    if not cut.size:
        return np.zeros(cut.shape, dtype=np.int64)
    served = _next_touched(touched)
    at = np.minimum(served, cut.shape[1] - 1)
    parted = (served < cut.shape[1]) & (_between(cut, at) > 0)
    return np.asarray(np.where(parted, at - np.arange(cut.shape[1]), 0), dtype=np.int64)


def _between(terms: NDArray[np.generic], at: NDArray[np.int64]) -> Floats:
    """For each timestep t the sum of ``terms`` over t+1 ... at[t], [S, T]."""
    path = np.cumsum(terms, axis=1, dtype=np.float64)
    return np.asarray(np.take_along_axis(path, at, axis=1) - path)


def _next_touched(touched: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each timestep the index of the nearest touched one at or after it, [S, T]; T where there is none."""
    T = touched.shape[1]
    places = np.where(touched, np.arange(T), T)
    return np.asarray(np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1], dtype=np.int64)


def _log_ratio(numerator: Floats, denominator: Floats) -> Floats:
    usable = np.isfinite(numerator) & np.isfinite(denominator) & (numerator > 0) & (denominator > 0)
    logs = np.log(np.where(usable, numerator, 1.0)) - np.log(np.where(usable, denominator, 1.0))
    return np.where(usable, logs, -np.inf)
