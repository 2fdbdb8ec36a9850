"""What a network without memory scores, so that a loss can be read."""

import math

import pytest
import torch

from graddiag.lab.temporal_order import TemporalOrder


def test_temporal_order_by_chance_is_ln_four_and_three_in_four_wrong() -> None:
    symbols, target = TemporalOrder(length=30, batch_size=20_000).batch(torch.Generator().manual_seed(0))

    share = target.bincount(minlength=4) / len(target)

    assert -(share * share.log()).sum().item() == pytest.approx(math.log(4), abs=1e-3)
    assert 1 - share.max().item() == pytest.approx(0.75, abs=0.02)
    answers = {
        tuple(column[column < 2].tolist()): answer.item() for column, answer in zip(symbols.T, target, strict=True)
    }
    assert sorted(answers.values()) == [0, 1, 2, 3]
    assert set(answers) == {(0, 0), (0, 1), (1, 0), (1, 1)}
