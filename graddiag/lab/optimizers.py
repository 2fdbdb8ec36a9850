"""Optimizers of the lab, by the texts that name them. torch is not imported before one is made.

A new optimizer is an entry of ``OPTIMIZERS``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from graddiag.errors import SettingError

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True)
class OptimizerKind:
    """An optimizer: its name, how it is written, its class in ``torch.optim``, and the keyword of its one constant.

    A constant is from [0, 1); ``default`` is what it is where it is left out. Without a keyword there is none.
    ``decoupled``: its weight decay takes lr times so much off a weight, and is .01 where none is given; of the others
    it is added to the gradient.
    """

    name: str
    forms: tuple[str, ...]
    implementation: str
    keyword: str | None = None
    default: float = 0.0
    decoupled: bool = False


OPTIMIZERS: Final = (
    OptimizerKind("sgd", ("sgd", "sgd:MOMENTUM"), "SGD", keyword="momentum"),
    OptimizerKind("rmsprop", ("rmsprop:SMOOTHING",), "RMSprop", keyword="alpha", default=0.95),  # Karpathy's char-rnn
    OptimizerKind("adam", ("adam",), "Adam"),
    OptimizerKind("adamw", ("adamw",), "AdamW", decoupled=True),  # Loshchilov & Hutter (2019)
)


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimizer and its one constant: the momentum of sgd, the smoothing of rmsprop."""

    kind: str
    constant: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind}:{self.constant:g}" if self.constant else self.kind

    def make(self, parameters: "Iterable[nn.Parameter]", lr: float, weight_decay: float | None = None) -> "Optimizer":
        """The optimizer; ``weight_decay`` None is that of torch: .01 of adamw, 0 of the others."""
        kind = _kinds()[self.kind]
        constant = {} if kind.keyword is None else {kind.keyword: self.constant}
        if weight_decay is not None:
            constant["weight_decay"] = weight_decay
        made: Optimizer = getattr(import_module("torch.optim"), kind.implementation)(parameters, lr=lr, **constant)
        return made


def known_optimizers() -> str:
    """Every form of every optimizer, with commas between them."""
    return ", ".join(form for kind in OPTIMIZERS for form in kind.forms)


def parse_optimizer(text: str) -> OptimizerSpec:
    """The optimizer that ``text`` names.

    Raises:
        SettingError: none is called that, or its constant is not from [0, 1).
    """
    name, _, constant = text.partition(":")
    kind = _kinds().get(name)
    if kind is None or (kind.keyword is None and constant):
        raise SettingError(f"optimizer {text!r}: it is none of {known_optimizers()}.")
    value = _number(text, constant) if constant else kind.default
    if not 0 <= value < 1:
        raise SettingError(f"optimizer {text!r}: its constant lies from 0 to below 1, {known_optimizers()}.")
    return OptimizerSpec(name, value)


def _kinds() -> dict[str, OptimizerKind]:
    return {kind.name: kind for kind in OPTIMIZERS}


def _number(text: str, part: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise SettingError(f"{text!r}: {part!r} is no number.") from None
