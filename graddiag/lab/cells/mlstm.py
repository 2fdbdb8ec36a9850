"""mLSTM: an LSTM whose memory is a matrix of values by keys, with exponential gates; one head of H entries.

    q = W_q x_t + b, k = (W_k x_t + b) / sqrt(H), v = W_v x_t + b, i = exp(.) and f = sigmoid(.) scalars, o = sigmoid(.)
    C_t = f C_{t-1} + i v k^T, n_t = f n_{t-1} + i k, h_t = o C_t q / max(|n_t q|, 1)
    m_t = max(ln f + m_{t-1}, ln i); in place of i and f: i' = exp(ln i - m_t), f' = exp(ln f + m_{t-1} - m_t)

No gate reads the state. The state is C' = exp(-m) C [N, H, H], n' = exp(-m) n [N, H] and m [N, 1]: in the tables h is
C', c is n' and m together, and the transport gain is that of all three. No h_t depends on which m is taken, so that the
gradient of every parameter is that of the equations without it.

Source: Beck, Pöppel, Spanring, Auer, Prudnikova, Kopp, Klambauer, Brandstetter & Hochreiter (2024), xLSTM, equations 19
to 27; the gates begin as in the authors' code: weights of 0, ln i near 0, and a bias of f of 3, the first of those that
they spread over heads.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from graddiag.lab.cells.layers import State, StateCell

_FORGET_BIAS: Final = 3.0
_ENTER_STD: Final = 0.1


class Mlstm(StateCell):
    """See the top of this module. The state is (C', n', m)."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.stored = nn.Linear(inputs, 2 * units)  # k, v
        self.asked = nn.Linear(inputs, 2 * units)  # q, o
        self.gates = nn.Linear(inputs, 2)  # ln i, f
        nn.init.zeros_(self.gates.weight)
        with torch.no_grad():
            self.gates.bias[0].normal_(std=_ENTER_STD)
            self.gates.bias[1] = _FORGET_BIAS

    def forward(self, x: Tensor, state: State) -> State:
        C, n, m = state
        k, v = self.stored(x).chunk(2, dim=-1)
        k = k / self.units**0.5
        log_i, f = self.gates(x).chunk(2, dim=-1)
        log_f = logsigmoid(f)
        m_new = torch.maximum(log_f + m, log_i)
        keep, enter = (log_f + m - m_new).exp(), (log_i - m_new).exp()
        C = keep.unsqueeze(-1) * C + (enter * v).unsqueeze(-1) * k.unsqueeze(-2)
        return C, keep * n + enter * k, m_new

    def zeros(self, x: Tensor) -> State:
        N, H = len(x), self.units
        return x.new_zeros(N, H, H), x.new_zeros(N, H), x.new_zeros(N, 1)

    def read_out(self, state: State, x: Tensor) -> Tensor:
        """h_t, [N, H]."""
        C, n, m = state
        q, o = self.asked(x).chunk(2, dim=-1)
        matched = (n * q).sum(-1, keepdim=True).abs()
        return o.sigmoid() * (C @ q.unsqueeze(-1)).squeeze(-1) / torch.maximum(matched, (-m).exp())
