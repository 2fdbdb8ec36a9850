"""The task multi-query associative recall: pairs of a key and a value, and then the keys again, each for its value.

How much a recurrent network can recall is bounded by the size of its state.

Source: Arora et al. (2023), Zoology, section 4 (MQAR). There the distance of a query is drawn by a power law; here all
places are equally likely.
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
class AssociativeRecall:
    """Sequences of ``length``: ``pairs`` times a key and its value, then blanks in which every key comes once more, at
    a random place; its value is asked there. By chance ln ``values`` a query.

    Symbols are ``keys`` keys, different ones in a sequence, then ``values`` values, then the blank.

    Raises:
        SettingError: a length too short for the pairs and their queries.
    """

    length: int
    batch_size: int
    pairs: int = 4
    keys: int = 8
    values: int = 8

    loss_reduction = "mean over batch and timesteps that are asked"

    def __post_init__(self) -> None:
        if self.length < 3 * self.pairs:
            raise SettingError(
                f"associative-recall: length {self.length} of at least {3 * self.pairs}, for {self.pairs} pairs and "
                "their queries."
            )

    @property
    def shape(self) -> Shape:
        return Shape(symbols=self.keys + self.values + 1, classes=self.values, answers="each")

    @property
    def config(self) -> Mapping[str, Any]:
        chance = {"chance_loss": f"ln {self.values}", "chance_error": 1 - 1 / self.values}
        return {"distance": self.length - 2, **chance}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        N, start = self.batch_size, 2 * self.pairs
        keys = torch.rand(self.keys, N, generator=generator).topk(self.pairs, dim=0).indices
        values = torch.randint(self.values, (self.pairs, N), generator=generator)
        places = start + torch.rand(self.length - start, N, generator=generator).topk(self.pairs, dim=0).indices
        symbols = torch.full((self.length, N), self.keys + self.values)
        symbols[0:start:2], symbols[1:start:2] = keys, self.keys + values
        targets = torch.full((self.length, N), NOT_ASKED)
        return symbols.scatter_(0, places, keys), targets.scatter_(0, places, values)
