"""State Jacobians and Lyapunov exponents of a captured layer, on the data that it was captured on.

Legend: T timesteps, N batch, D entries of the state (h, or h and c), k exponents, W windows.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from graddiag.analysis.selection import Selection
from graddiag.analysis.spectra import Lyapunov
from graddiag.analysis.values import Source
from graddiag.analysis.words import plural
from graddiag.cells.jacobian import Tangents, jacobian, push
from graddiag.errors import SettingError
from graddiag.tracing import Trace, capture
from graddiag.tracing.credit import tangents_of

_WINDOWS: Final = 4

# entries of Q that samples taken along together may have: 32 MiB
_CHUNK: Final = 1 << 22


def state_jacobians(trace: Trace) -> Tensor:
    """J_t = d s_t / d s_{t-1} of every timestep and sample, [T, N, D, D], in the trace's dtype, in order of the data.

    s is h, or h above c in an LSTM. The layer's input is held as it was. At padding it is 0.

    Raises:
        UnsupportedError: the layer's weights were changed before the trace was taken.
    """
    J, real = tangents_of(trace), trace.real()
    found = torch.stack([jacobian(J, t) for t in range(len(trace.h))])
    return found if real is None else found * real[:, :, None, None]


def lyapunov(
    trace: Trace,
    *,
    count: int | None = None,
    transient: int | None = None,
    windows: int | None = None,
    name: str = "trace",
) -> Lyapunov:
    """Finite-time Lyapunov exponents of a captured layer's state, per timestep, in nats: Q <- QR(J_t Q), float64.

    The way is that of the data, for each sample of the batch by itself; a layer above another has the other's output as
    its given input. No gradient is needed: a forward pass under ``capture`` is enough.

    Args:
        count: how many of the largest; all by default, from Q = I. Fewer start from random directions, always the same.
        transient: timesteps at the start that only turn Q; a tenth of the sequence by default.
        windows: how many parts of the way get exponents of their own; four by default, where there are as many
            timesteps.
        name: what the result is called in captions and legends.

    Note:
        A direction that one timestep takes to 0, or to below what float64 resolves beside the others, counts as -inf.
        A sample whose Jacobians hold NaN or inf has NaN, and so has the mean over samples; where all have, ``missing``
        says so.

    Raises:
        SettingError: ``count``, ``transient`` or ``windows`` out of range.
        UnsupportedError: the layer's weights were changed before the trace was taken.
    """
    T, N, _ = trace.h.shape
    transient = T // 10 if transient is None else transient
    windows = min(_WINDOWS, T) if windows is None else windows
    J = _in_float64(tangents_of(trace))
    k = J.size if count is None else count
    for asked, value, low, high in (
        ("count", k, 1, J.size),
        ("transient", transient, 0, T - 1),
        ("windows", windows, 1, T),
    ):
        if not low <= value <= high:
            raise SettingError(
                f"lyapunov({asked}={value}): with T={T} and D={J.size} it has to be from {low} to {high}."
            )
    windows = min(windows, T - transient)
    lengths = torch.full((N,), T) if trace.lengths is None else trace.lengths
    way = _Way(lengths.to(trace.h.device), trace.direction == "forward", transient, windows)
    rows = max(1, _CHUNK // (J.size * k))
    with torch.no_grad():
        parts = [_sums(J, way, k, some) for some in torch.arange(N, device=trace.h.device).split(rows)]
    total, counted = (torch.cat(part, 1).cpu().numpy() for part in zip(*parts, strict=True))
    selection = Selection(trace.module, trace.layer, trace.direction, trace.call)
    return _result(Source(name), selection, total, counted, (J.size, T - transient, transient))


def lyapunov_of(
    module: nn.RNNBase, x: Tensor, *, transient: int | None = None, name: str = "module"
) -> tuple[Lyapunov, ...]:
    """All exponents of every layer and direction of a recurrent module on its input x [T, N, I], from zero states.

    Each layer has as its input what the layers below made of x. Source and refusals are those of ``lyapunov``.
    """
    with torch.enable_grad(), capture(module) as cap:
        module(x.movedim(0, 1) if module.batch_first else x)
    return tuple(lyapunov(trace, transient=transient, name=name) for trace in cap.traces)


@dataclass(frozen=True)
class _Way:
    """How the timesteps are walked: lengths [N]; the first ``transient`` of each sequence count in no window."""

    lengths: Tensor
    forward: bool
    transient: int
    windows: int

    def windows_at(self, t: int, longest: int) -> Tensor:
        """The window of timestep t for each sample, [N]; -1 where it counts in none, -2 past the sequence's end."""
        after = (t if self.forward else self.lengths - 1 - t) - self.transient + torch.zeros_like(self.lengths)
        window = torch.where(after < 0, -1, after * self.windows // (longest - self.transient))
        return torch.where(t < self.lengths, window, -2)


def _sums(J: Tangents, way: _Way, k: int, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ln |R_ii| and how many they are, by window, for some samples: [W, n, k] and [W, n]."""
    J, way = _of_samples(J, samples), replace(way, lengths=way.lengths[samples])
    T, n, D = len(J.factors), len(samples), J.size
    Q = _start(D, k).to(J.factors).expand(n, D, k)
    total, counted = Q.new_zeros(way.windows, n, k), Q.new_zeros(way.windows, n)
    for t in range(T) if way.forward else range(T - 1, -1, -1):
        turned, logs = _turned(push(J, t, Q))
        window = way.windows_at(t, T)
        Q = torch.where((window > -2)[:, None, None], turned, Q)
        (counts,) = torch.where(window >= 0)
        total[window[counts], counts] += logs[counts]
        counted[window[counts], counts] += 1
    return total, counted


def _turned(stretched: Tensor) -> tuple[Tensor, Tensor]:
    """Q and ln |R_ii| of Q R = J_t Q; what is below the rounding of the whole is 0, whose ln is -inf; NaN stays."""
    finite = stretched.isfinite().flatten(1).all(1)
    Q, R = torch.linalg.qr(torch.where(finite[:, None, None], stretched, 0.0))
    size = R.diagonal(dim1=-2, dim2=-1).abs()
    noise = stretched.shape[-2] * torch.finfo(R.dtype).eps * torch.linalg.matrix_norm(R).unsqueeze(-1)
    logs = torch.where(size > noise, size.log(), -torch.inf)
    return Q, torch.where(finite[:, None], logs, torch.nan)


def _start(D: int, k: int) -> Tensor:
    """The directions at the start, [D, k], orthonormal."""
    if k == D:
        return torch.eye(D, dtype=torch.float64)
    drawn = torch.randn(D, k, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.linalg.qr(drawn).Q


def _result(
    source: Source, selection: Selection, total: np.ndarray, counted: np.ndarray, sizes: tuple[int, int, int]
) -> Lyapunov:
    """total [W, N, k] and counted [W, N] as means per timestep; samples that end within the transient are left out."""
    state, timesteps, transient = sizes
    by_sample = _means(total.sum(0), counted.sum(0))
    windows = np.array([_over_samples(_means(one, steps)) for one, steps in zip(total, counted, strict=True)])
    exponents = _over_samples(by_sample)
    missing = _what_is_missing(by_sample, selection, transient)
    return Lyapunov(source, selection, exponents, by_sample, windows, state, timesteps, transient, missing)


def _what_is_missing(by_sample: np.ndarray, selection: Selection, transient: int) -> str | None:
    if not len(by_sample):
        return f"No sequence of {selection.label} is longer than {plural(transient, 'timestep')}."
    if np.isnan(by_sample).any(axis=1).all():
        return f"The states of {selection.label} meet NaN or inf in every sample: they have no exponents."
    return None


def _means(total: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Sums [N, k] over so many timesteps [N] as means, the largest of a sample first; samples without one left out."""
    some = steps > 0
    return np.asarray(-np.sort(-(total[some] / steps[some, None]), axis=1))


def _over_samples(exponents: np.ndarray) -> np.ndarray:
    return exponents.mean(0) if len(exponents) else np.full(exponents.shape[1], np.nan)


def _in_float64(J: Tangents) -> Tangents:
    tensors = {name: None if value is None else value.double() for name, value in vars(J).items()}
    return replace(J, **tensors)  # type: ignore[arg-type]


def _of_samples(J: Tangents, samples: Tensor) -> Tangents:
    by_sample = {name: getattr(J, name) for name in ("factors", "keep", "through", "normed", "spread")}
    return replace(J, **{name: block[:, samples] for name, block in by_sample.items() if block is not None})
