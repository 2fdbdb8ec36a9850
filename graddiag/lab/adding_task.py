"""The tasks adding and multiplication: two of many numbers are marked; say their mean, their sum or their product.

Every timestep has a number between 0 and 1 and a mark that is 1 at two of them and 0 elsewhere. The first of these is
in the first tenth of the sequence and the second before its middle, so the answer, asked at the last timestep, is held
for half of the sequence and more. Lengths vary, so that no count of timesteps gives it away.

Source: Hochreiter & Schmidhuber (1997), tasks 4 and 5; ranges and lengths as in the code of Pascanu, Mikolov & Bengio
(2013).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Generator, Tensor

from graddiag.errors import SettingError
from graddiag.lab.answers import SQUARED_ERROR
from graddiag.lab.task import Shape

Said = Literal["mean", "sum", "product"]
MIN_LENGTH: Final = 10
# the squared error of the best constant: the variance of what is asked, of two numbers from U(0, 1)
CHANCE: Final[Mapping[Said, tuple[str, float]]] = {
    "mean": ("1/24", 1 / 24),
    "sum": ("1/6", 1 / 6),
    "product": ("7/144", 7 / 144),
}
_NEAR: Final = math.sqrt(SQUARED_ERROR)
# the share of wrong answers of the constant that is right most often: 1/2, 1 and .2; with products below p as often
# as p - p ln p
CHANCE_ERROR: Final[Mapping[Said, float]] = {
    "mean": (1 - 2 * _NEAR) ** 2,
    "sum": (1 - _NEAR) ** 2,
    "product": 1 - 2 * _NEAR * (1 - math.log(2 * _NEAR)),
}


@dataclass(frozen=True)
class Marked:
    """Sequences of a length l drawn for each batch from [L, 1.1L), L = ``length``; inputs [l, N, 2], answers [N].

    The marks are at one place of [0, .1l) and at one of [.1l, .5l).

    Raises:
        SettingError: a length below 10, where the first of these ranges is empty.
    """

    length: int
    batch_size: int
    said: Said

    shape = Shape(symbols=2, classes=1, answers="last", reads="numbers", says="numbers")
    loss_reduction = "squared error, mean over batch, at the last timestep"

    def __post_init__(self) -> None:
        if self.length < MIN_LENGTH:
            raise SettingError(
                f"length {self.length}: the first mark is in the first tenth of the sequence, "
                f"which needs a length of {MIN_LENGTH} or more."
            )

    @property
    def config(self) -> Mapping[str, Any]:
        chance = {"chance_loss": CHANCE[self.said][0], "chance_error": CHANCE_ERROR[self.said]}
        return {"distance": self._longest - 1, **chance, "correct_within": _NEAR}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        length = int(torch.randint(self.length, self._longest + 1, (1,), generator=generator))
        numbers = torch.rand(length, self.batch_size, generator=generator)
        tenth, half, each = int(0.1 * length), int(0.5 * length), torch.arange(self.batch_size)
        first = torch.randint(0, tenth, (self.batch_size,), generator=generator)
        second = torch.randint(tenth, half, (self.batch_size,), generator=generator)
        marks = torch.zeros_like(numbers)
        marks[first, each] = marks[second, each] = 1.0
        return torch.stack([numbers, marks], dim=-1), self._answer(numbers[first, each], numbers[second, each])

    @property
    def _longest(self) -> int:
        return max(self.length, int(1.1 * self.length) - 1)

    def _answer(self, a: Tensor, b: Tensor) -> Tensor:
        if self.said == "product":
            return a * b
        return a + b if self.said == "sum" else (a + b) / 2
