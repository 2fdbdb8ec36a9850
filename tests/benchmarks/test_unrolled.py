"""The layer as a loop over cells: the same layer as torch's fused one, and gradients whose size is known by hand."""

import pytest
import torch
from torch import nn

from benchmarks.verdicts.nets import Net, fill, start
from benchmarks.verdicts.unrolled import gradient_norms, growth_and_share, states

KINDS = ("tanh", "relu", "gru", "lstm")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_it_is_the_layer_that_is_trained(kind: str, layers: int) -> None:
    net = Net(kind, 3, 6, 2, num_layers=layers).double()
    x = torch.randn(12, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    top = torch.stack([state[0] for state in states(net.recurrent, x)[-1]])
    torch.testing.assert_close(net.run(x)[0], top, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_a_linear_net_multiplies_the_gradient_at_each_timestep(scale: float) -> None:
    """A relu net whose units are all on and whose W_hh is a multiple of the identity (drawn in float32)."""
    net = fill(start(Net("relu", 2, 6, 2), "eye", scale), "weight_ih", 0.1)
    growth, kept = growth_and_share(net.recurrent, torch.ones(30, 3, 2), torch.ones(3, 6))
    assert kept == pytest.approx(scale**29, rel=1e-5)
    assert growth == pytest.approx(max(1.0, scale**29), rel=1e-5)


def test_the_cell_state_counts_without_its_way_through_h() -> None:
    """An open LSTM: with f = 1 and no other path dc stays as it is on its way back."""
    layer = nn.LSTM(3, 5)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[5:10] = 40.0
    found = states(layer, torch.randn(20, 2, 3))[0]
    norms = gradient_norms(found[-1][0].sum(), found)
    assert norms[0] == pytest.approx(norms[-2], rel=1e-12)
