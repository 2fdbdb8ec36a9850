"""Texts as numbers, by characters or by words, with what is held out from training apart.

A text is a UTF-8 file, whose last part may be held out; or a folder in the format of the Penn Treebank, with a file for
training, one for validation and one for testing. With no path nothing has to be downloaded: characters are those of
``graddiag.lab.grammar``, the same text everywhere and of known entropy; words are those of the reference documentation
that ships with CPython, English prose of some 465,000 characters (Python 3.11; other versions have other texts).

Words of a file: letters with their apostrophes, in lower case; a number is N; every other sign is a separate word,
and the end of a line is <eos>. In a folder words are between spaces already and are taken as they are; a line ends
in <eos>, an empty one too, as PyTorch's example of a word language model reads WikiText.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor

from graddiag.errors import InputError
from graddiag.lab.grammar import SOURCE, entropy_rate, grammar_text
from graddiag.lab.textfiles import DOCUMENTATION, Splits, read_splits

Unit = Literal["character", "word"]
UNKNOWN: Final = "<unk>"
END: Final = "<eos>"
HELD_OUT: Final = 0.1  # of a single text, from its end
LEAST: Final = 2  # symbols of a text to measure on: one that is read, and one that is guessed from it
_WORD: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W\d_]+)*|\n|[^\w\s]|_+")


@dataclass(frozen=True)
class Corpus:
    """A text as numbers.

    Attributes:
        vocabulary: every symbol once; ``train``, ``valid`` and ``test`` [symbols], int64, index it.
        valid, test: what is held out from training; None where nothing is.
        entropy_rate: nats a symbol that nothing can predict, where the source of the text is known; None elsewhere.
    """

    source: str
    unit: Unit
    vocabulary: tuple[str, ...]
    train: Tensor
    valid: Tensor | None = None
    test: Tensor | None = None
    entropy_rate: float | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text, over its vocabulary and its symbols."""
        glue = "" if self.unit == "character" else "\0"
        found = hashlib.sha256(glue.join(self.vocabulary).encode())
        for name, part in (("", self.train), ("valid", self.valid), ("test", self.test)):
            if part is not None:
                found.update(name.encode() + part.numpy().tobytes())
        return found.hexdigest()

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How often each symbol comes in the training text, [V]."""
        return tuple(torch.bincount(self.train, minlength=len(self.vocabulary)).tolist())

    @property
    def unigram_entropy(self) -> float:
        """Nats a symbol of the training text's frequencies: the loss of what knows those alone."""
        counts = torch.tensor(self.counts, dtype=torch.float64)
        return float(-torch.xlogy(counts, counts / counts.sum()).sum() / counts.sum())

    def text(self, symbols: Tensor) -> str:
        """The symbols written out: characters one after another, words with spaces between, lines as they end."""
        parts = [self.vocabulary[number] for number in symbols.tolist()]
        if self.unit == "character":
            return "".join(parts)
        return " ".join("\n" if part == END else part for part in parts)


def characters(text: str, source: str, held_out: float = 0.0) -> Corpus:
    """``text`` by characters, the last ``held_out`` of it apart; the vocabulary is that of all of it, in order."""
    return _by_character(_cut(text, held_out, source), source)


def read_characters(path: Path | None, held_out: float = 0.0) -> Corpus:
    """The characters of a file or of a folder; with no path, of ``graddiag.lab.grammar``.

    Args:
        held_out: the share of a single text, from its end, that is not for training; a folder has a file for that.

    Raises:
        InputError: a file that is missing, unreadable, not UTF-8 or empty; fewer than two symbols to measure on.
    """
    if path is None:
        return replace(characters(grammar_text(), SOURCE, held_out), entropy_rate=entropy_rate())
    found, source = read_splits(path), str(path)
    if found.single:
        return characters(found.train, source, held_out)
    corpus = _by_character(found, source)
    _check_measurable(corpus)
    return corpus


def read_words(path: Path | None, *, most: int | None = None, held_out: float = HELD_OUT) -> Corpus:
    """The words of a file or of a folder; with no path, of Python's reference documentation.

    The vocabulary is that of the training text, the most frequent first; a word outside of it is <unk>. Where the
    training text has no <unk>, the words that come in it once are: so there is something to learn of them.

    Args:
        most: how many words the vocabulary has at most, <unk> among them; None keeps all.
        held_out: as for ``read_characters``.

    Raises:
        InputError: as ``read_characters``; a text without words, or one to be held out of which no word is known.
    """
    path = path or DOCUMENTATION
    found, source = read_splits(path), str(path)
    if found.single:
        words = words_of(found.train)
        cut = _held_out_from(len(words), held_out, source)
        return words_corpus(source, words[:cut], words[cut:] if held_out else None, most=most)
    parts = [None if part is None else _lines(part) for part in (found.train, found.valid, found.test)]
    assert parts[0] is not None
    corpus = words_corpus(source, parts[0], parts[1], parts[2], most=most)
    _check_measurable(corpus)
    _check_known(corpus)
    return corpus


