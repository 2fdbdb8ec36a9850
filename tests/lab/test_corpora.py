"""Texts as numbers: words and characters of a file and of a folder, what is held out, and what is unknown."""

import math
from pathlib import Path

import pytest
import torch

from graddiag.errors import InputError
from graddiag.lab.corpora import (
    characters,
    read_characters,
    read_words,
    repeated,
    unigram_perplexity,
    words_corpus,
    words_of,
)


def folder(at: Path, form: str = "ptb.{}.txt", **texts: str) -> Path:
    for name, text in texts.items():
        (at / form.format(name)).write_text(text)
    return at


def test_words_of_a_plain_text() -> None:
    assert words_of("The cat's 3,141.5 mats,\nfoo_bar(x2): L'Été!") == [
        *("the", "cat's", "N", "mats", ",", "<eos>"),
        *("foo", "_", "bar", "(", "x", "N", ")", ":", "l'été", "!"),
    ]  # fmt: skip


def test_the_vocabulary_goes_by_frequency_and_what_came_once_is_unknown() -> None:
    corpus = words_corpus("here", ["b", "a", "b", "a", "c", "b", "d"])
    assert corpus.vocabulary == ("b", "a", "<unk>")
    assert corpus.train.tolist() == [0, 1, 0, 1, 2, 0, 2]
    assert corpus.counts == (3, 2, 2)


def test_a_vocabulary_that_is_cut_keeps_the_most_frequent() -> None:
    corpus = words_corpus("here", ["b", "a", "b", "a", "b", "c", "c"], ["c", "b", "zzz"], most=2)
    assert corpus.vocabulary == ("<unk>", "b")
    assert corpus.counts == (4, 3)
    assert corpus.valid is not None
    assert corpus.valid.tolist() == [0, 1, 0]
    assert corpus.test is None


@pytest.mark.parametrize("form", ["ptb.{}.txt", "{}.txt", "wiki.{}.tokens"])
def test_a_folder_of_the_penn_treebank(tmp_path: Path, form: str) -> None:
    texts = {"train": " the <unk> sat \n\n the N \n", "valid": " the dog \n", "test": "sat\n"}
    corpus = read_words(folder(tmp_path, form, **texts))
    assert corpus.vocabulary == ("<eos>", "the", "sat", "N", "<unk>")
    assert corpus.train.tolist() == [1, 4, 2, 0, 0, 1, 3, 0]  # the empty line is an <eos> too
    assert corpus.valid is not None
    assert corpus.test is not None
    assert corpus.valid.tolist() == [1, 4, 0]
    assert corpus.test.tolist() == [2, 0]
    assert corpus.text(corpus.train) == "the <unk> sat \n \n the N \n"


def test_characters_of_a_folder_have_one_vocabulary(tmp_path: Path) -> None:
    corpus = read_characters(folder(tmp_path, "{}.txt", train="abab", valid="xa"))
    assert corpus.vocabulary == ("a", "b", "x")
    assert (corpus.train.tolist(), corpus.test) == ([0, 1, 0, 1], None)
    assert corpus.valid is not None
    assert corpus.valid.tolist() == [2, 0]


def test_the_end_of_a_single_text_is_held_out(tmp_path: Path) -> None:
    corpus = characters("abcdefghij", "here", held_out=0.3)
    assert corpus.valid is not None
    assert (corpus.text(corpus.train), corpus.text(corpus.valid)) == ("abcdefg", "hij")
    (tmp_path / "own.txt").write_text("a b a b a b a b c c")
    words = read_words(tmp_path / "own.txt", held_out=0.2)
    assert words.valid is not None
    assert words.text(words.valid) == "<unk> <unk>"
    assert read_words(tmp_path / "own.txt", held_out=0).valid is None


def test_the_digest_is_that_of_the_text_wherever_it_lies() -> None:
    one, other = characters("banana", "here"), characters("banana", "there")
    assert one.digest == other.digest
    assert one.digest != characters("banana", "here", held_out=0.5).digest
    assert words_corpus("a", ["x", "y", "x", "y"]).digest != words_corpus("a", ["x", "yx", "y", "yx"]).digest


