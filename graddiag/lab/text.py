"""The task text: predict each next character of real prose.

With no file it reads the reference documentation that ships with every CPython, English prose of some 465,000
characters, so that nothing has to be downloaded.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Generator, Tensor

from graddiag.errors import InputError
from graddiag.lab.task import Shape

BUILT_IN: Final = "pydoc_data.topics"
TEXT_DIGEST: Final = "text_sha256"  # in a run's configuration: which text it was, wherever the file lies


@dataclass(frozen=True)
class Corpus:
    """A text as numbers. ``vocabulary`` holds each character once, in order; ``symbols`` [characters] index it."""

    source: str
    vocabulary: str
    symbols: Tensor

    @classmethod
    def of(cls, text: str, source: str) -> "Corpus":
        vocabulary = "".join(sorted(set(text)))
        index = {character: number for number, character in enumerate(vocabulary)}
        return cls(source, vocabulary, torch.tensor([index[character] for character in text]))

    @property
    def digest(self) -> str:
        """SHA-256 of the text, over its vocabulary and its symbols."""
        return hashlib.sha256(self.vocabulary.encode() + self.symbols.numpy().tobytes()).hexdigest()

    def text(self, symbols: Tensor) -> str:
        return "".join(self.vocabulary[number] for number in symbols.tolist())


def read_text(path: Path | None) -> Corpus:
    """The characters of a UTF-8 file, or of Python's reference documentation where ``path`` is None.

    Raises:
        InputError: the file is missing, unreadable, not UTF-8 or empty.
    """
    if path is None:
        from pydoc_data.topics import topics

        return Corpus.of("\n".join(topics.values()), BUILT_IN)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"text {path}: it cannot be read ({error.strerror}); give --text a text file, UTF-8."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"text {path}: it is not UTF-8 (byte {error.start} is {error.object[error.start]:#04x}); "
            "convert it first, for example with iconv -t UTF-8."
        ) from error
    if not text:
        raise InputError(f"text {path}: it is empty; give --text a file with text in it.")
    return Corpus.of(text, str(path))


@dataclass(frozen=True)
class NextCharacter:
    """Windows of T characters from anywhere in a corpus; the target of each is the character after it.

    Raises:
        InputError: the corpus is shorter than one window and the character after it.
    """

    corpus: Corpus
    length: int
    batch_size: int

    loss_reduction = "mean over batch and timesteps"

    def __post_init__(self) -> None:
        found = len(self.corpus.symbols)
        if found <= self.length:
            raise InputError(
                f"text {self.corpus.source}: sequences of {self.length} characters need a text of {self.length + 1} "
                f"or more, found {found}; give a longer text, or a smaller --length."
            )

    @property
    def shape(self) -> Shape:
        return Shape(symbols=len(self.corpus.vocabulary), classes=len(self.corpus.vocabulary), answers="each")

    @property
    def config(self) -> Mapping[str, Any]:
        return {
            "text_source": self.corpus.source,
            "text_characters": len(self.corpus.symbols),
            TEXT_DIGEST: self.corpus.digest,
            "vocabulary": self.corpus.vocabulary,
        }

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        starts = torch.randint(len(self.corpus.symbols) - self.length, (self.batch_size,), generator=generator)
        windows = self.corpus.symbols[starts + torch.arange(self.length + 1).unsqueeze(1)]
        return windows[:-1], windows[1:]
