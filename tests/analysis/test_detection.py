"""The verdict on real nets, recorded by ``watch``, whose truth is known from how they were built."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag.analysis import Diagnosis, Selection, diagnose, reach
from graddiag.run import Run

T, N, INPUT, HIDDEN = 100, 8, 8, 128
LAYER = Selection("net", 0, "forward")


class Model(nn.Module):
    """A recurrent net and a linear readout of the last state, or of each."""

    def __init__(self, net: nn.RNNBase, dense: bool) -> None:
        super().__init__()
        self.net, self.readout, self.dense = net, nn.Linear(HIDDEN, 3), dense

    def forward(self, x: Tensor) -> Tensor:
        states = self.net(x)[0]
        return self.readout(states if self.dense else states[-1])


def recorded(folder: Path, net: nn.RNNBase, *, dense: bool = False, scale: float = 0.01, lr: float = 1e-3) -> Run:
    """Three steps on random input of size ``scale``."""
    model = Model(net, dense)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    with graddiag.watch(model, optimizer, run="net", root=folder, clip="none") as recorder:
        for _ in range(3):
            optimizer.zero_grad()
            output = model(torch.randn(T, N, INPUT) * scale)
            loss = nn.functional.cross_entropy(output.flatten(0, -2), torch.randint(3, output.shape[:-1]).flatten())
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    return graddiag.load_run(recorder.path)


def rnn(gain: float) -> nn.RNN:
    """A tanh RNN with W_hh = gain x orthogonal."""
    net = nn.RNN(INPUT, HIDDEN)
    nn.init.orthogonal_(net.weight_hh_l0, gain)
    with torch.no_grad():
        net.bias_ih_l0.zero_()
        net.bias_hh_l0.zero_()
    return net


def lstm(forget: float) -> nn.LSTM:
    """torch's own start, but for the bias of the forget gate."""
    net = nn.LSTM(INPUT, HIDDEN)
    with torch.no_grad():
        net.bias_ih_l0[HIDDEN : 2 * HIDDEN] = forget
        net.bias_hh_l0.zero_()
    return net


def wild_lstm() -> nn.LSTM:
    """Open gates, and a candidate with W_hg = 3 x orthogonal."""
    net = lstm(5.0)
    with torch.no_grad():
        nn.init.orthogonal_(net.weight_hh_l0[2 * HIDDEN : 3 * HIDDEN], 3.0)
        net.bias_ih_l0[3 * HIDDEN :] = 3.0
    return net


def gru(update: float, gain: float = 0.0) -> nn.GRU:
    """A GRU whose update gate has the bias ``update`` and whose candidate has W_hn = gain x orthogonal."""
    net = nn.GRU(INPUT, HIDDEN)
    with torch.no_grad():
        net.bias_ih_l0.zero_()
        net.bias_hh_l0.zero_()
        net.bias_ih_l0[HIDDEN : 2 * HIDDEN] = update
        if gain:
            net.bias_ih_l0[:HIDDEN] = 5.0
            nn.init.orthogonal_(net.weight_hh_l0[2 * HIDDEN :], gain)
    return net


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: rnn(0.7), "vanishing"),
        (lambda: rnn(1.0), None),
        (lambda: rnn(1.25), "exploding"),
        (lambda: lstm(0.0), "vanishing"),
        (lambda: lstm(5.0), None),
        (wild_lstm, "exploding"),
        (lambda: gru(0.0), "vanishing"),
        (lambda: gru(5.0), None),
        (lambda: gru(-3.0, 1.4), "exploding"),
    ],
    ids=["rnn .7", "rnn 1", "rnn 1.25", "lstm f=.5", "lstm f=1", "lstm wild", "gru z=.5", "gru z=1", "gru wild"],
)
def test_nets_built_to_vanish_to_hold_and_to_explode(
    tmp_path: Path, build: Callable[[], nn.RNNBase], expected: str | None
) -> None:
    """Three steps do not tell what becomes of the training, and the gradient's way is known."""
    found = diagnose(recorded(tmp_path, build()))
    assert of_the_way(found) == expected, str(found)
    assert (found.outcome.name, found.outcome.detail) == ("unknown", "few-steps")


