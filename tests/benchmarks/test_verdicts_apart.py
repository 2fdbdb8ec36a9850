"""The apart part of the suite: what it holds, and its data against a slow second way."""

import math
from collections import Counter

import pytest
import torch

from benchmarks.verdicts import field_data as data
from benchmarks.verdicts.field_nets import Leaky, gaussian, hazard, pinball
from benchmarks.verdicts.suite import cases
from benchmarks.verdicts.tasks import entropy


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


def test_the_apart_part_has_short_and_long_trainings_that_learn_and_that_fail() -> None:
    found = cases(("apart",))
    long = [each for each in found if each.training]
    short = [each for each in found if not each.training]
    assert max(Counter(each.name for each in found).values()) == 1
    assert Counter(each.at for each in long) == {0.1: len(long) / 3, 0.5: len(long) / 3, 1.0: len(long) / 3}
    assert len(long) / 3 >= 32
    assert len(long) / 3 + len(short) >= 90
    assert sum(each.label.healthy for each in found) >= 0.45 * len(found)
    assert min(sum(each.label.failed for each in part) for part in (long, short)) >= 20
    assert min(sum(each.label.healthy for each in part) for part in (long, short)) >= 20


def test_symbols_follow_from_their_inputs() -> None:
    x, y = data.digits(7, 50, 3, 1)(0)
    assert y.t().tolist() == [[sum(row[: t + 1]) % 3 for t in range(7)] for row in x.t().tolist()]
    x, y = data.reversed_digits(5, 20, 1)(0)
    assert torch.equal(y, torch.tensor([[each % 8 + 1 for each in row] for row in x.tolist()][::-1]))
    x, y = data.brackets(9, 60, 1, deepest=2)(0)
    for row, depths in zip(x.t().tolist(), y.t().tolist(), strict=True):
        depth = 0
        for symbol, found in zip(row, depths, strict=True):
            depth = max(0, min(2, depth + {0: 1, 1: -1}.get(symbol, 0)))
            assert found == depth
    x, y = data.slots(8, 40, 1)(0)
    for row, tags in zip(x.t().tolist(), y.t().tolist(), strict=True):
        for before, word, tag in zip([9, *row], row, tags, strict=False):
            assert tag == (0 if word < 10 or before > 3 else 2 if before < 2 else 1)
    x, y = data.temporal_order(20, 50, 1)(0)
    marks = [[each for each in row if each < 2] for row in x.t().tolist()]
    assert [2 * first + second for first, second in marks] == y.tolist()
    text = "".join(data.LETTERS[each] for each in data.sentences(60, 1, 1)(0)[0][:, 0])
    assert " the " in text


def test_a_motif_is_in_the_sequences_whose_label_is_1() -> None:
    x, y = data.genes(12, 300, 1)(0)
    for row, label in zip(x.t().tolist(), y.tolist(), strict=True):
        hit = any(row[at : at + 4] == [3, 0, 3, 0] and row[at + 5] == 0 for at in range(7))
        assert hit or not label
    assert float((data.genes(12, 9000, 1, 0.15)(0)[1] == data.genes(12, 9000, 1)(0)[1]).float().mean()) == (
        pytest.approx(0.85, abs=0.02)
    )


def test_chance_of_the_apart_part_is_what_it_is_said_to_be() -> None:
    depths = torch.bincount(data.brackets(12, 4000, 1)(0)[1].flatten()) / 48000
    assert entropy(depths) == pytest.approx(1.3, abs=0.05)
    assert entropy(torch.bincount(data.slots(12, 4000, 1)(0)[1].flatten()) / 48000) == pytest.approx(0.54, abs=0.05)
    assert float(data.maze(4, 9000, 1)(0)[1].float().mean()) == pytest.approx(0.5, abs=0.03)
    assert float(data.wake(12, 9000, 0.08, 1)(0)[1].mean()) == pytest.approx(0.08, abs=0.01)
    assert float(data.load(8, 9000, 1)(0)[1][-1].std()) == pytest.approx(0.9, abs=0.05)


def test_chance_of_wrong_tags_and_of_angles() -> None:
    tags = torch.bincount(data.slots(8, 4000, 1)(0)[1].flatten()) / 32000
    assert entropy(0.9 * tags + 0.1 / 3) == pytest.approx(0.66, abs=0.05)
    assert float(tags[0]) == pytest.approx(0.84, abs=0.02)
    assert float(data.pendulum(20, 9000, 1)(0)[1][-1].std()) == pytest.approx(1.41, rel=0.05)


def test_mini_batches_of_a_data_set_are_its_sequences_once_an_epoch() -> None:
    whole = data.load(4, 30, 1)(0)[0]
    part = data.dataset(data.load(4, 30, 1), 30, 10, 2, tokens=True)
    seen = torch.cat([part(step)[0] for step in range(3)], 1)
    assert torch.equal(seen[0, :, 0].sort().values, whole[0, :, 0].sort().values)


def test_losses_of_the_apart_part() -> None:
    target = torch.tensor([[[2.0]], [[0.5]]])
    assert float(gaussian(torch.full_like(target, math.log(4.0)), target)) == pytest.approx(
        0.5 * math.log(4.0) + 0.5 * (4 / 4 + 0.25 / 4) / 2
    )
    assert float(pinball(0.9)(torch.zeros(2), torch.tensor([1.0, -1.0]))) == pytest.approx(0.5)
    events = torch.tensor([[0.0], [1.0], [-1.0]])
    assert float(hazard(torch.zeros(3, 1, 1), events)) == pytest.approx(math.log(2))
    assert Leaky(2, 4, 3, 0.5)(torch.randn(5, 6, 2)).shape == (5, 6, 3)
