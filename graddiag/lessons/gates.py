"""What a gate does: the gradient along an LSTM's cell, through a GRU and through a tanh RNN, over the same input."""

import math

import numpy as np
import torch
from torch import Tensor

from graddiag import cells
from graddiag.cells.values import Adjoint, States, Weights
from graddiag.lessons.networks import UNITS, inputs, line, loss_at_the_end, norms, orthogonal
from graddiag.lessons.values import Kept

RNN_GAIN = 1.0


def keep(bias: float, length: int, seen: float, drive: float) -> Kept:
    """How much of the gradient of L = v . h_{T-1} reaches each timestep of the three cells.

    Args:
        bias: of the gate that keeps the state: f of the LSTM, z of the GRU.
        length: T, 2 or more.
        seen: what the LSTM and the GRU read beside the candidate's input, 0 to 1: it scales the gates' W_ih and all of
            W_hh. At 0 the gates are constants and only the cell leads back: ||dc|| falls by sigmoid(bias) a timestep.
        drive: standard deviation of the inputs. The RNN reads them in full, with W_hh orthogonal.

    Source: Hochreiter & Schmidhuber (1997); Gers, Schmidhuber & Cummins (2000); Cho et al. (2014).
    """
    lstm, lstm_adjoint = _lstm(bias, length, seen, drive)
    gru, gru_adjoint = _gru(bias, length, seen, drive)
    assert lstm_adjoint.grad_c is not None
    assert lstm.gates is not None
    assert gru.gates is not None
    back = torch.arange(length - 1, -1, -1, dtype=torch.float64)
    found = {
        "LSTM ‖dL/dc‖": lstm_adjoint.grad_c,
        "GRU ‖dL/dh‖": gru_adjoint.grad_h,
        "tanh RNN ‖dL/dh‖": _rnn(length, drive).grad_h,
    }
    return Kept(
        bias=bias,
        timesteps=np.arange(length),
        lines=tuple(line(name, name, _relative(norms(block))) for name, block in found.items()),
        theory=line("theory", "sigmoid(bias)^(T-1-t)", torch.exp(-back * math.log1p(math.exp(-bias)))),
        mean_f=float(lstm.gates[..., UNITS : 2 * UNITS].mean()),
        mean_z=float(gru.gates[..., UNITS : 2 * UNITS].mean()),
    )


def _lstm(bias: float, length: int, seen: float, drive: float) -> tuple[States, Adjoint]:
    weights = _gated(4, candidate=2, bias=bias, seen=seen)
    start = torch.zeros(1, UNITS, dtype=torch.float64)
    states = cells.forward("lstm", inputs(length, drive), start, start, weights)
    return states, cells.adjoint("lstm", states, weights, loss_at_the_end(length))


def _gru(bias: float, length: int, seen: float, drive: float) -> tuple[States, Adjoint]:
    weights = _gated(3, candidate=2, bias=bias, seen=seen)
    start = torch.zeros(1, UNITS, dtype=torch.float64)
    states = cells.forward("gru", inputs(length, drive), start, None, weights)
    return states, cells.adjoint("gru", states, weights, loss_at_the_end(length))


def _rnn(length: int, drive: float) -> Adjoint:
    weights = Weights(w_ih=torch.eye(UNITS, dtype=torch.float64), w_hh=RNN_GAIN * orthogonal())
    start = torch.zeros(1, UNITS, dtype=torch.float64)
    states = cells.forward("rnn_tanh", inputs(length, drive), start, None, weights)
    return cells.adjoint("rnn_tanh", states, weights, loss_at_the_end(length))


def _gated(gates: int, *, candidate: int, bias: float, seen: float) -> Weights:
    """Rows in torch's order; the second gate, f or z, keeps the state and has the bias."""
    eye = torch.eye(UNITS, dtype=torch.float64)
    w_ih = torch.cat([eye if gate == candidate else seen * eye for gate in range(gates)])
    b_ih = torch.zeros(gates * UNITS, dtype=torch.float64)
    b_ih[UNITS : 2 * UNITS] = bias
    return Weights(w_ih, seen * orthogonal().repeat(gates, 1), b_ih, torch.zeros_like(b_ih))


def _relative(values: Tensor) -> Tensor:
    return values / values[-1]
