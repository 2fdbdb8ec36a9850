"""Losses that depend on a layer's own gradient: the total at each timestep against autograd on an unrolled cell."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag.errors import UnsupportedError
from graddiag.tracing.signals import signals

T, N, I, H = 6, 4, 3, 5
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-4}
Run = Callable[[nn.Module, Tensor], Tensor]


class Net(nn.Module):
    """A layer and a head that is not linear, so that what comes to the layer depends on its states too."""

    def __init__(self, kind: str, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = getattr(nn, kind)(I, H, dtype=dtype)
        self.head = nn.Linear(H, 1, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0]).sigmoid().squeeze(-1)


class Unrolled(nn.Module):
    """The same network as a loop over torch's cell, which keeps its states."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net, self.kept = net, []
        kind = type(net.rnn).__name__
        self.cell = {"LSTM": torch.lstm_cell, "GRU": torch.gru_cell, "RNN": torch.rnn_tanh_cell}[kind]

    def forward(self, x: Tensor) -> Tensor:
        rnn, h = self.net.rnn, x.new_zeros(x.shape[1], H)
        state, outputs = ((h, h) if isinstance(rnn, nn.LSTM) else h), []
        for x_t in x:
            weights = rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0
            state = self.cell(x_t, state, *weights)
            outputs.append(state[0] if isinstance(state, tuple) else state)
            if outputs[-1].requires_grad:
                outputs[-1].retain_grad()
        self.kept.append(outputs)
        return self.net.head(torch.stack(outputs)).sigmoid().squeeze(-1)


def penalty(model: nn.Module, x: Tensor) -> Tensor:
    """Of the gradient with respect to the input, with an ordinary loss on the same call beside it."""
    x = x.clone().requires_grad_()
    found = model(x)
    (grad,) = torch.autograd.grad(found[-1].sum(), x, create_graph=True)
    return (grad.norm(dim=2) - 1).square().mean() + found.square().mean()


def of_weights(model: nn.Module, x: Tensor) -> Tensor:
    """The size of the gradient with respect to the weights, as MAML's inner loop goes through it."""
    rnn = model.net.rnn if isinstance(model, Unrolled) else model.rnn
    weights = [rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_hh_l0]
    grads = torch.autograd.grad(model(x).square().mean(), weights, create_graph=True)
    return sum((grad.square().sum() for grad in grads), torch.zeros(()))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("loss", [penalty, of_weights], ids=["penalty", "of weights"])
def test_the_total_at_each_timestep(kind: str, dtype: torch.dtype, loss: Run) -> None:
    net = Net(kind, dtype)
    x = torch.randn(T, N, I, dtype=dtype, generator=torch.Generator().manual_seed(1))
    loss(net, x).backward()
    bare = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    with graddiag.capture(net) as cap:
        loss(net, x).backward()
    assert all(torch.equal(p.grad, grad) for p, grad in zip(net.parameters(), bare, strict=True))

    unrolled = Unrolled(net)
    total = loss(unrolled, x)
    for h in unrolled.kept[0]:
        h.grad = None  # what retain_grad has kept of the first pass
    total.backward()
    expected = torch.stack([h.grad for h in unrolled.kept[0]])
    trace = cap.trace()
    error = (trace.grad_h - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)
    assert bool((error < TOLERANCE[dtype]).all()), error.tolist()
    assert trace.grad_h_direct is None
    assert set(signals(trace).timesteps) >= {"grad_h", "grad_h_max", "h_rms"}
    assert "transport_gain" not in signals(trace).timesteps


def test_cells_in_a_loop() -> None:
    torch.manual_seed(0)
    cell = nn.LSTMCell(I, H, dtype=torch.float64)
    x = torch.randn(T, N, I, dtype=torch.float64)

    def loop(keep: list[Tensor] | None = None) -> Tensor:
        given, state = x.clone().requires_grad_(), None
        for x_t in given:
            state = cell(x_t, state)
            if keep is not None:
                state[0].retain_grad()
                keep.append(state[0])
        (grad,) = torch.autograd.grad(state[0].sin().sum(), given, create_graph=True)
        return (grad.norm() - 1).square()

    with graddiag.capture(cell) as cap:
        loop().backward()
    kept: list[Tensor] = []
    total = loop(kept)
    for h in kept:
        h.grad = None
    total.backward()
    (trace,) = cap.traces
    torch.testing.assert_close(trace.grad_h, torch.stack([h.grad for h in kept]), rtol=1e-9, atol=1e-13)


def test_a_graph_that_nobody_differentiates_changes_nothing() -> None:
    net, x = Net("GRU", torch.float64), torch.randn(T, N, I, dtype=torch.float64)
    with graddiag.capture(net) as plain:
        net(x).sum().backward()
    net.zero_grad()
    with pytest.warns(UserWarning, match="create_graph"), graddiag.capture(net) as cap:
        net(x).sum().backward(create_graph=True)
    net.zero_grad()
    torch.testing.assert_close(cap.trace().grad_h, plain.trace().grad_h)
    torch.testing.assert_close(cap.trace().sent_h, plain.trace().sent_h)


@pytest.mark.parametrize("needs_grad", [True, False])
def test_graddiags_own_layers_refuse_a_second_derivative(needs_grad: bool) -> None:
    """Also where nothing that comes to the layer needs a gradient, which torch lets pass without a word."""
    layer = graddiag.nn.LSTM(I, H)
    x = torch.randn(T, N, I, requires_grad=needs_grad)
    (grad,) = torch.autograd.grad(layer(x)[0].sum(), layer.weight_hh_l0, create_graph=True)
    with pytest.raises(UnsupportedError, match="no second derivative"):
        ((grad.norm() - 1).square() + layer(x)[0].sum()).backward()
