"""Statistics of the gates at each timestep, the columns of the table ``gates``.

Legend: T timesteps, N batch, H units, G gates.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from graddiag import schema
from graddiag.cells import CELLS
from graddiag.cells.activations import RELU_CAP, SATURATION, Bounds
from graddiag.kernels import arrays, compiled
from graddiag.kinds import Nonlinearity
from graddiag.tracing.norms import norm
from graddiag.tracing.trace import Trace


def gate_statistics(trace: Trace) -> dict[str, dict[str, Tensor]]:
    """The statistics of every gate of a trace, by gate and column; see ``activation_statistics``."""
    real, bounds = trace.real(), {name: CELLS[trace.kind].saturation(name) for name in trace.gates}
    gates = list(trace.gates.values())
    kernels = compiled("signals", *gates) if all(_is_strict(each) for each in bounds.values()) else None
    if kernels is not None:
        return _compiled_statistics(kernels, gates, bounds, real)
    return {name: _statistics(gate, bounds[name], real) for name, gate in trace.gates.items()}


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
    statistics = {schema.MEAN: mean, schema.STD: norm(norm(centred)) / entries(gate, real).sqrt()}
    return statistics | {side: _mean(holds, real) for side, holds in _saturated(gate, bounds).items()}


def _saturated(gate: Tensor, bounds: Bounds) -> dict[str, Tensor]:
    low, high = bounds
    sides = {}
    if low is not None:
        sides[schema.SATURATED_LOW] = _holds(torch.le if low == 0 else torch.lt, gate, low)
    if high is not None:
        sides[schema.SATURATED_HIGH] = _holds(torch.ge if high == RELU_CAP else torch.gt, gate, high)
    return sides


def _mean(block: Tensor, real: Tensor | None) -> Tensor:
    """Mean over batch and units, [T, N, H] to float64 [T], of the real entries alone."""
    by_sample = block.sum(-1).double()
    return (by_sample if real is None else torch.where(real, by_sample, 0.0)).sum(-1) / entries(block, real)


def _holds(compare: Callable[..., Tensor], gate: Tensor, bound: float) -> Tensor:
    """1 where ``compare(entry, bound)`` holds and 0 elsewhere, in the gate's dtype."""
    return compare(gate, bound, out=torch.empty_like(gate))


def entries(block: Tensor, real: Tensor | None) -> Tensor:
    """How many entries of a block [T, N, S] are no padding, float64 [T], or 0-dim where all have as many."""
    count = block.shape[1] if real is None else real.sum(1)
    return torch.as_tensor(count * block.shape[2], dtype=torch.float64, device=block.device)


def _is_strict(bounds: Bounds) -> bool:
    """Whether it has both sides, and an activation at one is not yet saturated."""
    return None not in bounds and bounds[0] != 0


def _compiled_statistics(
    kernels: Any, gates: Sequence[Tensor], bounds: Mapping[str, Bounds], real: Tensor | None
) -> dict[str, dict[str, Tensor]]:
    T, N, _ = gates[0].shape
    if real is None:
        real = torch.ones(T, N, dtype=torch.bool)
    low, high = torch.tensor(list(bounds.values()), dtype=torch.float32).T
    found = torch.empty(T, len(gates), 4, dtype=torch.float64)
    kernels.gate_statistics(*arrays(_together(gates), real, low, high, found))
    columns = (schema.MEAN, schema.STD, schema.SATURATED_LOW, schema.SATURATED_HIGH)
    return {
        name: dict(zip(columns, by_column, strict=True))
        for name, by_column in zip(bounds, found.permute(1, 2, 0), strict=True)
    }


def _together(gates: Sequence[Tensor]) -> Tensor:
    """The gates [T, N, H] side by side, [T, N, G*H]: the block whose parts they are, or a copy."""
    first, (T, N, H) = gates[0], gates[0].shape
    stride = (N * len(gates) * H, len(gates) * H, 1)
    place, memory = first.storage_offset(), first.untyped_storage().data_ptr()
    for number, gate in enumerate(gates):
        apart = gate.storage_offset() != place + number * H or gate.untyped_storage().data_ptr() != memory
        if apart or gate.stride() != stride:
            return torch.cat(list(gates), dim=-1)
    return first.as_strided((T, N, len(gates) * H), stride)
