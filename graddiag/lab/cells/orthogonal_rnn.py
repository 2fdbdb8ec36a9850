"""Orthogonal RNN: h_t = modReLU(W x_t + U h_{t-1}), U orthogonal at every step of the training.

U is the matrix exponential of a skew-symmetric one, times an orthogonal matrix drawn at the start. modReLU(a) = sign(a)
max(|a| + b, 0) has slopes of 0 and 1, so a gradient never grows, and fades only where units are off.

Source: Lezcano-Casado & Martinez-Rubio (2019), expRNN, by ``torch.nn.utils.parametrizations.orthogonal``; Arjovsky,
Shah & Bengio (2016) for modReLU.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from graddiag.lab.cells.layers import State, StateCell

_BIAS: Final = 0.01


class OrthogonalRnn(StateCell):
    """See the top of this module."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(inputs, units, bias=False)
        self.recurrent = parametrizations.orthogonal(nn.Linear(units, units, bias=False))
        self.bias = nn.Parameter(torch.empty(units).uniform_(-_BIAS, _BIAS))

    def forward(self, x: Tensor, state: State) -> State:
        a = self.inputs(x) + self.recurrent(state[0])
        return (a.sign() * torch.relu(a.abs() + self.bias),)

    def zeros(self, x: Tensor) -> State:
        return (x.new_zeros(len(x), len(self.bias)),)
