"""The tasks text and words: predict each next symbol, a character or a word, of a corpus."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Generator, Tensor

from graddiag.errors import InputError
from graddiag.lab.corpora import HELD_OUT, Corpus, read_characters, read_words
from graddiag.lab.streams import contiguous
from graddiag.lab.task import Batch, Shape

TEXT_DIGEST: Final = "text_sha256"  # in a run's configuration: which text it was, wherever the file lies


@dataclass(frozen=True)
class NextSymbol:
    """Windows of T symbols from anywhere in the training text; the target of each is the symbol after it.

    Raises:
        InputError: the text is shorter than one window and the symbol after it.
    """

    corpus: Corpus
    length: int
    batch_size: int

    loss_reduction = "mean over batch and timesteps"

    def __post_init__(self) -> None:
        found = len(self.corpus.train)
        if found < self.needed:
            raise InputError(
                f"text {self.corpus.source}: {self.words} need a text of {self.needed} or more, found {found}; "
                f"give a longer text, or {self.less}."
            )

    @property
    def needed(self) -> int:
        return self.length + 1

    @property
    def words(self) -> str:
        return f"sequences of {self.length} {self.corpus.unit}s"

    @property
    def less(self) -> str:
        return "shorter sequences"

    @property
    def shape(self) -> Shape:
        return Shape(symbols=len(self.vocabulary), classes=len(self.vocabulary), answers="each")

    @property
    def vocabulary(self) -> Sequence[str]:
        return self.corpus.vocabulary

    @property
    def counts(self) -> Sequence[int]:
        return self.corpus.counts

    @property
    def held_out(self) -> Tensor | None:
        return self.corpus.valid

    @property
    def tested_on(self) -> Tensor | None:
        return self.corpus.test

    @property
    def config(self) -> Mapping[str, Any]:
        corpus = self.corpus
        held_out = {} if corpus.valid is None else {"text_held_out": len(corpus.valid)}
        return {
            "text_source": corpus.source,
            f"text_{corpus.unit}s": len(corpus.train),
            **held_out,
            TEXT_DIGEST: corpus.digest,
            "vocabulary_size": len(corpus.vocabulary),
            "chance_loss": round(corpus.unigram_entropy, 6),
            **({} if corpus.entropy_rate is None else {"entropy_rate": round(corpus.entropy_rate, 6)}),
        }

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        starts = torch.randint(len(self.corpus.train) - self.length, (self.batch_size,), generator=generator)
        windows = self.corpus.train[starts + torch.arange(self.length + 1).unsqueeze(1)]
        return windows[:-1], windows[1:]


class NextInOrder(NextSymbol):
    """The training text in order, over and over: N streams of windows, each continued by the next."""

    @property
    def needed(self) -> int:
        return self.batch_size * (self.length + 1)

    @property
    def words(self) -> str:
        return f"{self.batch_size} streams of {self.length} {self.corpus.unit}s"

    @property
    def less(self) -> str:
        return "fewer or shorter streams"

    def stream(self) -> Iterator[Batch]:
        while True:
            yield from contiguous(self.corpus.train, self.length, self.batch_size)


def next_character(
    length: int, batch_size: int, path: Path | None, in_order: bool, evaluate_every: int | None
) -> NextSymbol:
    """The task text: of a file, or of ``graddiag.lab.grammar``; something is held out where it is evaluated."""
    corpus = read_characters(path, _held_out(evaluate_every))
    return (NextInOrder if in_order else NextSymbol)(corpus, length, batch_size)


def next_word(
    length: int, batch_size: int, path: Path | None, in_order: bool, evaluate_every: int | None, vocabulary: int | None
) -> NextSymbol:
    """The task words: of a file, or of Python's documentation, with the most frequent ``vocabulary`` words of it."""
    corpus = read_words(path, most=vocabulary, held_out=_held_out(evaluate_every))
    return (NextInOrder if in_order else NextSymbol)(corpus, length, batch_size)


def _held_out(evaluate_every: int | None) -> float:
    return 0.0 if evaluate_every is None else HELD_OUT
