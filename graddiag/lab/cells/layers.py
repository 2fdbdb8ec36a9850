"""What a cell of the lab is, and layers of such cells over a sequence."""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from graddiag.lab.networks import NetworkKind

State = tuple[Tensor, ...]


class StateCell(nn.Module, ABC):
    """One timestep of a recurrent network: from an input and a state to the next state."""

    @abstractmethod
    def forward(self, x: Tensor, state: State) -> State:
        """The state after the input x [N, I], shaped as ``state``: each [N, ...], what is read out first."""

    @abstractmethod
    def zeros(self, x: Tensor) -> State:
        """The state that a sequence begins with; x [N, I]."""

    def read_out(self, state: State, x: Tensor) -> Tensor:
        """What the layer answers, [N, H]: the first part of the state."""
        return state[0]


def cell(kind: NetworkKind, inputs: int, units: int) -> StateCell:
    """A cell of so many units; its parameters are drawn from torch's global generator."""
    module, _, name = kind.implementation.partition(":")
    made: StateCell = getattr(import_module(f"graddiag.lab.cells.{module}"), name)(inputs, units)
    return made


class CellLayers(nn.Module):
    """A stack of cells over a sequence, called as torch's layers are; parameters are cached within a call.

    Args:
        dropout: share dropped of what a layer hands to the next one.
    """

    def __init__(self, kind: NetworkKind, inputs: int, units: int, num_layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = (inputs, *(units,) * (num_layers - 1))
        self.cells = nn.ModuleList(cell(kind, size, units) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Answers of the last layer [T, N, H], and the state after the last timestep, each part [layers, N, ...]."""
        finals: list[State] = []
        with parametrize.cached():
            for layer, each in enumerate(self.cells):
                start = None if state is None else tuple(part[layer] for part in state)
                x, final = _over_time(cast(StateCell, each), self.dropout(x) if layer else x, start)
                finals.append(final)
        return x, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))


def _over_time(step: StateCell, x: Tensor, state: State | None) -> tuple[Tensor, State]:
    now = step.zeros(x[0]) if state is None else state
    answers = []
    for x_t in x:
        now = step(x_t, now)
        answers.append(step.read_out(now, x_t))
    return torch.stack(answers), now
