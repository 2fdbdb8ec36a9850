"""The next part of the suite: what it holds, and its data against a slow second way."""

import math
from collections import Counter

import pytest
import torch

from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts.suite import cases


def test_the_next_part_has_short_and_long_trainings_that_learn_and_that_fail() -> None:
    found = cases(("next",))
    long = [each for each in found if each.training]
    short = [each for each in found if not each.training]
    assert max(Counter(each.name for each in found).values()) == 1
    assert len({each.key for each in found}) == len(long) / 3 + len(short)
    assert Counter(each.at for each in long) == {0.1: len(long) / 3, 0.5: len(long) / 3, 1.0: len(long) / 3}
    assert len(long) / 3 >= 24
    assert len(short) >= 130
    assert len({each.family for each in found}) >= 80
    assert 0.4 <= sum(each.label.healthy for each in found) / len(found) <= 0.5
    assert sum(each.label.failed for each in found) >= 105
    assert min(sum(each.label.failed for each in part) for part in (long, short)) >= 25
    ends = [each.label.failed for each in long if each.at == 1.0]
    assert sum(ends) >= len(ends) / 2


def test_no_label_of_the_next_part_contradicts_itself() -> None:
    for case in cases(("next",)):
        good = {"learned", "learning"} & set(case.label.outcomes)
        assert not (case.label.failed and (case.label.healthy or good)), case.name
        assert case.label.actions, case.name
        assert len(set(case.label.outcomes)) == len(case.label.outcomes), case.name


def test_classes_follow_from_the_symbols() -> None:
    x, y = data.spotted(9, 60, 1)(0)
    for symbols, found in zip(x.t().tolist(), y.tolist(), strict=True):
        assert [symbol for symbol in symbols if symbol < data.WORDS] == [found]
    assert bool((data.spotted(9, 60, 1, first=True)(0)[0][0] < data.WORDS).all())
    x, y = data.which_first(9, 60, 1)(0)
    for symbols, found in zip(x.t().tolist(), y.tolist(), strict=True):
        assert (symbols.index(1) < symbols.index(0)) == bool(found)
    x, y = data.basket(8, 60, 1)(0)
    for goods, found in zip(x.t().tolist(), y.tolist(), strict=True):
        assert [float(kind in goods) for kind in range(4)] == found
    x, y = data.parcels(12, 60, 1, most=8)(0)
    lengths = [sum(symbol != data.FILLER for symbol in symbols) for symbols in x.t().tolist()]
    assert lengths == sorted(lengths, reverse=True)
    assert (min(lengths), max(lengths)) == (3, 8)
    assert bool((x[0] == y).all())


def test_targets_at_each_timestep() -> None:
    x, y = data.machine(12, 30, 1)(0)
    for symbols, states in zip(x.t().tolist(), y.t().tolist(), strict=True):
        state = 0
        for symbol, found in zip(symbols, states, strict=True):
            state = [(state + 1) % 5, 0, state][symbol]
            assert found == state
    x, y = data.turns(9, 30, 1)(0)
    for steps, places in zip(x.t().tolist(), y.t().tolist(), strict=True):
        assert places == [sum(2 * step - 1 for step in steps[: t + 1]) % 3 for t in range(9)]
    x, y = data.sorting(6, 30, 1)(0)
    assert [sorted(symbols) for symbols in x.t().tolist()] == y.t().tolist()
    draw = data.stream(3, 5, 4, 1)
    parts = [draw(step) for step in range(3)]
    x, y = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
    assert bool((y[3:] == x[:-3]).all())


def test_the_law_of_verses() -> None:
    x, y = data.verses(500, 40, 1)(0)
    assert bool((x[1:] == y[:-1]).all())
    right = (y[1:] == (x[1:] + x[:-1]) % 8).float().mean()
    assert float(right) == pytest.approx(0.85 + 0.15 / 8, abs=0.01)


