"""The loops of the LSTM that go element by element; equations and legend as in ``graddiag.cells.lstm``."""

import numpy as np

from graddiag.kernels.elementary import ONE, sigmoid, tanh
from graddiag.kernels.jit import jit

Array = np.ndarray


@jit
def activate(a: Array, before: Array, c: Array) -> None:
    """One timestep: a_t [N, 4H] to its gates, in place, and c_t = f c_{t-1} + i g. before, c: [N, H]."""
    N, H = c.shape
    for n in range(N):
        i_f, g, o = a[n, : 2 * H], a[n, 2 * H : 3 * H], a[n, 3 * H :]
        for k in range(2 * H):
            i_f[k] = sigmoid(i_f[k])
        for k in range(H):
            g[k] = tanh(g[k])
        for k in range(H):
            o[k] = sigmoid(o[k])
        i, f, c_n, before_n = i_f[:H], i_f[H:], c[n], before[n]
        for k in range(H):
            c_n[k] = f[k] * before_n[k] + i[k] * g[k]


@jit
def scan(a: Array, a_h: Array, c0: Array, c: Array) -> None:
    """All timesteps: pre-activations a + a_h [T, N, 4H] to gates, in a, and c [T, N, H] from c0 [N, H]."""
    T, N, H = c.shape
    for t in range(T):
        for n in range(N):
            row, added = a[t, n], a_h[t, n]
            for k in range(4 * H):
                row[k] += added[k]
        activate(a[t], c0 if t == 0 else c[t - 1], c[t])


@jit
def step(t: int, a: Array, c0: Array, c: Array, h: Array) -> None:
    """Timestep t of the forward pass: a_t [N, 4H] to gates, in place, c_t and h_t = o tanh(c_t)."""
    activate(a[t], c0 if t == 0 else c[t - 1], c[t])
    N, H = c0.shape
    for n in range(N):
        o, c_n, h_n = a[t, n, 3 * H :], c[t, n], h[t, n]
        for k in range(H):
            h_n[k] = o[k] * tanh(c_n[k])


@jit
def adjoint_step(
    t: int,
    gates: Array,
    c: Array,
    c0: Array,
    followed: Array,
    direct_c: Array,
    grad_h: Array,
    grad_c: Array,
    grad_a: Array,
    sent_h: Array,
    sent_c: Array,
) -> None:
    """Timestep t of the adjoint, up to what it sends back to h: grad_h [T, N, H] holds l_t, and dh_t afterwards.

    followed: c as the timesteps behind start from it. direct_c: [T, N, H], or [0, N, H] without one.
    """
    T, N, H = c.shape
    for n in range(N):
        i, f, g, o = gates[t, n, :H], gates[t, n, H : 2 * H], gates[t, n, 2 * H : 3 * H], gates[t, n, 3 * H :]
        before = c0[n] if t == 0 else followed[t - 1, n]
        dh, dc, delta, sent = grad_h[t, n], grad_c[t, n], grad_a[t, n], sent_c[t, n]
        if t + 1 < T:
            for k in range(H):
                dh[k] += sent_h[t + 1, n, k]
        for k in range(H):
            tanh_c = tanh(c[t, n, k])
            delta[3 * H + k] = dh[k] * tanh_c * (o[k] - o[k] * o[k])
            dc[k] = dh[k] * o[k] * (ONE - tanh_c * tanh_c)
        if t + 1 < T:
            for k in range(H):
                dc[k] += sent_c[t + 1, n, k]
        if len(direct_c):
            for k in range(H):
                dc[k] += direct_c[t, n, k]
        for k in range(H):
            delta[k] = dc[k] * g[k] * (i[k] - i[k] * i[k])
        for k in range(H):
            delta[H + k] = dc[k] * before[k] * (f[k] - f[k] * f[k])
        for k in range(H):
            delta[2 * H + k] = dc[k] * i[k] * (ONE - g[k] * g[k])
        for k in range(H):
            sent[k] = dc[k] * f[k]


def warm_up() -> None:
    """Compiles every kernel for float32, or reads it from the cache."""
    a, h, c0 = np.zeros((1, 1, 4), np.float32), np.zeros((1, 1, 1), np.float32), np.zeros((1, 1), np.float32)
    scan(a, a, c0, h)
    step(0, a, c0, h, h)
    adjoint_step(0, a, h, c0, h, h, h, h, a, h, h)