def words_of(text: str) -> list[str]:
    """The words of a plain text, as the head of this module says."""
    return [_written(found) for found in _WORD.findall(text.lower())]


def words_corpus(
    source: str,
    train: Sequence[str],
    valid: Sequence[str] | None = None,
    test: Sequence[str] | None = None,
    *,
    most: int | None = None,
) -> Corpus:
    """A corpus of words out of lists of them; see ``read_words``.

    Raises:
        InputError: there is no word to train on.
    """
    if not set(train) - {END}:
        raise InputError(f"text {source}: there is no word in it; give a text with words in it.")
    counts = Counter(train)
    if UNKNOWN not in counts:
        once = sum(1 for count in counts.values() if count == 1)
        counts = Counter({word: count for word, count in counts.items() if count > 1})
        counts[UNKNOWN] = once
    kept = [word for word, _ in counts.most_common() if word != UNKNOWN][: None if most is None else most - 1]
    unseen = sum(counts.values()) - sum(counts[word] for word in kept)
    place = sum(1 for word in kept if counts[word] >= unseen)
    vocabulary = (*kept[:place], UNKNOWN, *kept[place:])
    index = {word: number for number, word in enumerate(vocabulary)}

    def numbers(words: Sequence[str] | None) -> Tensor | None:
        return None if words is None else torch.tensor([index.get(word, place) for word in words], dtype=torch.int64)

    symbols = numbers(train)
    assert symbols is not None
    return Corpus(source, "word", vocabulary, symbols, numbers(valid), numbers(test))


def unigram_perplexity(corpus: Corpus, symbols: Tensor) -> float:
    """Perplexity of ``symbols`` under the frequencies of the training text, each count one higher (Laplace)."""
    counts = torch.tensor(corpus.counts, dtype=torch.float64) + 1
    return math.exp(-(counts / counts.sum()).log()[symbols].mean().item())


def repeated(train: Tensor, held_out: Tensor, length: int) -> float:
    """The share of the sequences of ``length`` symbols in ``held_out`` that ``train`` has too; NaN if there are none.

    What is repeated can be memorized: a perplexity on it says little about new text.
    """
    known, asked = (Counter(_sequences(text, length)) for text in (train, held_out))
    return sum(count for sequence, count in asked.items() if sequence in known) / (asked.total() or math.nan)


def _sequences(text: Tensor, length: int) -> Iterable[tuple[int, ...]]:
    symbols = text.tolist()
    return zip(*(symbols[start:] for start in range(length)), strict=False)


def _by_character(splits: Splits, source: str) -> Corpus:
    parts = (splits.train, splits.valid, splits.test)
    vocabulary = tuple(sorted(set("".join(part for part in parts if part))))
    index = {character: number for number, character in enumerate(vocabulary)}

    def numbers(text: str | None) -> Tensor | None:
        return None if text is None else torch.tensor([index[character] for character in text], dtype=torch.int64)

    train = numbers(splits.train)
    assert train is not None
    return Corpus(source, "character", vocabulary, train, numbers(splits.valid), numbers(splits.test))


def _cut(text: str, held_out: float, source: str) -> Splits:
    if not held_out:
        return Splits(text)
    cut = _held_out_from(len(text), held_out, source)
    return Splits(text[:cut], text[cut:])


def _held_out_from(symbols: int, held_out: float, source: str) -> int:
    """Where the held-out end of a text begins; with a share above 0 something is before it, and ``LEAST`` are in it."""
    if not held_out:
        return symbols
    cut = round(symbols * (1 - held_out))
    if symbols and not 0 < cut <= symbols - LEAST:
        raise InputError(
            f"text {source}: {symbols} symbols are too few to hold {held_out:.0%} of them out, {LEAST} at least; "
            "give a longer text."
        )
    return cut


def _check_measurable(corpus: Corpus) -> None:
    for name, part in (("validation", corpus.valid), ("test", corpus.test)):
        if part is not None and len(part) < LEAST:
            raise InputError(
                f"text {corpus.source}: the {name} text has {len(part)} symbol, and {LEAST} are needed, of which the "
                "second is guessed from the first; give a longer one."
            )


def _check_known(corpus: Corpus) -> None:
    """A text that shares no word with the training text is of another language, or written in another way."""
    known = torch.tensor([word not in (UNKNOWN, END) for word in corpus.vocabulary])
    for name, part in (("validation", corpus.valid), ("test", corpus.test)):
        if part is not None and not known[part].any():
            raise InputError(
                f"text {corpus.source}: the {name} text holds no word of the training text; is it of the same language "
                "and written in the same way (case, signs apart)?"
            )


def _written(found: str) -> str:
    return END if found == "\n" else "N" if found[0].isdigit() else found


def _lines(text: str) -> list[str]:
    """The words of a file in the format of the Penn Treebank: between spaces, <eos> at the end of each line."""
    return [word for line in text.removesuffix("\n").split("\n") for word in (*line.split(), END)]
