"""sum: an input counts for exactly 1 whenever it comes; and a weight that learns to sum."""

from pathlib import Path

import pytest
import torch

from graddiag.presets.bench import Bench
from graddiag.presets.sum import SumSettings, Unit, exact, input_gradients, learn_sums


def test_a_unit_that_sums_counts_every_input_alike() -> None:
    x = torch.rand(60, 4, 1)
    assert torch.equal(input_gradients(exact("sum"), x), torch.ones(60, 4, 1))
    torch.testing.assert_close(exact("sum")(x), x.sum(0)[:, 0])


def test_a_unit_that_compares_counts_with_both_signs() -> None:
    x = torch.rand(60, 4, 2)
    assert torch.equal(input_gradients(exact("larger sum"), x), torch.tensor([1.0, -1.0]).expand(60, 4, 2))
    larger = x[..., 0].sum(0) > x[..., 1].sum(0)
    assert torch.equal(exact("larger sum")(x) > 0, larger)


def test_another_weight_counts_by_its_powers() -> None:
    found = input_gradients(Unit(1, 0.9, torch.ones(1)).double(), torch.rand(30, 2, 1).double())
    expected = 0.9 ** torch.arange(29, -1, -1).double()
    torch.testing.assert_close(found[:, 0, 0], expected, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_training_finds_the_weight_that_sums(tmp_path: Path) -> None:
    found = learn_sums(SumSettings(length=12, steps=1500), "sum", Bench(tmp_path, "lab"))
    assert found.weights[0] == pytest.approx(0.8)
    assert found.weights[-1] == pytest.approx(1.0, abs=0.02)
    assert found.after[0] / found.after[-1] == pytest.approx(1.0, abs=0.2)
    assert found.losses[-1] < 0.01 * found.losses[0]
