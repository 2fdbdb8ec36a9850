"""tied: the contributions of all timesteps sum to what autograd gives, for every kind of layer."""

import pytest

from graddiag.presets.tied import Tied, sums


@pytest.mark.parametrize("model", ["rnn", "gru", "lstm"])
def test_contributions_sum_to_the_gradient_of_autograd(model: str) -> None:
    found = sums(model, Tied(length=9, hidden=5))
    assert found.off < 1e-12
    assert found.norms.shape == (9,)
    assert found.total <= found.norms.sum() * (1 + 1e-12)
    assert found.left == pytest.approx(found.total / found.norms.sum())
