"""The oracle itself agrees with torch.nn, results and weight gradients alike."""

import pytest
import torch

from tests.reference.oracle import unroll

KINDS = [("rnn_tanh", torch.nn.RNN), ("rnn_relu", torch.nn.RNN), ("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)]


@pytest.mark.parametrize(("kind", "cls"), KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_unrolled_network_is_torch_nn(kind: str, cls: type[torch.nn.RNNBase], bidirectional: bool) -> None:
    torch.manual_seed(0)
    extra = {"nonlinearity": "relu"} if kind == "rnn_relu" else {}
    module = cls(3, 4, num_layers=2, bidirectional=bidirectional, dtype=torch.float64, **extra)
    x = torch.randn(5, 3, 3, dtype=torch.float64)

    output, state = module(x)
    output.square().sum().backward()
    expected = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    unrolled = unroll(kind, dict(module.named_parameters()), x)
    unrolled.output.square().sum().backward()

    torch.testing.assert_close(unrolled.output, output, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(unrolled.h_n, state[0] if kind == "lstm" else state, rtol=1e-13, atol=1e-14)
    actual = [p.grad for p in module.parameters()]
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-13)
