"""The task temporal order: in which order two symbols, or three, came.

A sequence is noise of four symbols but for an A or B at two places, one early and one halfway; the answer, asked at the
last timestep, is one of AA, BA, AB, BB. Nothing between the second of them and the end helps, so the gradient must
travel back over .4 L to .9 L timesteps. By chance the loss is ln 4 and three answers in four are wrong. With three
places (3-bit temporal order) there are eight answers.

Source: Hochreiter & Schmidhuber (1997), tasks 6a and 6b; ranges as in the code of Pascanu, Mikolov & Bengio (2013).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Generator, Tensor

from graddiag.errors import SettingError
from graddiag.lab.task import Shape

ORDERED: Final = 2  # A and B
NOISE: Final = 4
MIN_LENGTH: Final = 10
STARTS: Final = {2: (0.1, 0.5), 3: (0.1, 0.3, 0.6)}  # of the ranges, each a tenth of L wide


@dataclass(frozen=True)
class TemporalOrder:
    """Sequences of ``length`` L: A or B somewhere in [.1L, .2L) and in [.5L, .6L), noise elsewhere.

    Three ``places`` are in [.1L, .2L), [.3L, .4L) and [.6L, .7L).

    Raises:
        SettingError: a length below 10, where those ranges are empty.
    """

    length: int
    batch_size: int
    places: Literal[2, 3] = 2

    loss_reduction = "mean over batch, at the last timestep"

    def __post_init__(self) -> None:
        if self.length < MIN_LENGTH:
            raise SettingError(
                f"length {self.length}: temporal order places its symbols in [.1L, .2L) and [.5L, .6L), "
                f"which needs a length of {MIN_LENGTH} or more."
            )

    @property
    def shape(self) -> Shape:
        return Shape(symbols=ORDERED + NOISE, classes=ORDERED**self.places, answers="last")

    @property
    def config(self) -> Mapping[str, Any]:
        classes = self.shape.classes
        # the farthest: from the answer back to the earliest place of the first symbol
        distance = self.length - 1 - int(STARTS[self.places][0] * self.length)
        return {"distance": distance, "chance_loss": f"ln {classes}", "chance_error": 1 - 1 / classes}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        symbols = torch.randint(ORDERED, ORDERED + NOISE, (self.length, self.batch_size), generator=generator)
        placed = [self._place(symbols, start, generator) for start in STARTS[self.places]]
        return symbols, torch.stack([ORDERED**place * chosen for place, chosen in enumerate(placed)]).sum(0)

    def _place(self, symbols: Tensor, start: float, generator: Generator) -> Tensor:
        """Writes an A or B into each sequence, within a tenth of L from ``start`` L; gives which, [N]."""
        width, sequences = int(0.1 * self.length), torch.arange(self.batch_size)
        positions = int(start * self.length) + torch.randint(width, (self.batch_size,), generator=generator)
        chosen = torch.randint(ORDERED, (self.batch_size,), generator=generator)
        symbols[positions, sequences] = chosen
        return chosen