def test_unigram_perplexity_by_hand() -> None:
    corpus = words_corpus("here", ["a", "a", "a", "b", "b", "b"], ["a", "b"])
    assert corpus.valid is not None
    # counts 3, 3 and <unk> 0, each one higher, of 9
    assert unigram_perplexity(corpus, corpus.valid) == pytest.approx(9 / 4)
    assert unigram_perplexity(corpus, torch.tensor([0])) == pytest.approx(math.exp(math.log(9 / 4)))


def test_what_is_held_out_and_was_read_before() -> None:
    train, held_out = torch.tensor([1, 2, 3, 1]), torch.tensor([2, 3, 4, 2, 3])
    assert repeated(train, held_out, 1) == pytest.approx(4 / 5)
    assert repeated(train, held_out, 2) == pytest.approx(2 / 4)
    assert repeated(train, held_out, 5) == 0
    assert math.isnan(repeated(train, held_out, 6))


def test_the_built_in_text_by_words() -> None:
    corpus = read_words(None, most=2000)
    assert len(corpus.vocabulary) == 2000
    assert len(corpus.train) > 80_000
    assert {"the", "<eos>", "<unk>"} <= set(corpus.vocabulary[:20])
    assert corpus.valid is not None
    assert 1 < unigram_perplexity(corpus, corpus.valid) < 2000


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({}, r"the folder has no training text; it is to hold ptb\.train\.txt, ptb\.valid\.txt and ptb\.test\.txt, or"),
        ({"train": "a b"}, r"it has ptb\.train\.txt but no ptb\.valid\.txt, on which to measure; add it\.$"),
        ({"train": "a b", "valid": ""}, r"ptb\.valid\.txt: it is empty; give"),
        ({"train": "a b a", "valid": " \n "}, r"the validation text holds no word of the training text; is it of the"),
        ({"train": "a b a", "valid": "a", "test": "x y"}, r"the test text holds no word of the training text; is it"),
        ({"train": " \n ", "valid": "a"}, r"there is no word in it; give a text with words in it\.$"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path, texts: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_words(folder(tmp_path, **texts))


@pytest.mark.parametrize(("text", "held_out"), [("a a b", 0.1), ("a a b", 1.0)])
def test_a_text_too_short_to_hold_anything_out_is_told(tmp_path: Path, text: str, held_out: float) -> None:
    (tmp_path / "own.txt").write_text(text)
    with pytest.raises(
        InputError, match=r"own\.txt: 3 symbols are too few to hold \d+% of them out, 2 at least; give a longer text"
    ):
        read_words(tmp_path / "own.txt", held_out=held_out)
    with pytest.raises(InputError, match=r"^text here: 3 symbols are too few to hold \d+% of them out"):
        characters("abc", "here", held_out)


def test_what_is_held_out_can_be_guessed(tmp_path: Path) -> None:
    """Of a single symbol there is nothing to guess: a training would end in the middle, where it is measured first."""
    (tmp_path / "few.txt").write_text("a " * 12)
    with pytest.raises(InputError, match=r"few\.txt: 12 symbols are too few to hold 10% of them out, 2 at least; give"):
        read_words(tmp_path / "few.txt")
    with pytest.raises(
        InputError, match=r"^text here: 10 symbols are too few to hold 10% of them out, 2 at least; give"
    ):
        characters("abcdefghij", "here", 0.1)
    assert len(read_words(tmp_path / "few.txt", held_out=0.2).valid) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("short", ["valid", "test"])
def test_a_file_of_one_character_measures_nothing(tmp_path: Path, short: str) -> None:
    texts = {"train": "ab", "valid": "ab", "test": "ab", short: "a"}
    name = "validation" if short == "valid" else short
    with pytest.raises(InputError, match=rf"the {name} text has 1 symbol, and 2 are needed, of which the second is"):
        read_characters(folder(tmp_path, **texts))


def test_empty_lines_alone_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("\n\n\n\n")
    with pytest.raises(InputError, match=r"there is no word in it"):
        read_words(tmp_path / "own.txt", held_out=0)
