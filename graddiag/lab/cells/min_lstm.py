"""minLSTM: f, i = sigmoid(W x_t); h_t = f / (f + i) h_{t-1} + i / (f + i) W_h x_t; biases left out here.

The gates do not read the state and sum to 1, so J_t = diag(f / (f + i)): a gradient can fade and never grows.

Source: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi (2024), Were RNNs all we needed?, section 3.2, sequential form.
"""

import torch
from torch import Tensor, nn

from graddiag.lab.cells.layers import State, StateCell


class MinLstm(StateCell):
    """See the top of this module."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.gates, self.candidate = nn.Linear(inputs, 2 * units), nn.Linear(inputs, units)

    def forward(self, x: Tensor, state: State) -> State:
        f, i = torch.sigmoid(self.gates(x)).chunk(2, dim=-1)
        return ((f * state[0] + i * self.candidate(x)) / (f + i),)

    def zeros(self, x: Tensor) -> State:
        return (x.new_zeros(len(x), self.units),)
