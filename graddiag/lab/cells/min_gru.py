"""minGRU: z_t = sigmoid(W_z x_t), h_t = (1 - z_t) h_{t-1} + z_t W_h x_t; biases left out here.

The gate does not read the state, so J_t = diag(1 - z_t): a gradient can fade and never grows.

Source: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi (2024), Were RNNs all we needed?, section 3.1, sequential form.
"""

import torch
from torch import Tensor, nn

from graddiag.lab.cells.layers import State, StateCell


class MinGru(StateCell):
    """See the top of this module."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.gate, self.candidate = nn.Linear(inputs, units), nn.Linear(inputs, units)

    def forward(self, x: Tensor, state: State) -> State:
        z = torch.sigmoid(self.gate(x))
        return ((1 - z) * state[0] + z * self.candidate(x),)

    def zeros(self, x: Tensor) -> State:
        return (x.new_zeros(len(x), self.units),)
