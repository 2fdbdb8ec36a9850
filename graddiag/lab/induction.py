"""The task induction: a marker comes somewhere and once more at the end; which symbol came after it the first time?

Source: Olsson et al. (2022), induction heads; Gu & Dao (2023), Mamba, section 4.1.2, with 16 symbols and a marker.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from graddiag.errors import SettingError
from graddiag.lab.task import Shape


@dataclass(frozen=True)
class Induction:
    """``length`` symbols of ``values``, the marker at the last place and at an earlier one with a symbol behind it,
    which is asked at the last timestep. By chance ln ``values``. The marker is the symbol ``values``.

    Raises:
        SettingError: a length below 3.
    """

    length: int
    batch_size: int
    values: int = 16

    loss_reduction = "mean over batch, at the last timestep"

    def __post_init__(self) -> None:
        if self.length < 3:
            raise SettingError(f"induction: length {self.length} of at least 3: marker, symbol, marker.")

    @property
    def shape(self) -> Shape:
        return Shape(symbols=self.values + 1, classes=self.values, answers="last")

    @property
    def config(self) -> Mapping[str, Any]:
        chance = {"chance_loss": f"ln {self.values}", "chance_error": 1 - 1 / self.values}
        return {"distance": self.length - 2, **chance}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        symbols = torch.randint(self.values, (self.length, self.batch_size), generator=generator)
        place, each = torch.randint(self.length - 2, (self.batch_size,), generator=generator), range(self.batch_size)
        symbols[place, each] = self.values
        symbols[-1] = self.values
        return symbols, symbols[place + 1, each]
