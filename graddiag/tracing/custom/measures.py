"""Signals and snapshots of followed cells: the same columns as those of torch's layers, as far as a cell has them.

Legend: T timesteps, N batch, S entries of a state of one sample, K loss timesteps. Samples of different calls may
differ in number.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from graddiag import schema
from graddiag.tracing.custom.sequence import CellStep, CellTrace
from graddiag.tracing.differences import difference
from graddiag.tracing.gate_statistics import activation_statistics
from graddiag.tracing.norms import norm, rows_of
from graddiag.tracing.signals import Signals, underflowed
from graddiag.tracing.snapshots import Snapshot

# a snapshot has a row for each entry of the state of a sample, or where there are more, for each index of dimension 1
MOST_UNITS: Final = 4096

_Parts = Sequence[Tensor]


def cell_signals(trace: CellTrace) -> Signals:
    """All signals of the calls of one sequence, [T] float64 each. Norms are L2 over batch and state, in units of the
    loss.

    h is the tensor ``first`` of the state and c all the others together. The transport gain is of the whole state.
    """
    steps, first = trace.steps, trace.first
    by_sample = _by_sample([(step.total[first],) for step in steps])
    columns = {
        schema.H_RMS: _rms(steps, [first]),
        schema.GRAD_H: norm(by_sample),
        schema.GRAD_H_MAX: by_sample.amax(1),
    }
    missing: dict[str, Tensor] = {}
    columns[schema.GRAD_H_DIRECT], missing[schema.GRAD_H_DIRECT] = _immediate(trace)
    if len(steps[0].total) > 1:
        columns |= _of_the_others(trace)
    columns[schema.TRANSPORT_GAIN], missing[schema.TRANSPORT_GAIN] = cell_gain(trace)
    gates = {name: activation_statistics(_blocks(values), kind) for name, (values, kind) in trace.gates.items()}
    return Signals(trace.key, columns, gates, missing)


def cell_gain(trace: CellTrace) -> tuple[Tensor, Tensor]:
    """gain_t = ||what t sends back|| / ||what reaches the state at t||, [T], and where it has no value, [T].

    Both are of the whole state: lambda_t together with what goes past call t, and J_t^T lambda_t through whatever lies
    between the calls. Samples whose memory ends there, as at the end of an episode, are left out of both.
    """
    steps = trace.steps
    came, sent = _by_sample([(*s.outside, *s.past) for s in steps]), _by_sample([s.onward or () for s in steps])
    given = _by_sample([s.given or () for s in steps])
    if came.shape == sent.shape == given.shape:
        came = torch.where((given > 0) & (sent == 0), 0.0, came)
    before, after = norm(came), norm(sent)
    gap = (before == 0) | underflowed(before, after, steps[0].outside[0].dtype) | ~trace.exact
    gap |= _flags(steps, [step.onward is None for step in steps])
    return torch.where(gap, torch.nan, after / before), gap


def cell_snapshot(trace: CellTrace) -> Snapshot | None:
    """What the tables ``snapshots`` and ``credit`` hold of a sequence; None where its states differ in size."""
    units = [_units(step.total[trace.first]) for step in trace.steps]
    if len({len(each) for each in units}) > 1:
        return None
    return Snapshot(trace.key, torch.stack(units), {}, trace.credit, trace.at, None)


def _immediate(trace: CellTrace) -> tuple[Tensor, Tensor]:
    """The norm of lambda_t less what call t + 1 has sent, of h, [T], and where that is not known, [T]."""
    steps, first = trace.steps, trace.first
    outside = [step.outside[first] for step in steps]
    came = [
        step.came[first] if step.came else torch.zeros_like(each) for step, each in zip(steps, outside, strict=True)
    ]
    if len({each.shape for each in outside}) == 1:
        rest = [difference(_blocks(outside), _blocks(came))]
        sizes = norm(norm(rest[0]))
    else:
        rest = [difference(rows_of(one), rows_of(other)) for one, other in zip(outside, came, strict=True)]
        sizes = torch.stack([norm(norm(each)) for each in rest])
    unknown = _flags(steps, [step.came is None for step in steps])
    # what was sent is that of the call behind, if there is one
    exact = torch.cat((trace.exact[1:], torch.ones_like(trace.exact[:1])))
    return sizes, unknown | ~exact


def _came(step: CellStep, part: int) -> Tensor:
    """What the next call sent to one tensor of the state; 0 where there is none."""
    return step.came[part] if step.came else torch.zeros_like(step.outside[part])


def _of_the_others(trace: CellTrace) -> dict[str, Tensor]:
    """c: every tensor of the state but h, together."""
    steps = trace.steps
    others = [part for part in range(len(steps[0].total)) if part != trace.first]
    columns = {
        schema.C_RMS: _rms(steps, others),
        schema.GRAD_C: norm(_by_sample([[step.total[part] for part in others] for step in steps])),
    }
    if all(step.came is not None for step in steps):
        came = [[_came(step, part) for part in others] for step in steps]
        columns[schema.GRAD_C_PATH] = norm(_by_sample(came))
    return columns


def _rms(steps: Sequence[CellStep], parts: Sequence[int]) -> Tensor:
    """Of some tensors of the state together, [T]."""
    states = [[step.states[part] for part in parts] for step in steps]
    entries = [max(1, sum(rows_of(each).numel() for each in state)) for state in states]
    return norm(_by_sample(states)) / torch.tensor(entries, dtype=torch.float64, device=states[0][0].device).sqrt()


def _by_sample(parts: Sequence[_Parts]) -> Tensor:
    """The norm of several tensors together at each timestep, [T, N] float64: of [T] sequences of tensors [N, ...].

    Where timesteps differ in samples, 0 fills up; so it does for a timestep without any tensor.
    """
    shapes = {tuple(each.shape for each in one) for one in parts}
    if len(shapes) == 1 and shapes != {()} and len({len(rows_of(each)) for each in parts[0]}) == 1:
        return norm(torch.stack([norm(_blocks(each)) for each in zip(*parts, strict=True)], dim=-1))
    rows = [[norm(rows_of(each)) for each in one] for one in parts]
    widest = max((len(each) for row in rows for each in row), default=1)
    device = next((each.device for row in rows for each in row), None)
    found = torch.zeros(len(parts), widest, dtype=torch.float64, device=device)
    for t, row in enumerate(rows):
        for each in row:
            found[t, : len(each)] = torch.hypot(found[t, : len(each)], each)
    return found


def _flags(steps: Sequence[CellStep], values: Sequence[bool]) -> Tensor:
    return torch.tensor(values, device=steps[0].total[0].device)


def _blocks(values: Sequence[Tensor]) -> Tensor:
    """[T, N, S] of T tensors [N, ...]."""
    return torch.stack([rows_of(each) for each in values])


def _units(total: Tensor) -> Tensor:
    """L2 over the batch of each entry of the state, or of each index of dimension 1 where there are too many."""
    rows = rows_of(total)
    if rows.shape[1] > MOST_UNITS and total.dim() > 2:
        rows = rows_of(total.transpose(0, 1)).T.contiguous()
        return norm(rows.T)
    return norm(rows.T)
