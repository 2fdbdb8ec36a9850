"""Optimizers and schedules of the lab, by the texts that name them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from torch import nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

from graddiag.errors import SettingError

Kind = Literal["sgd", "rmsprop", "adam"]
_FORMS: Final = "sgd, sgd:MOMENTUM, rmsprop:SMOOTHING, adam"
_SMOOTHING: Final = 0.95  # Karpathy's char-rnn


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimizer and its one constant: the momentum of sgd, the smoothing of rmsprop."""

    kind: Kind
    constant: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind}:{self.constant:g}" if self.constant else self.kind

    def make(self, parameters: Iterable[nn.Parameter], lr: float) -> Optimizer:
        if self.kind == "sgd":
            return SGD(parameters, lr=lr, momentum=self.constant)
        return Adam(parameters, lr=lr) if self.kind == "adam" else RMSprop(parameters, lr=lr, alpha=self.constant)


@dataclass(frozen=True)
class ScheduleSpec:
    """A learning rate that stays, or that is multiplied by ``factor`` every ``every`` steps from step ``after`` on."""

    factor: float = 1.0
    after: int = 0
    every: int = 1

    def __str__(self) -> str:
        return "constant" if self.factor == 1 else f"decay:{self.factor:g}:{self.after}:{self.every}"

    def rate(self, step: int) -> float:
        """By what the first learning rate is multiplied at ``step``."""
        return self.factor ** (0 if step < self.after else (step - self.after) // self.every + 1)


def parse(text: str) -> OptimizerSpec:
    """The optimizer that ``text`` names.

    Raises:
        SettingError: none is called that, or its constant is not from [0, 1).
    """
    kind, _, constant = text.partition(":")
    if kind not in ("sgd", "rmsprop", "adam") or (kind == "adam" and constant):
        raise SettingError(f"optimizer {text!r}: it is none of {_FORMS}.")
    value = _number(text, constant) if constant else _SMOOTHING if kind == "rmsprop" else 0.0
    if not 0 <= value < 1:
        raise SettingError(f"optimizer {text!r}: its constant lies from 0 to below 1, {_FORMS}.")
    return OptimizerSpec(kind, value)  # type: ignore[arg-type]


def parse_schedule(text: str) -> ScheduleSpec:
    """The schedule that ``text`` names.

    Raises:
        SettingError: it is of neither form, or a number is out of range.
    """
    if text == "constant":
        return ScheduleSpec()
    kind, *parts = text.split(":")
    if kind != "decay" or len(parts) != 3:
        raise SettingError(
            f"schedule {text!r}: write constant, or decay:FACTOR:AFTER:EVERY, for example decay:0.5:400:100."
        )
    factor, after, every = (_number(text, part) for part in parts)
    if not (factor > 0 and after >= 0 and every >= 1 and after == int(after) and every == int(every)):
        raise SettingError(f"schedule {text!r}: FACTOR is above 0, AFTER and EVERY are whole numbers of steps.")
    return ScheduleSpec(factor, int(after), int(every))


def _number(text: str, part: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise SettingError(f"{text!r}: {part!r} is no number.") from None
