"""sLSTM: an LSTM with exponential gates, a normalizer n, and a stabilizer m; one head.

    z = tanh(.), i = exp(.), f = sigmoid(.), o = sigmoid(.), each of W x_t + R h_{t-1} + b
    c_t = f c_{t-1} + i z, n_t = f n_{t-1} + i, h_t = o c_t / n_t
    m_t = max(ln f + m_{t-1}, ln i); in place of i and f: i' = exp(ln i - m_t), f' = exp(ln f + m_{t-1} - m_t)

The state is h, c' = exp(-m) c, n' = exp(-m) n, and m; the transport gain is that of all four. No h depends on which m
is taken, so that the gradient of every parameter is that of the equations without it.

Source: Beck, Pöppel, Spanring, Auer, Prudnikova, Kopp, Klambauer, Brandstetter & Hochreiter (2024), xLSTM, equations 8
to 17.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from graddiag.lab.cells.layers import State, StateCell


class Slstm(StateCell):
    """See the top of this module. The state is (h, c', n', m)."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.gates = nn.Linear(inputs + units, 4 * units)

    def forward(self, x: Tensor, state: State) -> State:
        h, c, n, m = state
        z, log_i, f, o = self.gates(torch.cat((x, h), dim=-1)).chunk(4, dim=-1)
        log_f = logsigmoid(f)
        m_new = torch.maximum(log_f + m, log_i)
        keep, enter = (log_f + m - m_new).exp(), (log_i - m_new).exp()
        c, n = keep * c + enter * z.tanh(), keep * n + enter
        return o.sigmoid() * c / n, c, n, m_new

    def zeros(self, x: Tensor) -> State:
        zero = x.new_zeros(len(x), self.units)
        return zero, zero, zero, zero