def of_the_way(found: Diagnosis) -> str | None:
    """What was found about the gradient's way through time."""
    return next((each.name for each in found.findings if each.name in ("vanishing", "exploding")), None)


def test_the_measured_ratio_of_a_shrinking_net_is_its_gain_to_the_length(tmp_path: Path) -> None:
    found = reach(recorded(tmp_path, rnn(0.7), scale=1e-4), LAYER)
    assert found.ratio == pytest.approx(0.7 ** (T - 1), rel=0.01)
    assert found.exponent == pytest.approx(math.log(0.7), rel=1e-3)


def test_a_saturated_net_with_a_large_weight_is_not_exploding(tmp_path: Path) -> None:
    run = recorded(tmp_path, rnn(1.25), scale=1.0)
    ratio = reach(run, LAYER).ratio
    assert ratio is not None
    assert 0.3 < ratio < 5
    assert of_the_way(diagnose(run)) is None


@pytest.mark.parametrize("build", [lambda: rnn(0.7), lambda: lstm(0.0), lambda: gru(0.0)], ids=["rnn", "lstm", "gru"])
def test_with_a_loss_at_each_timestep_torchs_nets_are_healthy(tmp_path: Path, build: Callable[[], nn.RNNBase]) -> None:
    assert of_the_way(diagnose(recorded(tmp_path, build(), dense=True, scale=1.0))) is None


def test_a_reverse_direction_and_upper_layers_are_judged_too(tmp_path: Path) -> None:
    model = Model(nn.RNN(INPUT, HIDDEN // 2, num_layers=2, bidirectional=True), dense=False)
    with graddiag.watch(model, run="net", root=tmp_path) as recorder:
        nn.functional.mse_loss(model(torch.randn(T, N, INPUT)), torch.zeros(N, 3)).backward()
        recorder.step()
    found: Diagnosis = diagnose(graddiag.load_run(recorder.path))
    finding = found.finding("vanishing")
    assert finding is not None
    assert "layer 1" in finding.sentence


def looped(cut: int | None) -> nn.Module:
    """An LSTM called once per timestep, whose state is detached before timestep ``cut``."""

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.readout = nn.LSTM(INPUT, 16), nn.Linear(16, 1)

        def forward(self, x: Tensor) -> Tensor:
            state = None
            for t, x_t in enumerate(x):
                if t == cut and state is not None:
                    state = (state[0].detach(), state[1].detach())
                output, state = self.net(x_t[None], state)
            return self.readout(output[-1])

    return Loop()


@pytest.mark.parametrize(("cut", "found"), [(None, False), (12, True)])
def test_a_detach_in_a_loop_is_told(tmp_path: Path, cut: int | None, found: bool) -> None:
    model = looped(cut)
    with graddiag.watch(model, run="net", root=tmp_path) as recorder:
        for _ in range(2):
            model.zero_grad()
            model(torch.randn(20, N, INPUT)).square().mean().backward()
            recorder.step()
    finding = diagnose(graddiag.load_run(recorder.path)).finding("truncated-reach")
    assert (finding is not None) is found
    if finding is not None:
        assert "cut" in finding.sentence


def test_relu_units_that_never_fire_are_dead(tmp_path: Path) -> None:
    net = nn.RNN(INPUT, 20, nonlinearity="relu")
    with torch.no_grad():
        net.bias_ih_l0[:3] = -100.0
    with graddiag.watch(net, run="net", root=tmp_path, snapshot_every=1) as recorder:
        for _ in range(2):
            net.zero_grad()
            net(torch.randn(10, N, INPUT))[0].square().mean().backward()
            recorder.step()
    finding = diagnose(graddiag.load_run(recorder.path)).finding("dead-units")
    assert finding is not None
    assert finding.evidence[0].value == 3
