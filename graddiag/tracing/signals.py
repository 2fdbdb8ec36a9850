"""Signals: one number per timestep made from a trace, the columns of the tables ``timesteps`` and ``gates``.

Legend: T timesteps, N batch, H units; delta_t = dL/da_t at the recurrent side, G_t = delta_t^T h_{t-1}.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from graddiag import schema
from graddiag.schema import TraceKey
from graddiag.tracing.contributions import weight_contributions
from graddiag.tracing.device_transfer import Tree, map_tensors
from graddiag.tracing.gate_statistics import entries, gate_statistics
from graddiag.tracing.norms import norm
from graddiag.tracing.trace import Trace

# norms of the whole state: of what reaches it, of what is sent back, and of what is left of that
_REACHING: Final = "reaching"
_SENT: Final = "sent"
_LEFT: Final = "left"


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
    by_sample, real = _sample_norms(trace), trace.real()
    columns = _over_samples(by_sample)
    of_state = [columns.pop(name, None) for name in (_REACHING, _SENT, _LEFT)]
    for name, block in ((schema.H_RMS, trace.h), (schema.C_RMS, trace.c)):
        if block is not None:
            columns[name] = columns[name] / entries(block, real).sqrt()
    missing: dict[str, Tensor] = {}
    columns |= _handed_on(trace, missing)
    if trace.grad_h is not None:
        columns[schema.GRAD_H_MAX] = by_sample[schema.GRAD_H].amax(-1)
    reaching, sent, left = of_state
    if reaching is not None and sent is not None:
        columns |= weight_contributions(trace)
        columns[schema.TRANSPORT_GAIN], missing[schema.TRANSPORT_GAIN] = transport_gain(trace, reaching, sent)
        if left is not None and trace.unclipped_h is not None:
            columns[schema.PASSED], missing[schema.PASSED] = transform_ratio(sent, left, trace.h.dtype)
        missing |= _unsplit(trace, columns)
        missing[schema.GRAD_W_HH_COSINE] = columns[schema.GRAD_W_HH_COSINE].isnan() & (columns[schema.GRAD_W_HH] == 0)
    return Signals(trace.key, columns, gate_statistics(trace), missing)


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


def _sample_norms(trace: Trace) -> dict[str, Tensor]:
    """L2 norms over units by column, [T, N] float64 each, and those that gains are made of (``_state_norms``)."""
    found = {schema.H_RMS: norm(trace.h)}
    if trace.c is not None:
        found[schema.C_RMS] = norm(trace.c)
    if trace.grad_h is not None:
        found[schema.GRAD_H] = norm(trace.grad_h)
    if trace.grad_h_direct is None or trace.grad_a is None:
        return found
    found |= {schema.GRAD_H_DIRECT: norm(trace.grad_h_direct), schema.GRAD_A: norm(trace.grad_a)}
    sent_c = None if trace.sent_c is None else norm(trace.sent_c)
    if trace.grad_c is not None and sent_c is not None:
        path = trace.arrived(sent_c.unsqueeze(-1)).squeeze(-1)
        found |= {schema.GRAD_C: norm(trace.grad_c), schema.GRAD_C_PATH: path}
    return found | _state_norms(trace, found, sent_c)


def _state_norms(trace: Trace, found: Mapping[str, Tensor], sent_c: Tensor | None) -> dict[str, Tensor]:
    """By sample, [T, N]: lambda_t, J_t^T lambda_t, and what a policy inside of back-propagation left of it."""
    assert trace.sent_h is not None
    arrived = found[schema.GRAD_H]
    if trace.sent_c is not None:
        at_c, direct = found[schema.GRAD_C_PATH], trace.grad_c_direct
        arrived = torch.hypot(arrived, at_c if direct is None else norm(trace.arrived(trace.sent_c) + direct))
    left = _together(norm(trace.sent_h), sent_c)
    sent = left
    if trace.moved_h is not None:
        sent = _together(norm(trace.moved_h), _norm(trace.moved_c))
    elif trace.unclipped_h is not None:
        sent = _together(norm(trace.unclipped_h), _norm(trace.unclipped_c))
    of_state = {_REACHING: arrived, _SENT: sent, _LEFT: left}
    left_out = trace.left_out
    return {name: each if left_out is None else each.masked_fill(left_out, 0) for name, each in of_state.items()}


def _over_samples(by_sample: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """L2 norms over the batch, [T] each, in one call."""
    return dict(zip(by_sample, norm(torch.stack(list(by_sample.values()))), strict=True))


def transport_gain(trace: Trace, reaching: Tensor, sent: Tensor) -> tuple[Tensor, Tensor]:
    """gain_t = ||J_t^T lambda_t|| / ||lambda_t||, [T], and where it has no value, [T]: no gradient reached it, or it is
    too small for the type (``underflowed``). reaching, sent: the two norms.

    lambda_t is all the gradient at the state s_t (h; (h, c) in an LSTM, with what reached c through h taken out), and
    J_t^T lambda_t is what t sends back to s_{t-1}, so the immediate gradient at t-1 has no part in it; nor has what
    a policy inside of back-propagation does to it, which ``transform_ratio`` has. Operations between two calls that the
    state goes through belong to J_t. Samples whose memory ends between t-1 and t are left out of both norms.

    Source: Pascanu, Mikolov & Bengio (2013), equation 5; for an LSTM on the full state (h, c).
    """
    nothing = (reaching == 0) | underflowed(reaching, sent, trace.h.dtype)
    if trace.gaps:
        nothing[torch.tensor(sorted(trace.gaps), device=nothing.device)] = True
    return torch.where(nothing, torch.nan, sent / reaching), nothing


def transform_ratio(before: Tensor, after: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What a policy inside of back-propagation left of what t sends back, ||after|| / ||before||, [T], and where it has
    no value since nothing was sent, [T]. 0 is a cut."""
    nothing = before < torch.finfo(dtype).tiny
    return torch.where(nothing, torch.nan, after / before), nothing


def _together(at_h: Tensor, at_c: Tensor | None) -> Tensor:
    return at_h if at_c is None else torch.hypot(at_h, at_c)


def _norm(block: Tensor | None) -> Tensor | None:
    return None if block is None else norm(block)


def underflowed(arrived: Tensor, sent: Tensor, dtype: torch.dtype) -> Tensor:
    """Where a norm lies below the smallest normal number of ``dtype``, [T]: its entries have lost digits, and what they
    grow or shrink by is rounding. A zero that rounding may have made, of a gradient just above that, counts as well."""
    limits = torch.finfo(dtype)
    lost = (sent == 0) & (arrived < limits.tiny / limits.eps)
    return (arrived < limits.tiny) | ((sent > 0) & (sent < limits.tiny)) | lost


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
