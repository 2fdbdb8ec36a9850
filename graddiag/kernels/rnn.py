"""The loops of the RNN that go element by element; equations and legend as in ``graddiag.cells.rnn``."""

import numpy as np

from graddiag.kernels.elementary import ONE, tanh
from graddiag.kernels.jit import jit

Array = np.ndarray


@jit
def activate_tanh(h: Array) -> None:
    """tanh of pre-activations [N, H], in place."""
    N, H = h.shape
    for n in range(N):
        row = h[n]
        for k in range(H):
            row[k] = tanh(row[k])


@jit
def adjoint_step_tanh(t: int, h: Array, grad_h: Array, grad_a: Array, sent_h: Array) -> None:
    """Timestep t of the adjoint with tanh, up to what it sends back: grad_h holds l_t, and then dh_t. [T, N, H]."""
    T, N, H = h.shape
    for n in range(N):
        dh, h_n, delta = grad_h[t, n], h[t, n], grad_a[t, n]
        if t + 1 < T:
            sent = sent_h[t + 1, n]
            for k in range(H):
                dh[k] += sent[k]
        for k in range(H):
            delta[k] = dh[k] * (ONE - h_n[k] * h_n[k])


def warm_up() -> None:
    """Compiles every kernel for float32, or reads it from the cache."""
    h = np.zeros((1, 1, 1), np.float32)
    activate_tanh(h[0])
    adjoint_step_tanh(0, h, h, h, h)
