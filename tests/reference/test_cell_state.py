"""The cell path of an LSTM, alone."""

import math

import pytest
import torch

import graddiag

pytestmark = pytest.mark.usefixtures("either_path")

F64 = torch.float64


def cell_path_alone(forget_bias: float) -> torch.nn.LSTM:
    """An LSTM whose forget gate is a constant and whose gates do not see h: nothing but the cell leads back."""
    torch.manual_seed(0)
    lstm = graddiag.nn.LSTM(3, 4, dtype=F64)
    with torch.no_grad():
        lstm.weight_hh_l0.zero_()
        lstm.weight_ih_l0[4:8].zero_()
        lstm.bias_ih_l0[4:8].fill_(forget_bias)
        lstm.bias_hh_l0.zero_()
    return lstm


def cell_gradients(lstm: torch.nn.LSTM, T: int) -> torch.Tensor:
    with graddiag.capture(lstm) as cap:
        lstm(torch.randn(T, 2, 3, dtype=F64))[0][-1].square().sum().backward()
    return cap.trace().grad_c


def test_open_forget_gate_keeps_the_cell_gradient() -> None:
    grad_c = cell_gradients(cell_path_alone(forget_bias=40.0), T=41)
    torch.testing.assert_close(grad_c, grad_c[-1].expand_as(grad_c), rtol=1e-10, atol=0)


def test_forget_gate_of_nine_tenths_shrinks_it_by_that_at_every_timestep() -> None:
    grad_c = cell_gradients(cell_path_alone(forget_bias=math.log(9)), T=41)
    torch.testing.assert_close(grad_c[:-1] / grad_c[1:], torch.full_like(grad_c[1:], 0.9), rtol=1e-10, atol=0)
    assert (grad_c[0].norm() / grad_c[-1].norm()).item() == pytest.approx(0.014781, abs=5e-7)


def test_with_h_detached_at_every_step_the_cell_gradient_is_the_forget_gates_product() -> None:
    torch.manual_seed(0)
    lstm, T = graddiag.nn.LSTM(3, 4, dtype=F64), 8
    h = c = torch.zeros(1, 2, 4, dtype=F64)

    with graddiag.capture(lstm) as cap:
        for x in torch.randn(T, 1, 2, 3, dtype=F64):
            output, (h, c) = lstm(x, (h.detach(), c))
        output.square().sum().backward()

    trace = cap.trace()  # one sequence: c carries on
    grad_c, f = trace.grad_c, trace.gates["f"]
    assert len(grad_c) == T
    torch.testing.assert_close(grad_c[:-1], grad_c[1:] * f[1:], rtol=1e-10, atol=0)
