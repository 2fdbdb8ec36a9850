"""The task parity: whether a sequence of bits has an odd number of ones.

Every bit changes the answer, so a network that misses one of them knows nothing: the loss stays at chance until the
task is solved as a whole. Networks whose recurrence does not depend on the state, or has positive eigenvalues alone,
cannot solve it for all lengths.

Source: Minsky & Papert (1969); for recurrent networks Hochreiter & Schmidhuber (1996); Merrill, Petty & Sabharwal
(2024) and Grazzi et al. (2025) for the last statement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from graddiag.lab.task import Shape


@dataclass(frozen=True)
class Parity:
    """``length`` bits; their parity is asked at the last timestep. By chance ln 2, half of it wrong."""

    length: int
    batch_size: int

    shape = Shape(symbols=2, classes=2, answers="last")
    loss_reduction = "mean over batch, at the last timestep"

    @property
    def config(self) -> Mapping[str, Any]:
        return {"distance": self.length - 1, "chance_loss": "ln 2", "chance_error": 0.5}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        symbols = torch.randint(2, (self.length, self.batch_size), generator=generator)
        return symbols, symbols.sum(0) % 2
