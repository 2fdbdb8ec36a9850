"""The synthetic tasks by value: where things stand, what is answered, and what it is to know nothing."""

import math

import pytest
import torch
from torch import Generator

from graddiag.errors import SettingError
from graddiag.lab.adding_task import CHANCE, Marked
from graddiag.lab.memory import Memorisation, Permutation, Recall
from graddiag.lab.temporal_order import TemporalOrder


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("length", [10, 37, 100])
def test_three_bits_in_three_ranges(length: int) -> None:
    task = TemporalOrder(length, 2000, places=3)
    symbols, targets = task.batch(generator())
    placed = symbols < 2
    assert placed.sum(0).eq(3).all()
    ranges = [(int(start * length), int(start * length) + int(0.1 * length)) for start in (0.1, 0.3, 0.6)]
    found = placed.nonzero()[:, 0]
    assert set(found.tolist()) == {place for start, end in ranges for place in range(start, end)}
    for column in range(50):
        a, b, c = symbols[placed[:, column], column].tolist()
        assert targets[column] == a + 2 * b + 4 * c
    assert targets.bincount().min() > 150
    assert task.shape.classes == 8
    distance = length - 1 - int(0.1 * length)
    assert task.config == {"distance": distance, "chance_loss": "ln 8", "chance_error": 0.875}


@pytest.mark.parametrize("said", ["mean", "sum", "product"])
def test_two_numbers_are_marked_and_answered(said: str) -> None:
    task = Marked(50, 4000, said)
    source, lengths = generator(), set()
    for _ in range(40):
        x, y = task.batch(source)
        length = len(x)
        lengths.add(length)
        marks = x[..., 1]
        assert marks.sum(0).eq(2).all()
        first = marks.argmax(0)
        second = length - 1 - marks.flip(0).argmax(0)
        assert first.min() == 0
        assert first.max() == int(0.1 * length) - 1
        assert second.min() == int(0.1 * length)
        assert second.max() == int(0.5 * length) - 1
        a, b = (x[place, torch.arange(4000), 0] for place in (first, second))
        assert torch.equal(y, {"mean": (a + b) / 2, "sum": a + b, "product": a * b}[said])
    assert lengths == set(range(50, 55))
    assert task.config["distance"] == 53
    assert y.var().item() == pytest.approx(CHANCE[said][1], rel=0.06)


def test_a_short_one_has_lengths_too() -> None:
    assert len(Marked(10, 3, "mean").batch(generator())[0]) == 10


def test_recall_asks_for_the_first() -> None:
    task = Recall(gap=7, batch_size=500, choices=3)
    symbols, targets = task.batch(generator())
    assert symbols.shape == (8, 500)
    assert torch.equal(targets, symbols[0])
    assert set(symbols[0].tolist()) == {0, 1, 2}
    assert set(symbols[1:].flatten().tolist()) == {3, 4, 5, 6}
    assert task.config["distance"] == 7


def test_random_permutation_says_again_what_came_first() -> None:
    symbols, targets = Permutation(30, 500).batch(generator())
    assert torch.equal(targets, symbols[0])
    assert set(targets.tolist()) == {0, 1}
    assert symbols[1:].min() == 2
    assert symbols.max() == 99


@pytest.mark.parametrize("values", [5, 8])
def test_memorisation_says_the_pattern_after_the_call(values: int) -> None:
    delay = 13
    task = Memorisation(delay, 200, values)
    symbols, targets = task.batch(generator())
    assert symbols.shape == targets.shape == (delay + 20, 200)
    assert torch.equal(symbols[:10], targets[-10:])
    assert symbols[:10].max() == values - 1
    assert (symbols == values + 1).nonzero()[:, 0].unique().tolist() == [delay + 9]
    assert targets[:-10].eq(values).all()
    assert symbols[delay + 10 :].eq(values).all()
    # the best that knows the rule and not the pattern: certain where nothing comes, a guess of one in `values` after it
    told = torch.cat([torch.zeros(delay + 10), torch.full((10,), math.log(values))]).mean()
    assert told.item() == pytest.approx(10 * math.log(values) / (delay + 20))
    assert task.config["chance_loss"] == f"10 ln {values} / {delay + 20}"


def test_batches_come_from_the_generator_alone() -> None:
    for task in (Marked(20, 3, "sum"), Recall(5, 3), Permutation(9, 3), Memorisation(4, 3), TemporalOrder(20, 3, 3)):
        (first, _), (again, _), (other, _) = (task.batch(generator(seed)) for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert first.shape != other.shape or not torch.equal(first, other)


def test_settings_that_cannot_be_meant() -> None:
    with pytest.raises(SettingError, match="length 9: the first mark is in the first tenth"):
        Marked(9, 3, "sum")
    with pytest.raises(SettingError, match="recall: gap 0 of at least 1"):
        Recall(0, 3)
    with pytest.raises(SettingError, match="permutation: length 1 of at least 2"):
        Permutation(1, 3)
    with pytest.raises(SettingError, match="memorisation: delay 0 of at least 1"):
        Memorisation(0, 3)
