"""The loops of the GRU that go element by element; equations and legend as in ``graddiag.cells.gru``."""

import numpy as np

from graddiag.kernels.elementary import ONE, sigmoid, tanh
from graddiag.kernels.jit import jit

Array = np.ndarray


@jit
def activate(a: Array, a_h: Array, q: Array) -> None:
    """One timestep: a^x_t [N, 3H] to its gates, in place, and q_t [N, H]. a_h: h_{t-1} W_hh^T + b_hh, [N, 3H]."""
    N, H = q.shape
    for n in range(N):
        r_z, r_z_h = a[n, : 2 * H], a_h[n, : 2 * H]
        for k in range(2 * H):
            r_z[k] = sigmoid(r_z[k] + r_z_h[k])
        r, new, q_n, new_h = r_z[:H], a[n, 2 * H :], q[n], a_h[n, 2 * H :]
        for k in range(H):
            new[k] = tanh(new[k] + r[k] * new_h[k])
            q_n[k] = new_h[k]


@jit
def scan(a: Array, a_h: Array, q: Array) -> None:
    """All timesteps: a and a_h [T, N, 3H], q [T, N, H]."""
    for t in range(len(q)):
        activate(a[t], a_h[t], q[t])


@jit
def step(t: int, a: Array, a_h: Array, q: Array, h0: Array, h: Array) -> None:
    """Timestep t of the forward pass: a_t to its gates, in place, q_t and h_t. a_h: [N, 3H], of this timestep."""
    activate(a[t], a_h, q[t])
    N, H = h0.shape
    for n in range(N):
        z, new, h_n = a[t, n, H : 2 * H], a[t, n, 2 * H :], h[t, n]
        before = h0[n] if t == 0 else h[t - 1, n]
        for k in range(H):
            h_n[k] = new[k] + z[k] * (before[k] - new[k])


@jit
def adjoint_step(
    t: int,
    gates: Array,
    q: Array,
    h0: Array,
    followed: Array,
    grad_h: Array,
    grad_a: Array,
    grad_a_hh: Array,
    sent_h: Array,
) -> None:
    """Timestep t of the adjoint, but for the product with W_hh: grad_h [T, N, H] holds l_t, and dh_t afterwards; sent_h
    gets dh_t z. followed: h as the timesteps behind start from it."""
    T, N, H = q.shape
    for n in range(N):
        r, z, new, q_n = gates[t, n, :H], gates[t, n, H : 2 * H], gates[t, n, 2 * H :], q[t, n]
        before = h0[n] if t == 0 else followed[t - 1, n]
        dh, delta, delta_hh, sent = grad_h[t, n], grad_a[t, n], grad_a_hh[t, n], sent_h[t, n]
        if t + 1 < T:
            for k in range(H):
                dh[k] += sent_h[t + 1, n, k]
        for k in range(H):
            for_n = dh[k] * (ONE - z[k]) * (ONE - new[k] * new[k])
            delta[2 * H + k] = for_n
            delta_hh[2 * H + k] = for_n * r[k]
        for k in range(H):
            for_z = dh[k] * (before[k] - new[k]) * (z[k] - z[k] * z[k])
            delta[H + k] = for_z
            delta_hh[H + k] = for_z
        for k in range(H):
            for_r = delta[2 * H + k] * q_n[k] * (r[k] - r[k] * r[k])
            delta[k] = for_r
            delta_hh[k] = for_r
        for k in range(H):
            sent[k] = dh[k] * z[k]


def warm_up() -> None:
    """Compiles every kernel for float32, or reads it from the cache."""
    a, h, h0 = np.zeros((1, 1, 3), np.float32), np.zeros((1, 1, 1), np.float32), np.zeros((1, 1), np.float32)
    scan(a, a, h)
    step(0, a, a[0], h, h0, h)
    adjoint_step(0, a, h, h0, h, h, a, a, h)
