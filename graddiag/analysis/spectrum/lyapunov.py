"""State Jacobians and Lyapunov exponents of a captured layer, on the data that it was captured on.

Legend: T timesteps, N batch, D entries of the state (h, or h and c), k exponents, W windows. The walk is that of
``graddiag.cells.lyapunov``.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from graddiag.analysis.flow.spectra import Lyapunov
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Source
from graddiag.analysis.words import plural
from graddiag.cells.jacobian import jacobian
from graddiag.cells.lyapunov import LogGrowth, exponents, log_growth
from graddiag.errors import SettingError
from graddiag.tracing import Trace, capture
from graddiag.tracing.credit import tangents_of
from graddiag.tracing.lyapunov import traversal_of

_WINDOWS: Final = 4


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
        windows: how many parts of the way get separate exponents; four by default, where there are as many
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
    T = len(trace.h)
    transient = T // 10 if transient is None else transient
    windows = min(_WINDOWS, T) if windows is None else windows
    J = tangents_of(trace)
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
    found = log_growth(J, traversal_of(trace, transient, windows), k)
    selection = Selection(trace.module, trace.layer, trace.direction, trace.call)
    return _result(Source(name), selection, found, (J.size, T - transient, transient))


def lyapunov_of(
    module: nn.RNNBase, x: Tensor, *, transient: int | None = None, name: str = "module"
) -> tuple[Lyapunov, ...]:
    """All exponents of every layer and direction of a recurrent module on its input x [T, N, I], from zero states.

    Each layer has as its input what the layers below made of x. Source and refusals are those of ``lyapunov``.
    """
    with torch.enable_grad(), capture(module) as cap:
        module(x.movedim(0, 1) if module.batch_first else x)
    return tuple(lyapunov(trace, transient=transient, name=name) for trace in cap.traces)


def _result(source: Source, selection: Selection, found: LogGrowth, sizes: tuple[int, int, int]) -> Lyapunov:
    """Means per timestep, of samples and of windows; samples that end within the transient are left out."""
    state, timesteps, transient = sizes
    by_sample = exponents(found.total.sum(0), found.counted.sum(0)).cpu().numpy()
    each = (exponents(*window).cpu().numpy() for window in zip(found.total, found.counted, strict=True))
    windows = np.array([_over_samples(one) for one in each])
    mean, missing = _over_samples(by_sample), _what_is_missing(by_sample, selection, transient)
    return Lyapunov(source, selection, mean, by_sample, windows, state, timesteps, transient, missing)


def _what_is_missing(by_sample: np.ndarray, selection: Selection, transient: int) -> str | None:
    if not len(by_sample):
        return f"No sequence of {selection.label} is longer than {plural(transient, 'timestep')}."
    if np.isnan(by_sample).any(axis=1).all():
        return f"The states of {selection.label} meet NaN or inf in every sample: they have no exponents."
    return None


def _over_samples(exponents: np.ndarray) -> np.ndarray:
    return exponents.mean(0) if len(exponents) else np.full(exponents.shape[1], np.nan)
