"""Tasks of memory alone: say again what was seen a known distance ago, with noise or with nothing in between."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Generator, Tensor

from graddiag.errors import SettingError
from graddiag.lab.task import Shape


@dataclass(frozen=True)
class Recall:
    """The first symbol of a sequence, one of ``choices``, is asked at the last timestep; ``gap`` symbols of noise lie
    between it and that timestep. By chance the loss is ln ``choices``.

    Raises:
        SettingError: a gap below 1, fewer than 2 choices.
    """

    gap: int
    batch_size: int
    choices: int = 4
    noise: int = 4

    loss_reduction = "mean over batch, at the last timestep"

    def __post_init__(self) -> None:
        if self.gap < 1 or self.choices < 2:
            raise SettingError(f"recall: gap {self.gap} of at least 1, choices {self.choices} of at least 2.")

    @property
    def shape(self) -> Shape:
        return Shape(symbols=self.choices + self.noise, classes=self.choices, answers="last")

    @property
    def config(self) -> Mapping[str, Any]:
        chance = {"chance_loss": f"ln {self.choices}", "chance_error": 1 - 1 / self.choices}
        return {"distance": self.gap, **chance}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        high, size = self.choices + self.noise, (self.gap + 1, self.batch_size)
        symbols = torch.randint(self.choices, high, size, generator=generator)
        symbols[0] = torch.randint(self.choices, (self.batch_size,), generator=generator)
        return symbols, symbols[0].clone()


@dataclass(frozen=True)
class Permutation:
    """Random permutation: ``symbols`` symbols, the first of a sequence is 0 or 1 and so is the one after the last;
    those between are any of the others. What comes after the last is asked there: by chance ln 2, half of it wrong.

    Raises:
        SettingError: a length below 2, fewer than 3 symbols.

    Source: Hochreiter & Schmidhuber (1997), task 2b; Pascanu, Mikolov & Bengio (2013), supplement.
    """

    length: int
    batch_size: int
    symbols: int = 100

    loss_reduction = "mean over batch, at the last timestep"

    def __post_init__(self) -> None:
        if self.length < 2 or self.symbols < 3:
            raise SettingError(
                f"permutation: length {self.length} of at least 2, symbols {self.symbols} of at least 3."
            )

    @property
    def shape(self) -> Shape:
        return Shape(symbols=self.symbols, classes=self.symbols, answers="last")

    @property
    def config(self) -> Mapping[str, Any]:
        return {"distance": self.length - 1, "chance_loss": "ln 2", "chance_error": 0.5}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        symbols = torch.randint(2, self.symbols, (self.length, self.batch_size), generator=generator)
        symbols[0] = torch.randint(2, (self.batch_size,), generator=generator)
        return symbols, symbols[0].clone()


PATTERN: Final = 10


@dataclass(frozen=True)
class Memorisation:
    """Noiseless memorisation: ten symbols of ``values``, nothing for ``delay`` timesteps, a call, then the ten again.

    Sequences have ``delay`` + 20 timesteps. The symbol ``values`` is nothing, ``values`` + 1 the call, at timestep
    ``delay`` + 9; the answers are nothing up to there and the pattern at the ten timesteps that follow. By chance the
    loss is 10 ln ``values`` / (``delay`` + 20) a timestep. A sequence is wrong if one of its symbols is.

    Raises:
        SettingError: a delay below 1, fewer than 2 values.

    Source: Hochreiter & Schmidhuber (1997) by way of Martens & Sutskever (2011); Pascanu, Mikolov & Bengio (2013), with
    5 values; with 8 values it is the copy task of Arjovsky, Shah & Bengio (2016).
    """

    delay: int
    batch_size: int
    values: int = 5

    loss_reduction = "mean over batch and timesteps"

    def __post_init__(self) -> None:
        if self.delay < 1 or self.values < 2:
            raise SettingError(f"memorisation: delay {self.delay} of at least 1, values {self.values} of at least 2.")

    @property
    def shape(self) -> Shape:
        return Shape(symbols=self.values + 2, classes=self.values + 1, answers="each", whole=True)

    @property
    def config(self) -> Mapping[str, Any]:
        length = self.delay + 2 * PATTERN
        chance = {"chance_loss": f"{PATTERN} ln {self.values} / {length}", "chance_error": 1 - self.values**-PATTERN}
        return {"distance": self.delay + PATTERN, **chance}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        pattern = torch.randint(self.values, (PATTERN, self.batch_size), generator=generator)
        nothing = torch.full((self.delay + PATTERN, self.batch_size), self.values)
        symbols, targets = torch.cat([pattern, nothing]), torch.cat([nothing, pattern])
        symbols[self.delay + PATTERN - 1] = self.values + 1
        return symbols, targets
