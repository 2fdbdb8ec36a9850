"""The later part of the suite: what it holds, and its data against a slow second way."""

import math
from collections import Counter
from itertools import product

import pytest
import torch

from benchmarks.verdicts import common_data as data
from benchmarks.verdicts.suite import cases


def test_the_later_part_has_short_and_long_trainings_that_learn_and_that_fail() -> None:
    found = cases(("later",))
    long = [each for each in found if each.training]
    short = [each for each in found if not each.training]
    assert max(Counter(each.name for each in found).values()) == 1
    assert len({each.key for each in found}) == len(long) / 3 + len(short)
    assert Counter(each.at for each in long) == {0.1: len(long) / 3, 0.5: len(long) / 3, 1.0: len(long) / 3}
    assert len(long) / 3 >= 22
    assert len(short) >= 80
    assert len({each.family for each in found}) >= 65
    assert 0.4 <= sum(each.label.healthy for each in found) / len(found) <= 0.5
    assert min(sum(each.label.failed for each in part) for part in (long, short)) >= 25


def test_no_label_of_the_later_part_contradicts_itself() -> None:
    for case in cases(("later",)):
        good = {"learned", "learning"} & set(case.label.outcomes)
        assert not (case.label.failed and (case.label.healthy or good)), case.name
        assert case.label.actions, case.name


def test_next_symbols_follow_their_law_and_its_entropy() -> None:
    x, y = data.weekdays(2000, 20, 1)(0)
    assert bool((x[1:] == y[:-1]).all())
    counts = torch.zeros(7, 7).double()
    for before, after in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True):
        counts[before, after] += 1
    assert counts.argmax(1).tolist() == [(3 * symbol + 1) % 7 for symbol in range(7)]
    law = counts / counts.sum(1, keepdim=True)
    rate = -float((counts.sum(1) / counts.sum() * (law * law.log()).sum(1)).sum())
    assert rate == pytest.approx(data.weekday_entropy(), abs=0.02)


def test_targets_that_are_computed_over_time() -> None:
    x, y = data.stock(12, 30, 1)(0)
    for changes, levels in zip(x.t().tolist(), y.t().tolist(), strict=True):
        level = 0
        for change, found in zip(changes, levels, strict=True):
            level = min(4, max(0, level + change - 1))
            assert found == level
    x, y = data.neighbours(9, 20, 1)(0)
    for symbols, found in zip(x.t().tolist(), y.t().tolist(), strict=True):
        wide = [0, *symbols, 0]
        assert found == [max(wide[t], wide[t + 2]) for t in range(9)]
    x, y = data.cipher(5, 20, 6, 1)(0)
    for symbols, found in zip(x.t().tolist(), y.t().tolist(), strict=True):
        assert found == [(each + symbols[0]) % 6 + 1 for each in symbols]
    x, y = data.parity(7, 20, 1)(0)
    assert [sum(bit > 0 for bit in bits) % 2 for bits in x[..., 0].t().tolist()] == y.tolist()


def test_the_boiler_is_a_convolution_and_has_its_variance() -> None:
    x, y = data.boiler(10, 4000, 1, noise=0.0, unit=2.0, level=5.0)(0)
    for t in (0, 4, 9):
        slow = sum(0.5 * 0.85 ** (t - s) * x[s] for s in range(t + 1))
        torch.testing.assert_close(y[t], 5 + 2 * slow, rtol=1e-4, atol=1e-4)
    assert float((y - 5).square().mean()) / 4 == pytest.approx(data.boiler_variance(10, 0.0), rel=0.05)


def test_classes_follow_from_what_is_shown() -> None:
    x, y = data.badge(8, 50, 1)(0)
    assert bool((x[0] == y).all())
    assert int(x[1:].min()) == data.KNOWN
    x, y = data.orders(8, 400, 0.3, 1)(0)
    for clicks, bought in zip(x.t().tolist(), y[:, 0].tolist(), strict=True):
        pairs = any(clicks[a] == 0 and clicks[b] == 1 for a, b in product(range(8), repeat=2) if a < b)
        assert pairs == bool(bought)
    x, y = data.odds(6, 50_000, 1, share=0.2)(0)
    assert float(y.var()) == pytest.approx(1.0, abs=0.03)
    shown = torch.corrcoef(torch.stack([x[-3:, :, 0].mean(0), y[:, 0]]))[0, 1]
    assert float(shown) ** 2 == pytest.approx(0.2, abs=0.02)


def test_frames_of_letters_and_oscillations() -> None:
    x, letters = data.morse(4, 12, 3, 1, noise=0.0)(0)
    for frames, word in zip(x.transpose(0, 1), letters.tolist(), strict=True):
        for place, letter in enumerate(word):
            part = frames[4 * place : 4 * place + 4]
            assert part.sum(0).argmax() == letter - 1
            assert part.sum() in (2, 3)
            assert part[3].sum() == 0
    x, y = data.swing(10, 5, 1)(0)
    torch.testing.assert_close(x[1:], y[:-1])
    # x_{t+1} = 2 e^-.03 cos(.5) x_t - e^-.06 x_{t-1}
    after = 2 * math.exp(-0.03) * math.cos(0.5) * x[1:] - math.exp(-0.06) * x[:-1]
    torch.testing.assert_close(y[1:], after, rtol=1e-3, atol=1e-4)


def test_changes_of_batches() -> None:
    plain, mixed = data.badge(6, 40, 1), data.mixed(data.badge(6, 40, 1), 3, since=1)
    assert bool((mixed(0)[1] == plain(0)[1]).all())
    (_, y), (_, moved) = plain(1), mixed(1)
    assert sorted(y.tolist()) == sorted(moved.tolist())
    assert not bool((y == moved).all())
    noisy = data.mislabelled(data.badge(6, 4000, 1), 0.4, 4, 2)
    x, y = noisy(0)
    assert float((x[0] != y).float().mean()) == pytest.approx(0.3, abs=0.03)
    x, y = data.finite(data.badge(6, 40, 1), 10, 4, 3, each=False)(0)
    assert x.shape == (6, 4)
    assert bool((x[0] == y).all())
    x, y = data.finite(data.boiler(6, 40, 1), 10, 4, 3, each=True)(0)
    assert x.shape == y.shape == (6, 4, 1)
    later = data.switched(data.badge(3, 2, 1), data.badge(5, 2, 1), 2)
    assert [len(later(step)[0]) for step in range(4)] == [3, 3, 5, 5]
