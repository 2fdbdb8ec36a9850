"""The optimizer of a run: its settings, the parameters that it does not update, and its calls with a closure."""

from collections.abc import Callable
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn


def optimizer_settings(optimizer: torch.optim.Optimizer | None) -> dict[str, Any] | None:
    """The class, how many parameter groups there are, and the settings of the first group that are numbers, truth
    values or pairs of numbers (lr, momentum, betas, ...); None without an optimizer."""
    if optimizer is None:
        return None
    own = {name: _plain(value) for name, value in optimizer.param_groups[0].items() if name != "params"}
    known = {name: value for name, value in own.items() if value is not None}
    return {"class": type(optimizer).__name__, "groups": len(optimizer.param_groups), **known}


def not_updated(module: nn.Module, optimizer: torch.optim.Optimizer | None) -> dict[str, tuple[str, ...] | None]:
    """Fields of the manifest: trainable parameters that the optimizer does not hold (None without one), and frozen
    parameters, by name."""
    named = dict(module.named_parameters())
    frozen = tuple(name for name, parameter in named.items() if not parameter.requires_grad)
    if optimizer is None:
        return {"not_in_optimizer": None, "frozen": frozen}
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    outside = tuple(name for name, p in named.items() if p.requires_grad and id(p) not in held)
    return {"not_in_optimizer": outside, "frozen": frozen}


def learning_rate(optimizer: torch.optim.Optimizer | None) -> Any:
    """Of the first parameter group, a number or a 0-dim tensor; None without an optimizer."""
    return None if optimizer is None else optimizer.param_groups[0]["lr"]


def with_observed_closure(
    args: tuple[Any, ...], kwargs: dict[str, Any], begin: Callable[[], None], end: Callable[[], None]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The arguments of ``optimizer.step`` with ``end`` called after each evaluation of the closure; None without one.

    Gradients accumulated before belong to the first evaluation; ``begin`` is called ahead of each further one.
    """
    closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
    if closure is None:
        return None
    evaluations = count()

    def observed() -> Any:
        if next(evaluations):
            begin()
        result = closure()
        end()
        return result

    return (args[0], observed, *args[2:]), {key: value for key, value in kwargs.items() if key != "closure"}


def _plain(value: Any) -> Any:
    """The value as JSON can hold it; None where it is no setting."""
    if isinstance(value, Tensor):
        return float(value) if value.numel() == 1 else None
    if isinstance(value, list | tuple):
        found = [_plain(each) for each in value]
        return None if None in found else found
    return value if isinstance(value, bool | int | float) else None
