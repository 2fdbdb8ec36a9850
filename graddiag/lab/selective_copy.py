"""The task selective copy: say again a few symbols that stood at random places among blanks, in their order.

Where the copy task can be solved by counting timesteps, here each symbol has to be noticed when it comes.

Source: Gu & Dao (2023), Mamba, section 4.1.1, after Jing et al. (2019); there 16 symbols of 16 values among 4,096.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from graddiag.errors import SettingError
from graddiag.lab.answers import NOT_ASKED
from graddiag.lab.task import Shape


@dataclass(frozen=True)
class SelectiveCopy:
    """``length`` timesteps with ``count`` symbols of ``values`` at random places and blanks elsewhere, then ``count``
    calls; the k-th symbol is asked at the k-th call. By chance ln ``values`` a symbol.

    The symbol ``values`` is a blank, ``values`` + 1 the call.

    Raises:
        SettingError: fewer timesteps than symbols.
    """

    length: int
    batch_size: int
    count: int = 4
    values: int = 8

    loss_reduction = "mean over batch and timesteps that are asked"

    def __post_init__(self) -> None:
        if self.length < self.count:
            raise SettingError(f"selective-copy: length {self.length} of at least {self.count}, one for each symbol.")

    @property
    def shape(self) -> Shape:
        return Shape(symbols=self.values + 2, classes=self.values, answers="each")

    @property
    def config(self) -> Mapping[str, Any]:
        chance = {"chance_loss": f"ln {self.values}", "chance_error": 1 - 1 / self.values}
        return {"distance": self.length, **chance}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        N, total = self.batch_size, self.length + self.count
        places = torch.rand(self.length, N, generator=generator).topk(self.count, dim=0).indices.sort(0).values
        copied = torch.randint(self.values, (self.count, N), generator=generator)
        symbols = torch.full((total, N), self.values)
        symbols[: self.length].scatter_(0, places, copied)
        symbols[self.length :] = self.values + 1
        targets = torch.full((total, N), NOT_ASKED)
        targets[self.length :] = copied
        return symbols, targets
