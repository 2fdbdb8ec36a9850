"""Unitary RNN: h_t = modReLU(V x_t + U h_{t-1}), complex, U unitary at every step of the training.

U is a unitary matrix drawn at the start times the matrix exponential of a skew-Hermitian one, so that it can become
every unitary matrix; its parameters are real, and U is kept as a real and an imaginary part, [2, H, H].
modReLU(z) = z / |z| max(|z| + b, 0) keeps the phase. Along z its slope is 1, across it 1 + b / |z|: a gradient does not
grow where b <= 0 for all units, and can grow where b > 0 and |z| is small. The layer answers W [Re h_t, Im h_t] + b,
with H numbers.

Source: Arjovsky, Shah & Bengio (2016), Unitary evolution recurrent neural networks, equations 6 and 8, with biases of
modReLU from U(-.01, .01) and Glorot's V as in their code, and a state of 0 at the start; there U is a product of seven
structured matrices. That it can be every unitary matrix is of Wisdom, Powers, Hershey, Le Roux & Atlas (2016), the
exponential of Lezcano-Casado & Martinez-Rubio (2019).
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from graddiag.lab.cells.layers import State, StateCell

_BIAS: Final = 0.01


class Unitary(nn.Module):
    """A parametrization: from real numbers [2, H, H] to the real and imaginary part of a unitary matrix, [2, H, H];
    0 gives one drawn from the uniform distribution."""

    start: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        drawn, triangle = torch.linalg.qr(torch.complex(torch.randn(units, units), torch.randn(units, units)))
        self.register_buffer("start", torch.view_as_real(drawn * triangle.diagonal().sgn()).movedim(-1, 0).contiguous())

    def forward(self, free: Tensor) -> Tensor:
        skew = torch.complex(free[0] - free[0].T, free[1] + free[1].T)
        unitary = torch.complex(*self.start) @ torch.linalg.matrix_exp(skew)
        return torch.stack((unitary.real, unitary.imag))


class UnitaryRnn(StateCell):
    """See the top of this module; H complex units."""

    weight: Tensor

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        bound = (6 / (inputs + 2 * units)) ** 0.5
        self.inputs = nn.Parameter(torch.empty(2, units, inputs).uniform_(-bound, bound))
        self.weight = nn.Parameter(torch.zeros(2, units, units))
        parametrize.register_parametrization(self, "weight", Unitary(units))
        self.bias = nn.Parameter(torch.empty(units).uniform_(-_BIAS, _BIAS))
        self.answer = nn.Linear(2 * units, units)

    def forward(self, x: Tensor, state: State) -> State:
        real, imaginary = (x @ part.t() for part in self.inputs)
        z = torch.complex(real, imaginary) + state[0] @ torch.complex(*self.weight).T
        return (z.sgn() * torch.relu(z.abs() + self.bias),)

    def zeros(self, x: Tensor) -> State:
        return (x.new_zeros(len(x), len(self.bias), dtype=x.dtype.to_complex()),)

    def read_out(self, state: State, x: Tensor) -> Tensor:
        """W [Re h_t, Im h_t] + b, [N, H]."""
        answer: Tensor = self.answer(torch.cat((state[0].real, state[0].imag), dim=-1))
        return answer
