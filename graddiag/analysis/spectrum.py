"""What is made of traces and of modules, in memory: the part of the analyses that needs torch, imported by its name.

``graddiag.analysis`` does not import it, so a run is still read and judged where there is no torch. The results are
those of ``analysis.spectra`` and ``analysis.credit``, which the figures take.

Legend: T timesteps, N batch, D entries of the state (h, or h and c), k exponents, W windows. The walk is that of
``graddiag.cells.lyapunov``.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from graddiag.analysis.flow.credit import CreditMatrix, credit_values
from graddiag.analysis.flow.spectra import Lyapunov, WeightBlock, WeightSpectrum
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Source
from graddiag.analysis.words import gate_title, plural
from graddiag.cells.jacobian import jacobian
from graddiag.cells.lyapunov import LogGrowth, exponents, log_growth
from graddiag.errors import SettingError
from graddiag.tracing import Trace, capture
from graddiag.tracing.credit import credit, tangents_of
from graddiag.tracing.lyapunov import traversal_of
from graddiag.tracing.spectra import full_spectra

__all__ = ["credit_of", "lyapunov", "lyapunov_of", "spectra_of", "state_jacobians"]


def credit_of(trace: Trace, at: Sequence[int] | None = None, *, name: str = "trace") -> CreditMatrix:
    """||dL_s/dh_t|| of a captured layer, for the loss timesteps ``at``; all of them by default.

    One walk along time for all of them together. ``name`` is what the result is called in captions and legends.

    Raises:
        SettingError: a timestep of ``at`` is not one of the sequence.
        UnsupportedError: no gradient reached the layer, or its weights were changed before the trace was taken.
    """
    T = len(trace.h)
    chosen = np.unique(np.arange(T) if at is None else np.asarray(at, dtype=np.int64))
    if len(chosen) and (chosen[0] < 0 or chosen[-1] >= T):
        raise SettingError(f"credit_of(at={list(at or ())}): the sequence has timesteps 0 to {T - 1}.")
    with torch.no_grad():
        values = credit(trace, chosen.tolist()).cpu().numpy()
    selection = Selection(trace.module, trace.layer, trace.direction, trace.call)
    return credit_values(Source(name), selection, None, chosen, values)


def spectra_of(module: nn.Module, *, name: str = "module") -> tuple[WeightSpectrum, ...]:
    """Singular values and eigenvalues of every W_hh in ``module``, gate by gate; weights with NaN or inf left out."""
    by_weight: dict[str, list[WeightBlock]] = {}
    for (parameter, gate), found in full_spectra(module).items():
        values = np.zeros(0, dtype=complex) if found.eigenvalues is None else found.eigenvalues.cpu().numpy()
        block = WeightBlock(
            gate, gate_title(gate), found.singular.cpu().numpy(), values.real.copy(), values.imag.copy()
        )
        by_weight.setdefault(parameter, []).append(block)
    return tuple(
        WeightSpectrum(Source(name), parameter, None, tuple(blocks)) for parameter, blocks in by_weight.items()
    )


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
