"""Snapshots: a layer at one step unit by unit, its credit matrix and its leading Lyapunov exponents; the tables
``snapshots`` and ``credit``.

Legend: T timesteps, N batch, H units, P size of h, K loss timesteps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graddiag import schema
from graddiag.cells.lyapunov import LogGrowth
from graddiag.schema import TraceKey
from graddiag.tracing.credit import credit, loss_timesteps
from graddiag.tracing.device_transfer import Tree
from graddiag.tracing.gate_statistics import saturation
from graddiag.tracing.lyapunov import leading_growth
from graddiag.tracing.norms import norm
from graddiag.tracing.trace import Trace


@dataclass(frozen=True)
class Snapshot:
    """One trace by timestep and unit, float64 on its device.

    grad_h: [T, P], L2 over the batch; gates: by column of ``snapshots``, [T, H], over the real entries of the batch;
    credit: [K, T] or None where the layer's derivatives are gone; at: the K loss timesteps. growth: how the leading
    directions of the state grew; None likewise.
    """

    key: TraceKey
    grad_h: Tensor
    gates: Mapping[str, Tensor]
    credit: Tensor | None
    at: tuple[int, ...]
    growth: LogGrowth | None


def snapshot(trace: Trace) -> Snapshot:
    """What the tables ``snapshots``, ``credit`` and ``lyapunov`` hold of a trace that a gradient has reached.

    Gradients are in units of the loss, before clipping. Padding has no part in a mean, a share or a norm.
    """
    assert trace.grad_h is not None
    real = trace.real()
    gates: dict[str, Tensor] = {}
    for name, gate in trace.gates.items():
        gates[schema.gate_column(schema.ACTIVATION, name)] = _mean(gate, real)
        for measure, holds in saturation(gate, name, trace).items():
            gates[schema.gate_column(measure, name)] = _mean(holds, real)
    at = loss_timesteps(len(trace.h), trace.direction)
    matrix = credit(trace, at) if trace.has_derivatives and trace.grad_h_direct is not None else None
    return Snapshot(trace.key, norm(trace.grad_h.transpose(1, 2)), gates, matrix, at, leading_growth(trace))


def unscaled_snapshot(taken: Snapshot, scale: Tensor) -> Snapshot:
    """``taken`` of a loss that was multiplied by ``scale`` (0-dim), in the loss's own units; exponents have none."""
    credit = None if taken.credit is None else taken.credit / scale
    return replace(taken, grad_h=taken.grad_h / scale, credit=credit)


def snapshot_tree(taken: Snapshot) -> Tree:
    """The tensors of ``taken`` for ``to_host``; ``snapshot_from`` puts them back."""
    growth = None if taken.growth is None else [taken.growth.total, taken.growth.counted]
    return [taken.grad_h, taken.gates, taken.credit, growth]


def snapshot_from(taken: Snapshot, tree: Tree) -> Snapshot:
    """``taken`` with the tensors that ``to_host`` brought."""
    grad_h, gates, credit, growth = tree
    return Snapshot(taken.key, grad_h, gates, credit, taken.at, None if growth is None else LogGrowth(*growth))


def _mean(block: Tensor, real: Tensor | None) -> Tensor:
    """Mean over the batch, [T, N, H] to float64 [T, H], of the real entries alone."""
    if real is None:
        return block.mean(1, dtype=torch.float64)
    count = real.sum(1, dtype=torch.float64).unsqueeze(-1)
    return block.masked_fill(~real.unsqueeze(-1), 0).sum(1, dtype=torch.float64) / count
