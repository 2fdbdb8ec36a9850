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
from graddiag.tracing.norms import norm, rows_of
from graddiag.tracing.signals import Signals, activation_statistics, underflowed
from graddiag.tracing.snapshots import Snapshot

# a snapshot has a row for each entry of the state of a sample, or where there are more, for each index of dimension 1
MOST_UNITS: Final = 4096

_Parts = tuple[Tensor, ...]


def cell_signals(trace: CellTrace) -> Signals:
    """All signals of the calls of one sequence, [T] float64 each. Norms are L2 over batch and state, in units of the
    loss.

    h is the tensor ``first`` of the state and c all the others together. The transport gain is of the whole state.
    """
    steps, first = trace.steps, trace.first
    by_sample = [norm(rows_of(step.total[first])) for step in steps]
    columns = {
        schema.H_RMS: torch.stack([step.rms[first] for step in steps]),
        schema.GRAD_H: torch.stack([norm(each) for each in by_sample]),
        schema.GRAD_H_MAX: torch.stack([each.amax() for each in by_sample]),
    }
    missing: dict[str, Tensor] = {}
    unknown = _flags(steps, [step.immediate is None for step in steps])
    columns[schema.GRAD_H_DIRECT] = torch.stack(
        [_size(() if step.immediate is None else (step.immediate[first],), step) for step in steps]
    )
    missing[schema.GRAD_H_DIRECT] = unknown | ~_exact(steps, behind=True)
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
    gains, gaps = [], []
    for step in trace.steps:
        came = _by_sample((*step.outside, *step.past))
        sent = torch.full_like(came, torch.nan) if step.onward is None else _by_sample(step.onward)
        if step.given is not None and len(sent) == len(came):
            ended = (_by_sample(step.given) > 0) & (sent == 0)
            came = torch.where(ended, 0.0, came)
        before, after = norm(came), norm(sent)
        nothing = (before == 0) | underflowed(before, after, step.outside[0].dtype)
        gaps.append(nothing if step.onward is not None else torch.ones_like(nothing))
        gains.append(after / before)
    gap = torch.stack(gaps) | ~_exact(trace.steps)
    return torch.where(gap, torch.nan, torch.stack(gains)), gap


def cell_snapshot(trace: CellTrace) -> Snapshot | None:
    """What the tables ``snapshots`` and ``credit`` hold of a sequence; None where its states differ in size."""
    units = [_units(step.total[trace.first]) for step in trace.steps]
    if len({len(each) for each in units}) > 1:
        return None
    return Snapshot(trace.key, torch.stack(units), {}, trace.credit, trace.at, None)


def _of_the_others(trace: CellTrace) -> dict[str, Tensor]:
    """c: every tensor of the state but h, together."""
    others = [part for part in range(len(trace.steps[0].total)) if part != trace.first]
    sizes = [_entries(step, others) for step in trace.steps]
    rms = [
        torch.stack([step.rms[part] * step.total[part].numel() ** 0.5 for part in others]).norm() / size**0.5
        for step, size in zip(trace.steps, sizes, strict=True)
    ]
    path = [() if not step.came else tuple(step.came[part] for part in others) for step in trace.steps]
    columns = {
        schema.C_RMS: torch.stack(rms),
        schema.GRAD_C: torch.stack([_size([step.total[part] for part in others], step) for step in trace.steps]),
    }
    if all(step.came is not None for step in trace.steps):
        came = [_size(parts, step) for parts, step in zip(path, trace.steps, strict=True)]
        columns[schema.GRAD_C_PATH] = torch.stack(came).nan_to_num(0.0) if not all(path) else torch.stack(came)
    return columns


def _entries(step: CellStep, parts: Sequence[int]) -> int:
    return max(1, sum(step.total[part].numel() for part in parts))


def _size(parts: Sequence[Tensor], step: CellStep) -> Tensor:
    """The norm of several tensors together, 0-dim; NaN of none."""
    if not parts:
        return step.rms[0].new_full((), torch.nan)
    return norm(torch.stack([norm(norm(rows_of(part))) for part in parts]))


def _by_sample(parts: _Parts) -> Tensor:
    """The norm over all tensors of a state, [N]; where they differ in N, of everything, [1]."""
    rows = [norm(rows_of(part)) for part in parts]
    if len({len(each) for each in rows}) > 1:
        return norm(torch.stack([norm(each) for each in rows])).view(1)
    return norm(torch.stack(rows, dim=-1))


def _exact(steps: Sequence[CellStep], *, behind: bool = False) -> Tensor:
    """Where calling the cell again gave the same state, [T]. ``behind``: and where the call behind it did."""
    none = torch.zeros((), dtype=torch.bool, device=steps[0].total[0].device)
    found = torch.stack([none if step.exact is None else step.exact for step in steps])
    if behind:
        found = found & torch.cat((found[1:], torch.ones_like(found[:1])))
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
