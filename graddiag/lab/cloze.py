"""A word asked late that only a word from early on tells: "the clouds are in the sky", "I grew up in France ... I speak
fluent French"."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Generator, Tensor

from graddiag.errors import SettingError
from graddiag.lab.task import Shape

_ORIGINS: Final = {
    "france": "french",
    "germany": "german",
    "italy": "italian",
    "spain": "spanish",
    "china": "chinese",
    "russia": "russian",
    "japan": "japanese",
    "poland": "polish",
}
_SUBJECTS: Final = {
    "clouds": "sky",
    "fish": "sea",
    "cars": "street",
    "books": "library",
    "cows": "meadow",
    "plates": "kitchen",
    "trains": "station",
    "stars": "night",
}
_TEMPLATES: Final = (
    (("i", "grew", "up", "in"), _ORIGINS, ("i", "speak", "fluent")),
    (("i", "think", "that", "the"), _SUBJECTS, ("are", "in", "the")),
)
_FILLER: Final = (
    *("and", "then", "we", "went", "on", "a", "long", "way", "to", "see"),
    *("what", "was", "new", "but", "it", "rained", "so", "nobody", "came"),
)
_BEFORE, _ASKING = 4, 3  # words of a template before the one that tells, and last

WORDS: Final = tuple(
    dict.fromkeys(
        word for start, told, asking in _TEMPLATES for word in (*start, *told, *asking, *_FILLER)
    )
)  # fmt: skip
ANSWERS: Final = (*_ORIGINS.values(), *_SUBJECTS.values())


@dataclass(frozen=True)
class Cloze:
    """One of two sentences, with words of no meaning in its middle; ``gap`` timesteps before the last word that is read
    is the one that gives the answer. By chance the loss is ln 8: the sentence itself tells which eight it can be.

    Raises:
        SettingError: a gap shorter than the three words that ask.
    """

    gap: int
    batch_size: int

    loss_reduction = "mean over batch, at the last timestep"

    def __post_init__(self) -> None:
        if self.gap < _ASKING:
            raise SettingError(f"cloze: a gap of {self.gap} timesteps, and the words that ask are {_ASKING} already.")

    @property
    def shape(self) -> Shape:
        return Shape(symbols=len(WORDS), classes=len(ANSWERS), answers="last")

    @property
    def config(self) -> Mapping[str, Any]:
        return {"distance": self.gap, "chance_loss": "ln 8", "chance_error": 0.875}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        which = torch.randint(len(_TEMPLATES), (self.batch_size,), generator=generator)
        told = torch.randint(len(_ORIGINS), (self.batch_size,), generator=generator)
        filler = torch.randint(len(_FILLER), (self.gap - _ASKING, self.batch_size), generator=generator)
        start, asking = (_columns(place)[:, which] for place in (0, 2))
        telling = _TELLING[which, told].unsqueeze(0)
        return torch.cat([start, telling, _NUMBERED[filler], asking]), which * len(_ORIGINS) + told


def sentence(symbols: Tensor) -> str:
    """The words of one sequence, [T]."""
    return " ".join(WORDS[number] for number in symbols.tolist())


def _number(word: str) -> int:
    return WORDS.index(word)


def _columns(place: int) -> Tensor:
    """The words of every template at its beginning (0) or its end (2): [words, templates]."""
    return torch.tensor([[_number(word) for word in template[place]] for template in _TEMPLATES]).T


_NUMBERED: Final = torch.tensor([_number(word) for word in _FILLER])
_TELLING: Final = torch.tensor([[_number(word) for word in told] for _, told, _ in _TEMPLATES])
