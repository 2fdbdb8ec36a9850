"""The net as a loop over cells: the same net as torch's fused one, and gradients whose size is known by hand."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks.verdicts.cases import Case
from benchmarks.verdicts.nets import Net, batch, losses
from benchmarks.verdicts.unrolled import Unrolled, travel

KINDS = ("tanh", "relu", "gru", "lstm")


def nets(case: Case) -> tuple[Net, Unrolled, torch.Tensor, torch.Tensor]:
    """The net of a case in float64, the same unrolled, and a batch."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        net = Net(case).double()
    unrolled = Unrolled(net)
    unrolled.copy(net)
    x, targets = batch(case, torch.Generator().manual_seed(4))
    return net, unrolled, x.double(), targets


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["recall", "echo", "text", "order"])
def test_it_is_the_net_that_is_trained(kind: str, task: str) -> None:
    net, unrolled, x, targets = nets(Case(kind, 12, task=task, hidden=6, layers=2, batch=3))
    loss = cross_entropy(net(x).flatten(0, -2), targets.flatten())
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
    measured = unrolled.measure(x, targets, clip=None)
    assert measured.loss == pytest.approx(loss.item(), rel=1e-12)
    assert measured.norm == measured.used == pytest.approx(norm.item(), rel=1e-10)


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_a_linear_net_multiplies_the_gradient_at_each_timestep(scale: float) -> None:
    """A relu net whose units are all awake and whose W_hh is a multiple of the identity (drawn in float32)."""
    _, unrolled, x, targets = nets(Case("relu", 30, "identity", scale, hidden=6))
    for cell in unrolled.cells:
        torch.nn.init.constant_(cell.weight_ih, 0.1)
    measured = unrolled.measure(x.abs(), targets, clip=None)
    assert measured.kept == pytest.approx(scale**29, rel=1e-5)
    assert measured.growth == pytest.approx(max(1.0, scale**29), rel=1e-5)


def test_with_a_loss_at_each_timestep_a_single_term_is_followed() -> None:
    _, unrolled, x, targets = nets(Case("relu", 30, "identity", 0.9, "echo", hidden=6))
    for cell in unrolled.cells:
        torch.nn.init.constant_(cell.weight_ih, 0.1)
    assert unrolled.measure(x.abs(), targets, clip=None).kept == pytest.approx(0.9, rel=1e-6)


def test_the_cell_state_counts_without_its_way_through_h() -> None:
    """An open LSTM: with f = 1 and no other path dc stays as it is on its way back."""
    _, unrolled, x, targets = nets(Case("lstm", 20, hidden=5))
    cell = unrolled.cells[0]
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.bias_ih[5:10] = 40.0
    logits, states = unrolled(x)
    norms = travel(losses(logits, targets)[0], states[0])
    assert norms[0] == pytest.approx(norms[-2], rel=1e-12)
    assert np.linalg.norm(norms[-1]) > norms[-2] > 0


def test_clipping_bounds_what_the_update_uses() -> None:
    _, unrolled, x, targets = nets(Case("tanh", 12, hidden=6))
    free = unrolled.measure(x, targets, clip=None)
    assert unrolled.measure(x, targets, clip=free.norm / 2).used == pytest.approx(free.norm / 2)
    assert unrolled.measure(x, targets, clip=free.norm * 2).used == free.norm


@pytest.mark.parametrize(("task", "terms"), [("recall", 1), ("echo", 12)])
def test_the_terms_of_the_loss_sum_to_the_mean(task: str, terms: int) -> None:
    net, _, x, targets = nets(Case("gru", 12, task=task, hidden=6))
    logits = net(x)
    found = losses(logits, targets)
    assert len(found) == terms
    assert found.sum().item() == pytest.approx(cross_entropy(logits.flatten(0, -2), targets.flatten()).item())
