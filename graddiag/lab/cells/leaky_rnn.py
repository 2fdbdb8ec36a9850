"""Leaky RNN: h_t = (1 - a) h_{t-1} + a tanh(W x_t + U h_{t-1} + b), a = .2, a time constant of 1 / a timesteps.

J_t = (1 - a) I + a diag(phi') U: what the leak keeps of a gradient fades by (1 - a)^k, whatever U is.

Source: Jaeger, Lukosevicius, Popovici & Siewert (2007), leaky-integrator units; as a discretized rate network, with a =
20 ms / 100 ms, Yang, Joglekar, Song, Newsome & Wang (2019).
"""

from typing import Final

import torch
from torch import Tensor, nn

from graddiag.lab.cells.layers import State, StateCell

LEAK: Final = 0.2


class LeakyRnn(StateCell):
    """See the top of this module."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.recurrent = nn.Linear(inputs + units, units)

    def forward(self, x: Tensor, state: State) -> State:
        (h,) = state
        return ((1 - LEAK) * h + LEAK * torch.tanh(self.recurrent(torch.cat((x, h), dim=-1))),)

    def zeros(self, x: Tensor) -> State:
        return (x.new_zeros(len(x), self.units),)
