"""RNNs with the nonlinearities torch.nn lacks, and the others, against the network unrolled under autograd."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import graddiag
from tests.reference.oracle import unroll

pytestmark = pytest.mark.usefixtures("either_path")

F64 = torch.float64


@pytest.mark.parametrize("activation", ["sigmoid", "identity", "tanh", "relu"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_results_and_gradients_of_the_unrolled_network(activation: str, bias: bool, bidirectional: bool) -> None:
    torch.manual_seed(0)
    settings = {"num_layers": 2, "bias": bias, "bidirectional": bidirectional, "dtype": F64}
    rnn = graddiag.nn.RNN(3, 4, nonlinearity=activation, **settings)
    x, h0 = torch.randn(5, 3, 3, dtype=F64), torch.randn(4 if bidirectional else 2, 3, 4, dtype=F64)
    leaves = [x.requires_grad_(), h0.requires_grad_(), *rnn.parameters()]

    output, h_n = rnn(x, h0)
    found = torch.autograd.grad(output.square().sum() + h_n.sin().sum(), leaves)
    truth = unroll(f"rnn_{activation}", dict(rnn.named_parameters()), x, h0)
    expected = torch.autograd.grad(truth.output.square().sum() + truth.h_n.sin().sum(), leaves)

    torch.testing.assert_close(output, truth.output, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("activation", ["sigmoid", "identity"])
def test_packed_sequences_are_as_if_each_ran_alone(activation: str) -> None:
    """sigmoid(0) is not 0: a timestep past the end would be felt."""
    torch.manual_seed(0)
    rnn = graddiag.nn.RNN(3, 4, num_layers=2, nonlinearity=activation, bidirectional=True, dtype=F64)
    x, lengths = torch.randn(5, 3, 3, dtype=F64), [2, 5, 1]

    output, h_n = rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
    together = torch.autograd.grad(output.data.square().sum() + h_n.sin().sum(), list(rnn.parameters()))
    alone = [torch.zeros_like(p) for p in rnn.parameters()]
    for sample, length in enumerate(lengths):
        one, final = rnn(x[:length, sample])
        torch.testing.assert_close(h_n[:, sample], final, rtol=1e-13, atol=1e-14)
        grads = torch.autograd.grad(one.square().sum() + final.sin().sum(), list(rnn.parameters()))
        alone = [total + grad for total, grad in zip(alone, grads, strict=True)]
    torch.testing.assert_close(list(together), alone, rtol=1e-11, atol=1e-13)
