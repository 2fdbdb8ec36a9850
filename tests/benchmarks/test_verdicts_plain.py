"""The plain part of the suite: what it holds, and its data against a slow second way."""

import math
from collections import Counter

import pytest
import torch

from benchmarks.verdicts import ordinary_data as data
from benchmarks.verdicts.suite import cases


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


def test_the_plain_part_has_short_and_long_trainings_that_learn_and_that_fail() -> None:
    found = cases(("plain",))
    long = [each for each in found if each.training]
    short = [each for each in found if not each.training]
    assert max(Counter(each.name for each in found).values()) == 1
    assert set(Counter(each.training for each in long).values()) == {3}
    assert Counter(each.at for each in long) == {0.1: len(long) / 3, 0.5: len(long) / 3, 1.0: len(long) / 3}
    assert len(long) / 3 >= 20
    assert len(short) >= 90
    assert len({each.family for each in found}) >= 70
    last = [each for each in found if each.at == 1.0]
    assert 0.4 * len(last) <= sum(not each.label.failed for each in last) <= 0.5 * len(last)


def test_switches_and_brackets_are_followed_as_by_hand() -> None:
    x, y = data.switch(20, 12, 1)(0)
    for values, states in zip(x[..., 0].t().tolist(), y.t().tolist(), strict=True):
        state = 0
        for value, found in zip(values, states, strict=True):
            state = 1 if value > 0.8 else 0 if value < -0.8 else state
            assert found == state
    x, y = data.depth(30, 12, 3, 1)(0)
    for symbols, levels in zip(x.t().tolist(), y.t().tolist(), strict=True):
        for t, level in enumerate(levels):
            assert level == sum(1 - 2 * symbol for symbol in symbols[: t + 1])
            assert 0 <= level <= 3


def test_counts_maxima_and_gaps_are_computed_as_by_hand() -> None:
    x, y = data.residues(15, 12, 3, 1)(0)
    for bits, counts in zip(x.t().tolist(), y.t().tolist(), strict=True):
        assert counts == [sum(bits[: t + 1]) % 3 for t in range(15)]
    x, y = data.maximum(10, 8, 1, size=3.0)(0)
    for values, found in zip(x[..., 0].t().tolist(), y[..., 0].t().tolist(), strict=True):
        assert found == pytest.approx([3 * max(values[: t + 1]) for t in range(10)], rel=1e-5)
    x, y = data.gap(20, 3000, 1)(0)
    for pulses, time in zip(x[:, :50, 0].t().tolist(), y[:50, 0].tolist(), strict=True):
        first, second = (t for t, pulse in enumerate(pulses) if pulse)
        assert time == pytest.approx((second - first) / 20)
    assert float(y.var()) == pytest.approx(data.gap_variance(20), rel=0.1)


def test_marks_and_first_words_name_the_class() -> None:
    x, y = data.mark(9, 40, 4, 1, at=5)(0)
    assert [int((x[5, n] == 2.0).nonzero()[0, 0]) for n in range(40)] == y.tolist()
    x, y = data.first_word(9, 40, 3, 1)(0)
    assert x[0].tolist() == y.tolist()
    assert int(x[1:].min()) >= 3
    assert int(x.max()) < 8


def test_entropies_of_the_letters_are_those_of_a_long_text() -> None:
    letters, rate = data.letter_entropies()
    x, y = data.letters(40, 500, 1)(0)
    assert torch.equal(x[1:], y[:-1])
    counts = Counter(x.flatten().tolist())
    total = sum(counts.values())
    assert -sum(n / total * math.log(n / total) for n in counts.values()) == pytest.approx(letters, abs=0.03)
    law = data.word_law().tolist()
    length = sum(p * (len(word) + 1) for p, word in zip(law, data.WORDS, strict=True))
    assert rate == pytest.approx(-sum(p * math.log(p) for p in law) / length)


def test_few_sequences_keep_their_targets() -> None:
    x, y = data.few(data.first_word(6, 10, 3, 1), 3)(0)
    assert x.shape == (6, 15)
    assert x[0].tolist() == y.tolist()
    x, y = data.few(data.residues(6, 10, 2, 1), 3)(0)
    assert torch.equal(x.cumsum(0) % 2, y)
    x, y = data.few(data.explained(6, 10, 1.0, 1), 2)(0)
    assert x[-2, :, 0].tolist() == pytest.approx(y[:, 0].tolist())


def test_letters_of_frames_and_seasons_repeat() -> None:
    x, y = data.spelled(3, 4, 5, 3, 1, noise=0.0)(0)
    assert torch.equal(x.argmax(-1)[::4].t() + 1, y)
    assert torch.equal(x[0], x[3])
    x, y = data.season(21, 5, 0.0, 1)(0)
    assert torch.equal(x[:14], x[7:])
    assert torch.equal(x[1:], y[:-1])
    assert float(x.square().mean()) == pytest.approx(1.0, rel=1e-4)


def test_the_loss_of_deviations_is_that_of_a_normal_law() -> None:
    law = torch.distributions.Normal(torch.zeros(4, 1), torch.full((4, 1), 0.5))
    target = torch.randn(4, 1)
    found = data.normal(torch.full((4, 1), math.log(0.5)), target)
    assert float(found) == pytest.approx(-float(law.log_prob(target).mean()), rel=1e-4)
