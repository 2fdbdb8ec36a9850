"""coRNN: coupled damped oscillators, positions y and velocities z.

    z_t = z_{t-1} + dt (tanh(W x_t + R z_{t-1} + Q y_{t-1} + b) - gamma y_{t-1} - epsilon z_{t-1})
    y_t = y_{t-1} + dt z_t

with dt = .042, gamma = 2.7, epsilon = 4.7, those of the source for sequential digits. By its proposition 3.2 a gradient
does not explode for small dt.

Source: Rusch & Mishra (2021), Coupled oscillatory recurrent neural network, equation 3 in its explicit form (n - 1).
"""

from typing import Final

import torch
from torch import Tensor, nn

from graddiag.lab.cells.layers import State, StateCell

DT: Final = 0.042
GAMMA: Final = 2.7
EPSILON: Final = 4.7


class CoRnn(StateCell):
    """See the top of this module. The state is (y, z)."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.force = nn.Linear(inputs + 2 * units, units)

    def forward(self, x: Tensor, state: State) -> State:
        y, z = state
        pushed = torch.tanh(self.force(torch.cat((x, z, y), dim=-1)))
        z = z + DT * (pushed - GAMMA * y - EPSILON * z)
        return y + DT * z, z

    def zeros(self, x: Tensor) -> State:
        zero = x.new_zeros(len(x), self.units)
        return zero, zero
