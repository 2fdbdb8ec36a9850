"""The task temporal order: which of two symbols, seen early, came in which order.

A sequence is noise of four symbols but for one A or B early and one A or B halfway; the answer, asked at the last
timestep, is one of AA, BA, AB, BB. Nothing between the second of them and the end helps, so the gradient must travel
back over .4 L to .9 L timesteps. By chance the loss is ln 4 and three answers in four are wrong.

Source: Hochreiter & Schmidhuber (1997), task 6a; ranges as in the code of Pascanu, Mikolov & Bengio (2013).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Generator, Tensor

from graddiag.errors import SettingError
from graddiag.lab.task import Shape

ORDERED: Final = 2  # A and B
NOISE: Final = 4
MIN_LENGTH: Final = 10


@dataclass(frozen=True)
class TemporalOrder:
    """Sequences of ``length`` L: A or B at one place of [.1L, .2L) and at one of [.5L, .6L), noise elsewhere.

    Raises:
        SettingError: a length below 10, where those ranges are empty.
    """

    length: int
    batch_size: int

    shape: Shape = field(default=Shape(symbols=ORDERED + NOISE, classes=ORDERED**2, answers="last"), init=False)
    loss_reduction = "mean over batch, at the last timestep"

    def __post_init__(self) -> None:
        if self.length < MIN_LENGTH:
            raise SettingError(
                f"length {self.length}: temporal order places its symbols in [.1L, .2L) and [.5L, .6L), "
                f"which needs a length of {MIN_LENGTH} or more."
            )

    @property
    def config(self) -> Mapping[str, Any]:
        return {"chance_loss": "ln 4", "chance_error": 0.75}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        symbols = torch.randint(ORDERED, ORDERED + NOISE, (self.length, self.batch_size), generator=generator)
        first, second = (self._place(symbols, start, generator) for start in (0.1, 0.5))
        return symbols, first + ORDERED * second

    def _place(self, symbols: Tensor, start: float, generator: Generator) -> Tensor:
        """Writes an A or B into each sequence, within a tenth of L from ``start`` L; gives which, [N]."""
        width, sequences = int(0.1 * self.length), torch.arange(self.batch_size)
        positions = int(start * self.length) + torch.randint(width, (self.batch_size,), generator=generator)
        chosen = torch.randint(ORDERED, (self.batch_size,), generator=generator)
        symbols[positions, sequences] = chosen
        return chosen
