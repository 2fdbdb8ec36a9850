"""Selective copy, associative recall, parity, Dyck-k and induction: each sequence read again, one by one, in Python."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator

from graddiag import load_run
from graddiag.errors import SettingError
from graddiag.lab import plan_run, train, training_spec
from graddiag.lab.answers import NOT_ASKED, loss_of, wrong_of
from graddiag.lab.associative_recall import AssociativeRecall
from graddiag.lab.dyck import Dyck
from graddiag.lab.induction import Induction
from graddiag.lab.parity import Parity
from graddiag.lab.selective_copy import SelectiveCopy
from graddiag.lab.tasks import make_task

N = 400
NAMES = ("selective-copy", "associative-recall", "parity", "dyck", "induction")
each = pytest.mark.parametrize("name", NAMES)


def columns(task: Any) -> list[tuple[list[int], list[int]]]:
    """Symbols and targets of each sequence of a batch, as they are in Python."""
    symbols, targets = task.batch(Generator().manual_seed(0))
    assert symbols.dtype == targets.dtype == torch.int64
    assert symbols.max() < task.shape.symbols
    assert targets.max() < task.shape.classes
    targets = targets if targets.dim() == 2 else targets.unsqueeze(0)
    return [(a.tolist(), b.tolist()) for a, b in zip(symbols.T, targets.T, strict=True)]


def test_selective_copy() -> None:
    places = set()
    for symbols, targets in columns(SelectiveCopy(12, N)):
        noticed = [symbol for symbol in symbols[:12] if symbol < 8]
        assert symbols[12:] == [9] * 4
        assert targets == [NOT_ASKED] * 12 + noticed
        places |= {place for place, symbol in enumerate(symbols[:12]) if symbol < 8}
    assert places == set(range(12))


def test_associative_recall() -> None:
    asked_at = set()
    for symbols, targets in columns(AssociativeRecall(20, N)):
        pairs = dict(zip(symbols[0:8:2], symbols[1:8:2], strict=True))
        assert len(pairs) == 4
        expected = [NOT_ASKED] * 8 + [pairs[s] - 8 if s in pairs else NOT_ASKED for s in symbols[8:]]
        assert targets == expected
        assert sorted(s for s in symbols[8:] if s != 16) == sorted(pairs)
        asked_at |= {t for t, target in enumerate(targets) if target != NOT_ASKED}
    assert asked_at == set(range(8, 20))


def test_parity() -> None:
    for symbols, targets in columns(Parity(9, N)):
        odd = False
        for bit in symbols:
            odd = not odd if bit else odd
        assert targets == [int(odd)]


@pytest.mark.parametrize(("kinds", "depth"), [(2, 2), (4, 3)])
def test_dyck(kinds: int, depth: int) -> None:
    deepest = 0
    for symbols, targets in columns(Dyck(30, N, kinds, depth)):
        stack: list[int] = []
        for symbol, target in zip(symbols, targets, strict=True):
            if symbol < kinds:
                stack.append(symbol)
                assert target == NOT_ASKED
            else:
                assert stack.pop() == symbol - kinds
                assert target == (stack[-1] if stack else NOT_ASKED)
            deepest = max(deepest, len(stack))
            assert len(stack) <= depth
        assert targets[2] != NOT_ASKED
    assert deepest == depth


def test_induction() -> None:
    places = set()
    for symbols, targets in columns(Induction(8, N)):
        assert symbols[-1] == 16
        (place,) = (t for t, symbol in enumerate(symbols[:-1]) if symbol == 16)
        assert targets == [symbols[place + 1]]
        places.add(place)
    assert places == set(range(6))


@each
def test_chance_is_what_knows_nothing_has(name: str) -> None:
    task = make_task(training_spec(name, "rnn", length=15, batch=2000))
    inputs, targets = task.batch(Generator().manual_seed(1))
    shape = task.shape
    outputs = torch.zeros(*(inputs.shape if shape.answers == "each" else inputs.shape[1:]), shape.classes)
    chance = str(task.config["chance_loss"])
    assert loss_of(shape, outputs, targets).item() == pytest.approx(math.log(int(chance.removeprefix("ln "))), rel=1e-5)
    constant = [wrong_of(shape, outputs + torch.eye(shape.classes)[k], targets).item() for k in range(shape.classes)]
    assert constant == pytest.approx([float(task.config["chance_error"])] * shape.classes, abs=0.05)


def test_what_is_not_asked_counts_nowhere() -> None:
    shape = SelectiveCopy(5, 1).shape
    outputs, targets = torch.randn(6, 3, 8), torch.full((6, 3), NOT_ASKED)
    targets[4] = torch.tensor([1, 2, 3])
    assert loss_of(shape, outputs, targets) == loss_of(shape, outputs[4:5], targets[4:5])
    outputs[4] = torch.eye(8)[[1, 2, 4]]
    assert wrong_of(shape, outputs, targets).item() == pytest.approx(1 / 3)


@each
def test_the_same_seed_draws_the_same_and_a_training_runs(name: str, tmp_path: Path) -> None:
    spec = training_spec(name, "rnn", length=12, steps=2, hidden=4, batch=3)
    task = make_task(spec)
    first, again, other = (task.batch(Generator().manual_seed(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    run = load_run(train(plan_run(spec), tmp_path).path)
    assert run.steps["loss"].notna().all()
    assert run.manifest.config["distance"] == task.config["distance"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SelectiveCopy(3, 1), "selective-copy: length 3 of at least 4, one for each symbol"),
        (lambda: AssociativeRecall(11, 1), "associative-recall: length 11 of at least 12, for 4 pairs"),
        (lambda: Dyck(2, 1), "dyck: length 2 of at least 3"),
        (lambda: Induction(2, 1), "induction: length 2 of at least 3"),
    ],
)
def test_lengths_that_cannot_be_meant(make: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        make()
