"""``grad_w_hh`` of a trace: what the call adds to dL/dW_hh, whether the kernel gives it or a product of the adjoint."""

from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag.tracing import fused_layer
from graddiag.tracing.capturing import Capture

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


def layer_and_input(**settings: object) -> tuple[nn.LSTM, Tensor]:
    torch.manual_seed(0)
    return nn.LSTM(3, 4, **settings), torch.randn(6, 2, 3)


def captured(layer: nn.LSTM, *inputs: Tensor) -> tuple[Capture, int]:
    """The capture of one backward pass through a call for each input, and how many products it took for dL/dW_hh."""
    with (
        patch.object(fused_layer, "recurrent_gradient", wraps=fused_layer.recurrent_gradient) as product,
        graddiag.capture(layer) as cap,
    ):
        sum(layer(x)[0].square().sum() for x in inputs).backward()
    return cap, product.call_count


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_it_is_what_the_kernel_returned() -> None:
    layer, x = layer_and_input()
    cap, products = captured(layer, x)
    assert torch.equal(cap.trace().grad_w_hh, layer.weight_hh_l0.grad)
    assert products == 0


def test_each_call_has_its_own() -> None:
    layer, x = layer_and_input()
    cap, products = captured(layer, x, 2 * x)
    first, second = (cap.trace(call=call).grad_w_hh for call in (0, 1))
    alone, _ = captured(layer, 2 * x)
    close(second, alone.trace().grad_w_hh)
    assert not torch.allclose(first, second)
    assert products == 0


def test_hooks_of_the_user_do_not_change_it() -> None:
    layer, x = layer_and_input()
    expected = captured(layer, x)[0].trace().grad_w_hh
    layer.zero_grad()
    layer.weight_hh_l0.register_hook(lambda grad: grad.mul_(0))
    cap, _ = captured(layer, x)
    assert torch.equal(cap.trace().grad_w_hh, expected)
    assert not layer.weight_hh_l0.grad.any()


def test_two_passes_add_up() -> None:
    layer, x = layer_and_input()
    with graddiag.capture(layer) as cap:
        output, _ = layer(x)
        output.sum().backward(retain_graph=True)
        output.square().sum().backward()
    close(cap.trace().grad_w_hh, layer.weight_hh_l0.grad)


@pytest.mark.parametrize("setting", ["bidirectional", "frozen", "float64", "tied"])
def test_without_the_kernels_the_adjoint_gives_it(setting: str) -> None:
    layer, x = layer_and_input(bidirectional=setting == "bidirectional")
    expected = captured(layer, x)[0].trace().grad_w_hh
    if setting == "frozen":
        layer.weight_hh_l0.requires_grad_(False)
    elif setting == "float64":
        layer, x = layer.double(), x.double()
    elif setting == "tied":
        layer = nn.LSTM(4, 4)
        layer.weight_ih_l0, x = layer.weight_hh_l0, torch.randn(6, 2, 4)
        sum_of_both = captured(layer, x)[0]
        trace = sum_of_both.trace()
        inputs = trace.grad_a.flatten(0, 1).T @ x.flatten(0, 1)
        close(trace.grad_w_hh + inputs, layer.weight_hh_l0.grad)
        return
    cap, products = captured(layer, x)
    close(cap.trace().grad_w_hh, expected.to(x.dtype))
    assert products == (2 if setting == "bidirectional" else 1)