def test_load_pendulum_and_battery() -> None:
    x, y = data.load(10, 4000, 1, unit=2.0, level=5.0)(0)
    torch.testing.assert_close(x[1:, :, 0], (y[:-1, :, 0] - 5) / 2, rtol=1e-4, atol=1e-4)
    rest = (y[..., 0] - 5) / 2 - 0.7 * x[..., 0]
    assert float((rest - 0.5 * x[..., 1]).std()) == pytest.approx(0.2, abs=0.01)
    x, y = data.pendulum(8, 3, 1, noise=0.0)(0)
    for n in range(3):
        angle = speed = 0.0
        for t in range(8):
            speed = 0.6 * speed - 0.4 * math.sin(angle) + 0.4 * float(x[t, n, 0])
            angle += speed
            assert float(y[t, n, 0]) == pytest.approx(angle, abs=1e-4)
    x, y = data.battery(9, 5, 1, unit=3.0, level=1.0)(0)
    for currents, found in zip(x[..., 0].t().tolist(), y[:, 0].tolist(), strict=True):
        assert found == pytest.approx(1 + sum(0.8 * c if c > 0 else c for c in currents), abs=1e-4)
    x, y = data.quotes(5, 50_000, 1, share=0.2)(0)
    assert float(y.var()) == pytest.approx(1.0, abs=0.03)
    shown = torch.corrcoef(torch.stack([x[-1, :, 1] - x[-2, :, 1], y[:, 0]]))[0, 1]
    assert float(shown) ** 2 == pytest.approx(0.2, abs=0.02)


def test_times_counts_and_alarms() -> None:
    x, y = data.lifetimes(6, 50_000, 1, end=2.0)(0)
    assert float(y[:, 0].max()) == 2.0
    assert bool(((y[:, 0] < 2) == (y[:, 1] == 1)).all())
    scale = (0.8 * x[..., 0].mean(0) * 6**0.5).exp()
    seen = 1 - (-2 / scale).exp()
    assert float(y[:, 1].mean()) == pytest.approx(float(seen.mean()), abs=0.01)
    x, y = data.calls(1, 50_000, 1)(0)
    assert float(y.mean()) == pytest.approx(float((0.4 * x + 0.5).exp().mean()), abs=0.03)
    x, y = data.alarms(9, 4000, 0.2, 1, noise=0.0)(0)
    assert x[..., 0].sum(0).tolist() == pytest.approx((4.5 * y[:, 0]).tolist())
    assert float(y.mean()) == pytest.approx(0.2, abs=0.03)


def test_frames_strokes_and_tides() -> None:
    x, letters = data.speech(3, 12, 1, noise=0.0)(0)
    for frames, word in zip(x.transpose(0, 1), letters.tolist(), strict=True):
        for place, letter in enumerate(word):
            part = frames[5 * place : 5 * place + 5]
            assert part.sum(0).argmax() == letter - 1
            assert part.sum() in (2, 3, 4)
            assert part[4].sum() == 0
    x, y = data.gestures(6, 20, 1, noise=0.0, size=3.0)(0)
    assert x.norm(dim=-1).flatten().tolist() == pytest.approx([3.0] * 120, abs=1e-4)
    angle = torch.atan2(x[..., 1], x[..., 0])
    turned = angle.diff(dim=0).remainder(2 * math.pi)
    torch.testing.assert_close(turned.cos(), (0.25 * y).expand(5, -1).cos(), rtol=1e-3, atol=1e-3)
    x, y = data.tides(84, 50, 1, noise=0.0)(0)
    assert x is y
    fitted = torch.stack([(2 * math.pi * torch.arange(84) / 12).sin(), (2 * math.pi * torch.arange(84) / 7).cos()], -1)
    rest = torch.linalg.lstsq(fitted, x[..., 0]).solution
    torch.testing.assert_close(fitted @ rest, x[..., 0], rtol=1e-3, atol=1e-3)
