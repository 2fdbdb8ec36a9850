"""The cloze task: the answer follows from one early word alone, and stands as far away as it says."""

import pytest
import torch

from graddiag.errors import SettingError
from graddiag.lab.cloze import ANSWERS, WORDS, Cloze, sentence


def test_sentences_by_value() -> None:
    symbols, targets = Cloze(gap=3, batch_size=200).batch(torch.Generator().manual_seed(0))
    assert symbols.shape == (8, 200)
    pairs = {sentence(symbols[:, n]): ANSWERS[target] for n, target in enumerate(targets.tolist())}
    assert pairs["i grew up in france i speak fluent"] == "french"
    assert pairs["i think that the clouds are in the"] == "sky"
    assert len(pairs) == len(ANSWERS) == 16


def test_the_word_that_tells_stands_a_gap_before_the_last() -> None:
    gap = 11
    symbols, targets = Cloze(gap, batch_size=500).batch(torch.Generator().manual_seed(1))
    told = symbols[-1 - gap]
    answers: dict[int, set[int]] = {}
    for word, target in zip(told.tolist(), targets.tolist(), strict=True):
        answers.setdefault(word, set()).add(target)
    assert len(answers) == 16
    assert all(len(found) == 1 for found in answers.values())
    elsewhere = torch.cat([symbols[: -1 - gap], symbols[-gap:]])
    assert not set(elsewhere.unique().tolist()) & set(answers)
    assert max(symbols.unique().tolist()) < len(WORDS)


def test_a_gap_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^cloze: a gap of 2 timesteps, and the words that ask are 3 already\.$"):
        Cloze(2, 1)
