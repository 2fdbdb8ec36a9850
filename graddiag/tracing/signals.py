"""Signals: one number per timestep made from a trace, the columns of the tables ``timesteps`` and ``gates``.

Legend: T timesteps, N batch, H units; delta_t = dL/da_t at the recurrent side, G_t = delta_t^T h_{t-1}.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graddiag import schema
from graddiag.cells import CELLS
from graddiag.cells.activations import RELU_CAP, SATURATION, Bounds
from graddiag.cells.products import product
from graddiag.kinds import Nonlinearity
from graddiag.schema import TraceKey
from graddiag.tracing.device_transfer import Tree, map_tensors
from graddiag.tracing.norms import norm
from graddiag.tracing.trace import Trace

# entries of a temporary that ||G_t|| may take at once
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Signals:
    """The signals of one trace on its device. timesteps and gates: float64 [T] by column, NaN kept; missing: where a
    ``timesteps`` column has no value at all, by column, boolean [T]."""

    key: TraceKey
    timesteps: Mapping[str, Tensor]
    gates: Mapping[str, Mapping[str, Tensor]]
    missing: Mapping[str, Tensor]


def signals(trace: Trace) -> Signals:
    """All signals of a trace. Norms are L2 over batch and units together, in units of the loss, before clipping.

    Columns that the trace cannot give (no gradient reached it, no cell state) are left out.
    """
    real = trace.real()
    columns = {schema.H_RMS: _rms(trace.h, real)}
    missing: dict[str, Tensor] = {}
    if trace.c is not None:
        columns[schema.C_RMS] = _rms(trace.c, real)
    columns |= _handed_on(trace, missing)
    if trace.grad_h is not None and trace.grad_h_direct is None:
        by_sample = norm(trace.grad_h)
        columns |= {schema.GRAD_H: norm(by_sample), schema.GRAD_H_MAX: by_sample.amax(-1)}
    elif trace.grad_h is not None:
        columns |= _gradient_norms(trace) | _weight_contributions(trace)
        columns[schema.TRANSPORT_GAIN], missing[schema.TRANSPORT_GAIN] = transport_gain(trace)
        if trace.unclipped_h is not None:
            columns[schema.PASSED], missing[schema.PASSED] = transform_ratio(trace)
        missing |= _unsplit(trace, columns)
        missing[schema.GRAD_W_HH_COSINE] = columns[schema.GRAD_W_HH_COSINE].isnan() & (columns[schema.GRAD_W_HH] == 0)
    gates = {name: gate_statistics(gate, name, trace, real) for name, gate in trace.gates.items()}
    return Signals(trace.key, columns, gates, missing)


def _handed_on(trace: Trace, missing: dict[str, Tensor]) -> dict[str, Tensor]:
    """The columns about the state that goes from call to call, where they say something."""
    T, columns = len(trace.h), {}
    if trace.attached is not None and T:
        columns[schema.STATE_ATTACHED] = trace.h.new_full((T,), float(trace.attached), dtype=torch.float64)
        first = 0 if trace.direction == "forward" else T - 1
        missing[schema.STATE_ATTACHED] = torch.arange(T, device=trace.h.device) != first
    if trace.memory_ended is not None:
        columns[schema.MEMORY_ENDED] = trace.memory_ended
        missing[schema.MEMORY_ENDED] = torch.zeros_like(trace.memory_ended, dtype=torch.bool)
    return columns


def _unsplit(trace: Trace, columns: dict[str, Tensor]) -> dict[str, Tensor]:
    """Where the immediate gradient, and what came along the cell, are not known apart, by column, [T]."""
    if not trace.unsplit:
        return {}
    lost = torch.zeros(len(trace.h), dtype=torch.bool, device=trace.h.device)
    lost[torch.tensor(list(trace.unsplit), device=lost.device)] = True
    names = [name for name in (schema.GRAD_H_DIRECT, schema.GRAD_C_PATH) if name in columns]
    for name in names:
        columns[name] = torch.where(lost, torch.nan, columns[name])
    return dict.fromkeys(names, lost)


def _gradient_norms(trace: Trace) -> dict[str, Tensor]:
    assert trace.grad_h is not None
    assert trace.grad_h_direct is not None
    assert trace.grad_a is not None
    by_sample = norm(trace.grad_h)
    columns = {
        schema.GRAD_H: norm(by_sample),
        schema.GRAD_H_DIRECT: norm(norm(trace.grad_h_direct)),
        schema.GRAD_H_MAX: by_sample.amax(-1),
        schema.GRAD_A: norm(norm(trace.grad_a)),
    }
    if trace.grad_c is not None and trace.sent_c is not None:
        columns[schema.GRAD_C] = norm(norm(trace.grad_c))
        columns[schema.GRAD_C_PATH] = norm(norm(trace.arrived(trace.sent_c)))
    return columns


def transport_gain(trace: Trace) -> tuple[Tensor, Tensor]:
    """gain_t = ||J_t^T lambda_t|| / ||lambda_t||, [T], and where it has no value, [T]: no gradient reached it, or it is
    too small for the type (``underflowed``).

    lambda_t is all the gradient at the state s_t (h; (h, c) in an LSTM, with what reached c through h taken out), and
    J_t^T lambda_t is what t sends back to s_{t-1}, so the immediate gradient at t-1 has no part in it; nor has what
    a policy inside of back-propagation does to it, which ``transform_ratio`` has. Operations between two calls that the
    state goes through belong to J_t. Samples whose memory ends between t-1 and t are left out of both norms.

    Source: Pascanu, Mikolov & Bengio (2013), equation 5; for an LSTM on the full state (h, c).
    """
    assert trace.grad_h is not None
    arrived, sent = _size(trace.grad_h, None, trace.left_out), _sent(trace)
    if trace.sent_c is not None:
        at_c = trace.arrived(trace.sent_c)
        if trace.grad_c_direct is not None:
            at_c = at_c + trace.grad_c_direct
        arrived = torch.hypot(arrived, _size(at_c, None, trace.left_out))
    nothing = (arrived == 0) | underflowed(arrived, sent, trace.grad_h.dtype)
    if trace.gaps:
        nothing[torch.tensor(sorted(trace.gaps), device=nothing.device)] = True
    return torch.where(nothing, torch.nan, sent / arrived), nothing


def transform_ratio(trace: Trace) -> tuple[Tensor, Tensor]:
    """What a policy inside of back-propagation left of what t sends back, ||after|| / ||before||, [T], and where it has
    no value since nothing was sent, [T]. 0 is a cut."""
    assert trace.sent_h is not None
    before, after = _sent(trace), _size(trace.sent_h, trace.sent_c, trace.left_out)
    nothing = before < torch.finfo(trace.sent_h.dtype).tiny
    return torch.where(nothing, torch.nan, after / before), nothing


def _sent(trace: Trace) -> Tensor:
    """||J_t^T lambda_t||, [T]."""
    assert trace.sent_h is not None
    if trace.moved_h is not None:
        return _size(trace.moved_h, trace.moved_c, trace.left_out)
    if trace.unclipped_h is not None:
        return _size(trace.unclipped_h, trace.unclipped_c, trace.left_out)
    return _size(trace.sent_h, trace.sent_c, trace.left_out)


def _size(at_h: Tensor, at_c: Tensor | None, left_out: Tensor | None) -> Tensor:
    """L2 norm over the batch, without the samples that are left out, and over units, [T]."""
    by_sample = norm(at_h) if at_c is None else torch.hypot(norm(at_h), norm(at_c))
    return norm(by_sample if left_out is None else by_sample.masked_fill(left_out, 0))


def underflowed(arrived: Tensor, sent: Tensor, dtype: torch.dtype) -> Tensor:
    """Where a norm lies below the smallest normal number of ``dtype``, [T]: its entries have lost digits, and what they
    grow or shrink by is rounding. A zero that rounding may have made, of a gradient just above that, counts as well."""
    limits = torch.finfo(dtype)
    lost = (sent == 0) & (arrived < limits.tiny / limits.eps)
    return (arrived < limits.tiny) | ((sent > 0) & (sent < limits.tiny)) | lost


def _weight_contributions(trace: Trace) -> dict[str, Tensor]:
    """||G_t|| and the cosine between G_t and the sum of all G_t, [T] each; the cosine of a zero G_t is NaN."""
    assert trace.grad_a_hh is not None
    assert trace.grad_w_hh is not None
    delta, before = trace.grad_a_hh, trace.h_before
    total = trace.grad_w_hh
    largest = total.abs().amax()
    # in units of the largest entry, so that the digits of tiny gradients survive the product
    total = total / torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    along = (product(delta.flatten(0, 1), total).view_as(before) * before).sum((1, 2), dtype=torch.float64)
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


def gate_statistics(gate: Tensor, name: str, trace: Trace, real: Tensor | None) -> dict[str, Tensor]:
    """The statistics of one gate of a trace; see ``activation_statistics``."""
    return _statistics(gate, CELLS[trace.kind].saturation(name), real)


def activation_statistics(gate: Tensor, activation: Nonlinearity) -> dict[str, Tensor]:
    """Mean, standard deviation (over batch and units) and saturated shares of activations [T, N, H], [T] each."""
    return _statistics(gate, SATURATION[activation], None)


def saturation(gate: Tensor, name: str, trace: Trace) -> dict[str, Tensor]:
    """Which activations are saturated, by column SATURATED_LOW and SATURATED_HIGH, as 1 and 0 in the gate's dtype; a
    side that the gate does not have is left out."""
    return _saturated(gate, CELLS[trace.kind].saturation(name))


def _statistics(gate: Tensor, bounds: Bounds, real: Tensor | None) -> dict[str, Tensor]:
    """Mean, standard deviation (over batch and units) and saturated shares, [T] each, padding left out.

    Saturated: below .1 and above .9 for a sigmoid, below -.9 and above .9 for a tanh; a relu is low at 0 and has no
    high side but, truncated, its cap; the identity has neither.
    """
    mean = _mean(gate, real)
    centred = gate - mean.to(gate.dtype).view(-1, 1, 1)
    if real is not None:
        centred *= real.unsqueeze(-1)
    statistics = {schema.MEAN: mean, schema.STD: _rms(centred, real)}
    return statistics | {side: _mean(holds, real) for side, holds in _saturated(gate, bounds).items()}


def _saturated(gate: Tensor, bounds: Bounds) -> dict[str, Tensor]:
    low, high = bounds
    sides = {}
    if low is not None:
        sides[schema.SATURATED_LOW] = _holds(torch.le if low == 0 else torch.lt, gate, low)
    if high is not None:
        sides[schema.SATURATED_HIGH] = _holds(torch.ge if high == RELU_CAP else torch.gt, gate, high)
    return sides


def _rms(block: Tensor, real: Tensor | None) -> Tensor:
    count = block.shape[1] if real is None else real.sum(1)
    entries = torch.as_tensor(count * block.shape[2], dtype=torch.float64, device=block.device)
    return norm(norm(block)) / entries.sqrt()


def _mean(block: Tensor, real: Tensor | None) -> Tensor:
    """Mean over batch and units, [T, N, H] to float64 [T], of the real entries alone."""
    by_sample = block.sum(-1).double()
    if real is None:
        return by_sample.mean(-1) / block.shape[-1]
    return torch.where(real, by_sample, 0.0).sum(-1) / (real.sum(1) * block.shape[-1])


def _holds(compare: Callable[..., Tensor], gate: Tensor, bound: float) -> Tensor:
    """1 where ``compare(entry, bound)`` holds and 0 elsewhere, in the gate's dtype."""
    return compare(gate, bound, out=torch.empty_like(gate))


def unscaled(batch: Signals, scale: Tensor) -> Signals:
    """``batch`` of a loss that was multiplied by ``scale`` (0-dim), in units of the loss itself."""
    timesteps = {
        name: column / scale if schema.SIGNALS[name].scales_with_loss else column
        for name, column in batch.timesteps.items()
    }
    return replace(batch, timesteps=timesteps)


def as_tree(batch: Signals) -> Tree:
    """The tensors of ``batch`` for ``to_host``; ``from_tree`` puts them back."""
    return [batch.timesteps, batch.gates, batch.missing]


def from_tree(batch: Signals, tree: Tree) -> Signals:
    """``batch`` with the tensors that ``to_host`` brought."""
    timesteps, gates, missing = tree
    return Signals(batch.key, timesteps, gates, map_tensors(missing, Tensor.bool))
