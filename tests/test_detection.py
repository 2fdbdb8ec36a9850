"""Networks built to vanish, hold and explode, in torch's own layers: the verdict comes from the measured gradient.

Weights are drawn so that the truth is known: W_hh = g Q with Q orthogonal multiplies the linearised gradient by g a
timestep. The truth of each net is taken from autograd on the unrolled cell, not from graddiag.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag

T, N, I, H = 100, 16, 8, 128


def orthogonal(scale: float, rows: int = H) -> Tensor:
    return scale * torch.linalg.qr(torch.randn(rows, rows, generator=torch.Generator().manual_seed(1)))[0]


def rnn(gain: float, drive: float) -> nn.RNN:
    """tanh RNN with W_hh = gain x orthogonal; a strong ``drive`` of the input saturates it."""
    net = nn.RNN(I, H)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.weight_hh_l0.copy_(orthogonal(gain))
        net.weight_ih_l0.normal_(0, drive, generator=torch.Generator().manual_seed(2))
    return net


def lstm(forget_bias: float, gain: float = 0.0) -> nn.LSTM:
    """LSTM whose forget gate is set by its bias; with ``gain`` the candidate g feeds back strongly."""
    net = nn.LSTM(I, H)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.weight_ih_l0.normal_(0, 1e-2, generator=torch.Generator().manual_seed(2))
        net.bias_ih_l0[H : 2 * H].fill_(forget_bias)
        net.weight_hh_l0[2 * H : 3 * H].copy_(orthogonal(gain))
    return net


def gru(update_bias: float, gain: float = 0.0) -> nn.GRU:
    """GRU whose update gate is set by its bias; z -> 1 copies, and with ``gain`` the candidate n feeds back."""
    net = nn.GRU(I, H)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.weight_ih_l0.normal_(0, 1e-3, generator=torch.Generator().manual_seed(2))
        net.bias_ih_l0[H : 2 * H].fill_(update_bias)
        net.weight_hh_l0[2 * H :].copy_(orthogonal(gain))
    return net


CASES: dict[str, tuple[Callable[[], nn.RNNBase], str]] = {
    "rnn-0.7": (lambda: rnn(0.7, 1e-3), "vanishing"),
    "rnn-1.0": (lambda: rnn(1.0, 1e-3), "healthy"),
    "rnn-1.25": (lambda: rnn(1.25, 1e-12), "exploding"),
    "lstm-vanishes": (lambda: lstm(0.0), "vanishing"),
    "lstm-holds": (lambda: lstm(8.0), "healthy"),
    "lstm-explodes": (lambda: lstm(0.0, gain=4.0), "exploding"),
    "gru-vanishes": (lambda: gru(-2.0), "vanishing"),
    "gru-holds": (lambda: gru(6.0), "healthy"),
    "gru-explodes": (lambda: gru(-2.0, gain=3.0), "exploding"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_that_of_the_measured_gradient(case: str, tmp_path: Path) -> None:
    make, verdict = CASES[case]
    run = recorded(make(), tmp_path)
    ratio = ratio_by_autograd(make())
    measured = run.timesteps.query("step == 0")["grad_h"].to_numpy()
    assert measured[0] / measured[-1] == pytest.approx(ratio, rel=1e-3)
    found = graddiag.diagnose(run)  # of twelve steps no outcome is known, but the gradient's way is
    named = [each.name for each in found.findings if each.name in ("exploding", "vanishing")]
    assert named == ([] if verdict == "healthy" else [verdict]), (ratio, found.full())


def test_a_saturated_net_is_not_called_exploding_for_its_spectral_radius(tmp_path: Path) -> None:
    """g = 1.25, driven so hard that the slopes take back what the weights put in: the true ratio stays near 2."""
    drive = saturating_drive(target=2.0)
    net = rnn(1.25, drive)
    assert 1 / 3 < ratio_by_autograd(net) < 6
    assert graddiag.diagnose(recorded(net, tmp_path)).verdict != "exploding"


def saturating_drive(target: float) -> float:
    """The drive at which first over last gradient is nearest to ``target``, by bisection on autograd's truth."""
    weak, strong = 1e-3, 3.0
    for _ in range(18):
        middle = (weak * strong) ** 0.5
        weak, strong = (middle, strong) if ratio_by_autograd(rnn(1.25, middle)) > target else (weak, middle)
    return (weak * strong) ** 0.5


def recorded(net: nn.RNNBase, root: Path, steps: int = 12) -> graddiag.Run:
    """A few steps with a learning rate too small to change anything, loss on the last timestep."""
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-30)
    with graddiag.watch(net, optimizer, run="net", root=root) as recorder:
        for step in range(steps):
            loss = last_loss(net(data(step))[0][-1])
            optimizer.zero_grad()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    return graddiag.load_run(root / "net")


def ratio_by_autograd(net: nn.RNNBase) -> float:
    """||dL/dh_0|| / ||dL/dh_{T-1}|| of the unrolled cell, each h_t with retain_grad."""
    cell = getattr(nn, f"{type(net).__name__}Cell")(I, H)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in net.state_dict().items()})
    state, states = None, []
    for x_t in data(0):
        state = cell(x_t, state)
        states.append(state[0] if isinstance(state, tuple) else state)
        states[-1].retain_grad()
    last_loss(states[-1]).backward()
    return float(states[0].grad.double().norm() / states[-1].grad.double().norm())


def data(step: int) -> Tensor:
    return torch.randn(T, N, I, generator=torch.Generator().manual_seed(10 + step))


def last_loss(h: Tensor) -> Tensor:
    """Linear in the last state, so that every net starts from the same gradient."""
    return (h * torch.randn(H, generator=torch.Generator().manual_seed(3))).sum(-1).mean()
