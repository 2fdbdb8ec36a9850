"""The task Dyck-k: in a sequence of nested brackets of k kinds, which bracket is open after one was closed.

After an opening bracket the answer is that bracket, and no memory is needed; so it is asked after closing ones alone.
Which kind is open below is then independent of all that came since it was opened.

Source: Chomsky & Schutzenberger (1963); with bounded depth, Dyck-(k, m), Hewitt, Hahn, Ganguli, Liang & Manning (2020).
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
class Dyck:
    """A walk of ``length`` brackets with a depth of at most ``depth``: two are opened and one is closed; then one is
    opened or closed with equal chance, where both are possible. By chance ln ``kinds`` a closing bracket.

    Symbols are ``kinds`` opening brackets, each of them equally likely, and then the closing ones.

    Raises:
        SettingError: a length below 3, a depth or kinds below 2.
    """

    length: int
    batch_size: int
    kinds: int = 4
    depth: int = 4

    loss_reduction = "mean over batch and timesteps that are asked"

    def __post_init__(self) -> None:
        if self.length < 3 or self.depth < 2 or self.kinds < 2:
            raise SettingError(
                f"dyck: length {self.length} of at least 3, depth {self.depth} and kinds {self.kinds} of at least 2."
            )

    @property
    def shape(self) -> Shape:
        return Shape(symbols=2 * self.kinds, classes=self.kinds, answers="each")

    @property
    def config(self) -> Mapping[str, Any]:
        chance = {"chance_loss": f"ln {self.kinds}", "chance_error": 1 - 1 / self.kinds}
        return {"distance": self.length - 1, **chance}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        size = (self.length, self.batch_size)
        kinds, up = torch.randint(self.kinds, size, generator=generator), torch.rand(size, generator=generator) < 0.5
        up[:2], up[2] = True, False
        symbols, targets = torch.empty_like(kinds), torch.full(size, NOT_ASKED)
        stack, open_ = torch.zeros(self.depth + 1, self.batch_size, dtype=torch.long), torch.zeros_like(kinds[0])
        for t in range(self.length):
            opens = (open_ == 0) | (up[t] & (open_ < self.depth))
            below = stack.gather(0, open_.unsqueeze(0))[0]
            symbols[t] = torch.where(opens, kinds[t], self.kinds + below)
            open_ = open_ + torch.where(opens, 1, -1)
            now = stack.gather(0, open_.unsqueeze(0))[0]
            stack.scatter_(0, open_.unsqueeze(0), torch.where(opens, kinds[t], now).unsqueeze(0))
            targets[t] = torch.where(opens | (open_ == 0), NOT_ASKED, now)
        return symbols, targets
