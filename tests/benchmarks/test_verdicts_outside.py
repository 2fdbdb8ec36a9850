"""The outside part of the suite: what it holds, and its data and losses against a slow second way."""

import math
from collections import Counter
from itertools import pairwise, product

import pytest
import torch

from benchmarks.verdicts import projects_data as data
from benchmarks.verdicts import projects_losses as losses
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.projects_nets import Crf, auc, distance, greedy, taught, word_errors
from benchmarks.verdicts.suite import cases


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


def test_the_outside_part_has_short_and_long_trainings_that_learn_and_that_fail() -> None:
    found = cases(("outside",))
    long = [each for each in found if each.training]
    short = [each for each in found if not each.training]
    assert max(Counter(each.name for each in found).values()) == 1
    assert Counter(each.at for each in long) == {0.1: len(long) / 3, 0.5: len(long) / 3, 1.0: len(long) / 3}
    assert len(long) / 3 >= 35
    assert len(long) / 3 + len(short) >= 100
    assert len({each.family for each in found}) >= 80
    assert sum(each.label.healthy for each in found) >= 0.45 * len(found)
    assert min(sum(each.label.failed for each in part) for part in (long, short)) >= 25


def test_a_register_and_sums_are_computed_as_by_hand() -> None:
    x, y = data.programs(12, 20, 1)(0)
    steps = (lambda v: v + 1, lambda v: v - 1, lambda v: 2 * v, lambda v: 0, lambda v: v)
    for ops, values in zip(x.t().tolist(), y.t().tolist(), strict=True):
        value = 0
        for op, found in zip(ops, values, strict=True):
            value = steps[op](value) % 5
            assert found == value
    x, y = data.decimals(4, 30, 1)(0)
    for pairs, digits in zip(x.t().tolist(), y.t().tolist(), strict=True):
        number = sum((pair // 10 + pair % 10) * 10**place for place, pair in enumerate(pairs))
        assert sum(digit * 10**place for place, digit in enumerate(digits)) == number % 10**4


def test_tags_and_marked_symbols_follow_from_the_words() -> None:
    x, y = data.trips(12, 40, 1)(0)
    for words, tags in zip(x.t().tolist(), y.t().tolist(), strict=True):
        last = 0
        for word, tag in zip(words, tags, strict=True):
            last = word + 1 if word < 2 else last
            assert tag == (last if 2 <= word <= 6 else 0)
    x, y = data.gap_recall(12, 60, 1)(0)
    marked = [[word for word in words if 1 <= word <= 4] for words in x.t().tolist()]
    assert marked == [[label + 1] for label in y.tolist()]
    assert not bool(((x[4:] >= 1) & (x[4:] <= 4)).any())


def test_mini_batches_of_a_shelf_are_sequences_with_their_targets() -> None:
    x, y = data.shelf(2, data.gap_recall(9, 10, 1), 30, 4)(0)
    assert x.shape == (9, 30)
    assert all(label + 1 in words for words, label in zip(x.t().tolist(), y.tolist(), strict=True))
    x, y = data.shelf(2, data.programs(6, 10, 1), 30, 4)(0)
    assert x.shape == y.shape == (6, 30)


@torch.no_grad()
def test_the_crf_is_the_sum_over_all_paths() -> None:
    net = Crf(Net("gru", 3, 4, 2, last=False), 2)
    x, y = torch.randn(4, 1, 3), torch.randint(0, 2, (4, 1))
    scores, moves = net.net(x)[:, 0], net.transitions

    def of(path: tuple[int, ...]) -> torch.Tensor:
        there = sum(scores[t, tag] for t, tag in enumerate(path))
        return there + sum(moves[a, b] for a, b in pairwise(path))

    whole = torch.stack([of(path) for path in product((0, 1), repeat=4)]).logsumexp(0)
    assert float(net(x, y)) == pytest.approx(float(whole - of(tuple(y[:, 0].tolist()))) / 4, rel=1e-4)


def test_losses_of_the_outside_part() -> None:
    target = torch.tensor([[3.0], [0.0]])
    law = torch.distributions.NegativeBinomial(torch.tensor(2.0), probs=torch.tensor(4 / 6))
    output = torch.tensor([[math.log(4.0), math.log(2.0)]]).expand(2, 2)
    expected = -float(law.log_prob(target).mean())
    assert float(losses.negative_binomial(output, target)) == pytest.approx(expected, rel=1e-4)
    assert float(losses.normal(torch.zeros(1, 2), torch.zeros(1, 1))) == pytest.approx(0.5 * math.log(2 * math.pi))
    pair = torch.tensor([[0.0, 0.0, 1.0, -1.0, 0.0, 0.0]])
    one = torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor(1.0))
    assert float(losses.mixture(pair, torch.zeros(1, 1))) == pytest.approx(-float(one), rel=1e-4)
    code = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    labels = torch.tensor([0, 0, 1, 1])
    assert float(losses.triplets(code, labels)) == 0.0
    assert float(losses.triplets(torch.ones(4, 2), labels)) == pytest.approx(0.5)
    assert float(losses.hardest(torch.ones(4, 2), labels)) == pytest.approx(0.5)


def test_measures_of_the_outside_part() -> None:
    assert greedy([0, 1, 1, 0, 1, 2, 2, 0]) == [1, 1, 2]
    assert distance([1, 2, 3], [2, 3, 4, 5]) == 3
    frames = torch.nn.functional.one_hot(torch.tensor([[1], [1], [0], [2]]), 4).float()
    assert float(word_errors(frames, torch.tensor([[1, 3]]))) == 0.5
    assert float(auc(torch.tensor([0.1, 0.9, 0.5]), torch.tensor([0.0, 1.0, 0.0]))) == 1.0
    net, x = Net("gru", 3, 4, 2), torch.randn(5, 6, 3)
    loss, found = taught(net, 2.0)(net, x, torch.zeros(6), 0)
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert found == {"agreement": 1.0}
