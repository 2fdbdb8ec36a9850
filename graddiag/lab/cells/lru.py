"""LRU, the linear recurrent unit: s_t = lambda s_{t-1} + exp(gamma_log) (B x_t), complex and diagonal.

lambda = exp(-exp(nu_log) + i exp(theta_log)), so that |lambda| < 1 for all parameters, and J_t = diag(lambda) at every
timestep. The layer answers gelu(Re(C s_t) + D x_t): recurrence and read-out are linear, and the nonlinearity is that of
the block around them.

Source: Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu & De (2023), Resurrecting recurrent neural networks for long
sequences, sections 3.2 to 3.4, and the listing of appendix A for initial values (r_min 0, r_max 1, phases to 6.28).
"""

import math
from typing import Final

import torch
from torch import Tensor, nn

from graddiag.lab.cells.layers import State, StateCell

MAX_PHASE: Final = 6.28


class Lru(StateCell):
    """See the top of this module; H complex units."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        squared, phase = torch.rand(units), MAX_PHASE * torch.rand(units)
        self.nu_log = nn.Parameter((-0.5 * squared.log()).log())
        self.theta_log = nn.Parameter(phase.log())
        self.gamma_log = nn.Parameter((1 - squared).sqrt().log())
        self.b = nn.Parameter(torch.randn(2, units, inputs) / math.sqrt(2 * inputs))
        self.c = nn.Parameter(torch.randn(2, units, units) / math.sqrt(units))
        self.d = nn.Parameter(torch.randn(units, inputs) / math.sqrt(inputs))

    @property
    def eigenvalues(self) -> Tensor:
        """lambda, [H], complex."""
        return torch.polar((-self.nu_log.exp()).exp(), self.theta_log.exp())

    def forward(self, x: Tensor, state: State) -> State:
        real, imaginary = (x @ part.t() for part in self.b)
        return (self.eigenvalues * state[0] + self.gamma_log.exp() * torch.complex(real, imaginary),)

    def zeros(self, x: Tensor) -> State:
        return (x.new_zeros(len(x), len(self.nu_log), dtype=x.dtype.to_complex()),)

    def read_out(self, state: State, x: Tensor) -> Tensor:
        """gelu(Re(C s_t) + D x_t), [N, H]."""
        real = state[0].real @ self.c[0].t() - state[0].imag @ self.c[1].t()
        return nn.functional.gelu(real + x @ self.d.t())
