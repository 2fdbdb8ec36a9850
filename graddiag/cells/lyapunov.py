"""Lyapunov exponents of a layer's state along the trajectory of its data: Q <- QR(J_t Q), batched, in float64.

Legend as in ``graddiag.cells``; D entries of the state (h, or h and c), k exponents, W windows of the timesteps. Only k
directions are kept; J_t is applied to them and never built.

Source: Benettin et al. (1980); for trained recurrent nets Engelken, Wolf & Abbott (2023).
"""

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from graddiag.cells.jacobian import Tangents, push

# entries of Q that samples processed together may have: 32 MiB
_CHUNK: Final = 1 << 22


@dataclass(frozen=True)
class Traversal:
    """The order of timesteps, lengths [N], and which count: the first ``transient`` of a sequence are in no window."""

    lengths: Tensor
    forward: bool
    transient: int
    windows: int = 1

    def windows_at(self, t: int, longest: int) -> Tensor:
        """The window of timestep t for each sample, [N]; -1 where it counts in none, -2 past the sequence's end."""
        after = (t if self.forward else self.lengths - 1 - t) - self.transient + torch.zeros_like(self.lengths)
        window = torch.where(after < 0, -1, after * self.windows // (longest - self.transient))
        return torch.where(t < self.lengths, window, -2)


@dataclass(frozen=True)
class LogGrowth:
    """How k directions grew: total, sums of ln |R_ii| by window, [W, N, k], and counted, of how many timesteps, [W, N];
    float64."""

    total: Tensor
    counted: Tensor


@torch.no_grad()
def log_growth(J: Tangents, traversal: Traversal, k: int) -> LogGrowth:
    """The growth of the k largest directions of each sample; for k = D from Q = I, else from random directions, always
    the same. Samples are taken in blocks of bounded memory, and nothing waits for the device.

    A direction that one timestep takes to 0, or to below what float64 resolves beside the others, is -inf; a J_t that
    is not finite makes its sample NaN.
    """
    N = J.factors.shape[1]
    rows = max(1, _CHUNK // (J.size * k))
    blocks = torch.arange(N, device=J.factors.device).split(rows)
    parts = [
        _accumulate(_in_float64(J, some), replace(traversal, lengths=traversal.lengths[some]), k) for some in blocks
    ]
    return LogGrowth(torch.cat([part.total for part in parts], 1), torch.cat([part.counted for part in parts], 1))


def exponents(total: Tensor, counted: Tensor) -> Tensor:
    """Sums [N, k] over so many timesteps [N] as means per timestep, the largest of a sample first; samples without a
    timestep are left out. A synchronisation."""
    some = counted > 0
    return (total[some] / counted[some, None]).sort(dim=1, descending=True).values


def _accumulate(J: Tangents, traversal: Traversal, k: int) -> LogGrowth:
    T, n, D = len(J.factors), J.factors.shape[1], J.size
    Q = _start(D, k, J.factors.device).expand(n, D, k)
    total, counted = Q.new_zeros(traversal.windows, n, k), Q.new_zeros(traversal.windows, n)
    each = torch.arange(traversal.windows, device=Q.device).unsqueeze(1)
    for t in range(T) if traversal.forward else range(T - 1, -1, -1):
        rotated, logs = _qr_step(push(J, t, Q))
        window = traversal.windows_at(t, T)
        Q = torch.where((window > -2)[:, None, None], rotated, Q)
        inside = window == each
        total += torch.where(inside.unsqueeze(-1), logs, 0.0)
        counted += inside
    return LogGrowth(total, counted)


def _qr_step(pushed: Tensor) -> tuple[Tensor, Tensor]:
    """Q and ln |R_ii| of Q R = J_t Q; what is below the rounding of the whole is 0, whose ln is -inf; NaN stays."""
    finite = pushed.isfinite().flatten(1).all(1)
    Q, R = torch.linalg.qr(torch.where(finite[:, None, None], pushed, 0.0))
    size = R.diagonal(dim1=-2, dim2=-1).abs()
    noise = pushed.shape[-2] * torch.finfo(R.dtype).eps * torch.linalg.matrix_norm(R).unsqueeze(-1)
    logs = torch.where(size > noise, size.log(), -torch.inf)
    return Q, torch.where(finite[:, None], logs, torch.nan)


def _start(D: int, k: int, device: torch.device) -> Tensor:
    """The directions at the start, [D, k], orthonormal."""
    if k == D:
        return torch.eye(D, dtype=torch.float64, device=device)
    drawn = torch.randn(D, k, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.linalg.qr(drawn).Q.to(device, non_blocking=True)


def _in_float64(J: Tangents, samples: Tensor) -> Tangents:
    along = ("factors", "keep", "through", "normed", "spread")
    blocks = {name: block[:, samples].double() for name in along if (block := getattr(J, name)) is not None}
    w_hr = None if J.w_hr is None else J.w_hr.double()
    return replace(J, w_hh=J.w_hh.double(), w_hr=w_hr, **blocks)
