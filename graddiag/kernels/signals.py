"""The sums behind the signals, in float64, of float32 blocks; legend as in ``graddiag.tracing.signals``."""

import numpy as np

from graddiag.kernels.elementary import ONE, ZERO
from graddiag.kernels.jit import jit

Array = np.ndarray

# entries of a row whose inner products with the others are taken while they are in the fastest cache
_STRETCH = 128


@jit
def sample_norms(block: Array, norms: Array) -> None:
    """L2 norm of each row: block [R, S] to norms [R]."""
    R, S = block.shape
    for r in range(R):
        row, total = block[r], 0.0
        for k in range(S):
            value = np.float64(row[k])
            total += value * value
        norms[r] = np.sqrt(total)


@jit
def gate_statistics(gates: Array, real: Array, low: Array, high: Array, statistics: Array) -> None:
    """Mean, standard deviation, share below ``low`` and above ``high`` over batch and units of each timestep and gate.

    gates [T, N, G*H], real [T, N] (False: padding), low and high [G] to statistics [T, G, 4].
    """
    T, N, _ = gates.shape
    G = len(low)
    H = gates.shape[2] // G
    for t in range(T):
        for gate in range(G):
            below, above, total, entries = 0.0, 0.0, 0.0, 0
            for n in range(N):
                if real[t, n]:
                    row = gates[t, n, gate * H : (gate + 1) * H]
                    entries += H
                    for k in range(H):
                        total += np.float64(row[k])
                    under = over = ZERO
                    for k in range(H):
                        under += ONE if row[k] < low[gate] else ZERO
                        over += ONE if row[k] > high[gate] else ZERO
                    below += float(under)
                    above += float(over)
            mean, squares = total / entries, 0.0
            for n in range(N):
                if real[t, n]:
                    row = gates[t, n, gate * H : (gate + 1) * H]
                    for k in range(H):
                        centred = np.float64(row[k]) - mean
                        squares += centred * centred
            statistics[t, gate, 0] = mean
            statistics[t, gate, 1] = np.sqrt(squares / entries)
            statistics[t, gate, 2] = below / entries
            statistics[t, gate, 3] = above / entries


@jit
def dots(left: Array, right: Array, found: Array) -> None:
    """sum of left * right over each row: [R, S] both to found [R]."""
    R, S = left.shape
    for r in range(R):
        a, b, total = left[r], right[r], 0.0
        for k in range(S):
            total += np.float64(a[k]) * np.float64(b[k])
        found[r] = total


@jit
def outer_norms(delta: Array, before: Array, norms: Array) -> None:
    """||delta_t^T before_t||: [T, N, A] and [T, N, B] to norms [T], as sum over n, m of (d_n . d_m)(b_n . b_m)."""
    T, N, _ = delta.shape
    even = N + N % 2
    of_d, of_b, part = np.empty((even, even)), np.empty((even, even)), np.zeros((even, _STRETCH))
    for t in range(T):
        _inner_products(delta[t], part, of_d)
        _inner_products(before[t], part, of_b)
        squares = 0.0
        for n in range(N):
            squares += of_d[n, n] * of_b[n, n]
            for m in range(n):
                squares += 2 * of_d[n, m] * of_b[n, m]
        norms[t] = 0.0 if squares < 0 else np.sqrt(squares)


@jit
def _inner_products(rows: Array, part: Array, found: Array) -> None:
    """rows_n . rows_m for m <= n: [N, S] to the lower half of found [N, N], or one row and column more where N is odd.

    They are taken from stretches that fit into the fastest cache, two rows with two others at a time. part: scratch.
    """
    N, S = rows.shape
    found[:] = 0
    for start in range(0, S, _STRETCH):
        width = min(_STRETCH, S - start)
        for n in range(N):
            row, copy = rows[n, start : start + width], part[n]
            for k in range(width):
                copy[k] = row[k]
        for n in range(0, len(found), 2):
            a, b = part[n, :width], part[n + 1, :width]
            for m in range(0, n + 1, 2):
                c, d = part[m, :width], part[m + 1, :width]
                ac = ad = bc = bd = 0.0
                for k in range(width):
                    ac += a[k] * c[k]
                    ad += a[k] * d[k]
                    bc += b[k] * c[k]
                    bd += b[k] * d[k]
                found[n, m] += ac
                found[n, m + 1] += ad
                found[n + 1, m] += bc
                found[n + 1, m + 1] += bd


def warm_up() -> None:
    """Compiles every kernel for float32, or reads it from the cache."""
    block, found = np.zeros((1, 1, 1), np.float32), np.zeros(1)
    sample_norms(block[0], found)
    dots(block[0], block[0], found)
    outer_norms(block, block, found)
    bounds = np.zeros(1, np.float32)
    gate_statistics(block, np.ones((1, 1), bool), bounds, bounds, np.zeros((1, 1, 4)))
