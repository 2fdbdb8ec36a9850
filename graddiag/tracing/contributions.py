"""What each timestep adds to the gradient of the recurrent weight: its norm, and its cosine with the sum.

Legend: T timesteps, N batch; delta_t = dL/da_t at the recurrent side, G_t = delta_t^T h_{t-1}.
"""

import torch
from torch import Tensor

from graddiag import schema
from graddiag.cells.products import product
from graddiag.kernels import arrays, compiled
from graddiag.tracing.norms import norm
from graddiag.tracing.trace import Trace

# entries of a temporary that ||G_t|| may take at once
_CHUNK = 1 << 18


def weight_contributions(trace: Trace) -> dict[str, Tensor]:
    """||G_t|| and the cosine between G_t and the sum of all G_t, [T] each; the cosine of a zero G_t is NaN."""
    assert trace.grad_a_hh is not None
    assert trace.grad_w_hh is not None
    delta, before = trace.grad_a_hh, trace.h_before
    total = trace.grad_w_hh
    largest = torch.linalg.vector_norm(total, torch.inf)
    # in units of the largest entry, so that the digits of tiny gradients survive the product
    total = total / torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    along = _dots(product(delta.flatten(0, 1), total).view_as(before), before)
    length = _outer_norms(delta, before)
    cosine = along / (length * norm(norm(total)))
    return {schema.GRAD_W_HH: length, schema.GRAD_W_HH_COSINE: cosine.clamp(-1, 1)}


def _outer_norms(delta: Tensor, before: Tensor) -> Tensor:
    """||delta_t^T before_t||_F for every t, [T] float64, by whichever product is smaller.

    ||D^T B||^2 = sum_{n,m} (d_n . d_m)(b_n . b_m) needs N x N inner products instead of a matrix the size of W_hh.
    Squares of float32 cannot underflow in float64; float64 is scaled first.
    """
    T, N, A = delta.shape
    B = before.shape[-1]
    kernels = compiled("signals", delta, before) if N * (A + B) < 2 * A * B else None
    if kernels is not None:
        norms = delta.new_empty(T, dtype=torch.float64)
        kernels.outer_norms(*arrays(delta, before, norms))
        return norms
    gram = delta.dtype != torch.float64 and N * (A + B) < A * B
    rows = max(1, _CHUNK // max(1, N * (A + B) if gram else A * B))
    parts = []
    for start in range(0, T, rows):
        d, b = delta[start : start + rows], before[start : start + rows].double()
        largest = d.abs().amax((1, 2)).double() if d.dtype == torch.float64 else d.new_ones(len(d), dtype=torch.float64)
        scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
        d = d.double() if d.dtype != torch.float64 else d / scale.view(-1, 1, 1)
        squares = ((d @ d.mT) * (b @ b.mT)).sum((1, 2)).clamp(min=0) if gram else (d.mT @ b).square().sum((1, 2))
        parts.append(squares.sqrt() * scale)
    return torch.cat(parts) if parts else delta.new_zeros(0, dtype=torch.float64)


def _dots(left: Tensor, right: Tensor) -> Tensor:
    """sum of left * right over batch and units, [T, N, S] both to float64 [T]."""
    kernels = compiled("signals", left, right)
    if kernels is None:
        return (left * right).sum((1, 2), dtype=torch.float64)
    found = left.new_empty(len(left), dtype=torch.float64)
    kernels.dots(*arrays(left.flatten(1), right.flatten(1), found))
    return found
