"""The tasks by value: where symbols stand, what is answered, and texts that cannot be used."""

import math
import os
from pathlib import Path

import pytest
import torch
from torch import Generator

from graddiag.errors import InputError, SettingError
from graddiag.lab.corpora import characters, read_characters
from graddiag.lab.next_symbol import NextSymbol
from graddiag.lab.temporal_order import TemporalOrder
from graddiag.lab.textfiles import DOCUMENTATION


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def test_each_target_is_the_character_after() -> None:
    task = NextSymbol(characters("abcdefghij", "here"), length=4, batch_size=5)
    symbols, targets = task.batch(generator())
    assert symbols.shape == targets.shape == (4, 5)
    assert torch.equal(targets, symbols + 1)


def test_a_window_may_start_anywhere_and_reach_the_end() -> None:
    task = NextSymbol(characters("abcdef", "here"), length=4, batch_size=100)
    symbols, targets = task.batch(generator())
    assert set(symbols[0].tolist()) == {0, 1}
    assert targets.max() == 5


def test_batches_come_from_the_generator_alone() -> None:
    task = NextSymbol(read_characters(None), length=20, batch_size=3)
    (first, _), (again, _), (other, _) = (task.batch(generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_documentation_of_python_is_english_prose() -> None:
    corpus = read_characters(DOCUMENTATION)
    assert corpus.source == "pydoc_data.topics"
    assert corpus.entropy_rate is None
    assert len(corpus.train) > 400_000
    assert " the " in corpus.text(corpus.train[:2000])


def test_a_text_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_bytes("\ufeffné à l'est\r\n".encode())
    corpus = read_characters(path)
    assert corpus.text(corpus.train) == "né à l'est\n"
    assert "".join(corpus.vocabulary) == "\n 'elnstàé"


def test_a_text_task_keeps_its_vocabulary() -> None:
    task = NextSymbol(characters("banana", "here"), length=2, batch_size=1)
    digest = task.corpus.digest
    assert task.config == {
        "text_source": "here",
        "text_characters": 6,
        "text_sha256": digest,
        "vocabulary_size": 3,
        "chance_loss": pytest.approx(math.log(6) / 6 + math.log(2) / 2 + math.log(3) / 3, abs=1e-6),
    }
    assert characters("banana", "there").digest == digest
    assert characters("bananb", "there").digest != digest
    assert task.shape.symbols == task.shape.classes == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"text .*own\.txt: it cannot be read \(No such file or directory\); give a text file, UTF-8\.$"),
        (b"", r"text .*own\.txt: it is empty; give a file with text in it\.$"),
        (
            b"caf\xe9 noir",
            r"text .*own\.txt: it is not UTF-8 \(byte 3 is 0xe9\); convert it first, for example with iconv",
        ),
    ],
)
def test_a_text_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "own.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_characters(path)


def test_a_folder_without_a_training_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder has no training text; it is to hold ptb\.train\.txt, "):
        read_characters(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_text_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text("text")
    path.chmod(0)
    with pytest.raises(InputError, match=r"it cannot be read \(Permission denied\)"):
        read_characters(path)


def test_a_text_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"text here: sequences of 5 characters need a text of 6 or more, found 5; give a longer"
    ):
        NextSymbol(characters("abcde", "here"), length=5, batch_size=1)
    NextSymbol(characters("abcdef", "here"), length=5, batch_size=1).batch(generator())


def test_temporal_order_places_its_symbols_where_pascanu_did() -> None:
    task = TemporalOrder(length=30, batch_size=500)
    symbols, targets = task.batch(generator())
    assert symbols.shape == (30, 500)
    assert set(symbols.unique().tolist()) == set(range(6))
    ordered = symbols < 2
    assert (ordered.sum(0) == 2).all()
    positions = ordered.int().argsort(dim=0, descending=True, stable=True)[:2]
    assert set(positions[0].tolist()) == {3, 4, 5}
    assert set(positions[1].tolist()) == {15, 16, 17}
    first, second = symbols.gather(0, positions)
    assert torch.equal(targets, first + 2 * second)
    assert set(targets.tolist()) == {0, 1, 2, 3}


def test_temporal_order_is_as_short_as_ten() -> None:
    symbols, _ = TemporalOrder(length=10, batch_size=50).batch(generator())
    assert ((symbols < 2).nonzero()[:, 0].unique()).tolist() == [1, 5]
    with pytest.raises(SettingError, match=r"length 9: temporal order places .* needs a length of 10 or more\.$"):
        TemporalOrder(length=9, batch_size=1)
