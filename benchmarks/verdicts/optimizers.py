"""Optimizers by name, and schedules of their learning rate."""

import math
from collections.abc import Callable

from torch import nn, optim
from torch.optim import Optimizer

Before = Callable[[int, nn.Module, Optimizer], None]


def optimizer(spec: str, parameters: object) -> Optimizer:
    """Of ``sgd:0.1``, ``momentum:0.1``, ``nesterov:0.1``, ``adam:0.01``, ``adamw:0.01``, ``rmsprop:0.001``, others of
    torch by their name in small letters, ``amsgrad`` and ``heavy``, a momentum of 0.99."""
    name, _, lr = spec.partition(":")
    rate = float(lr)
    if isinstance(parameters, nn.Module):
        parameters = parameters.parameters()
    makers = {
        "sgd": lambda: optim.SGD(parameters, rate),
        "momentum": lambda: optim.SGD(parameters, rate, momentum=0.9),
        "nesterov": lambda: optim.SGD(parameters, rate, momentum=0.9, nesterov=True),
        "adam": lambda: optim.Adam(parameters, rate),
        "adamw": lambda: optim.AdamW(parameters, rate),
        "rmsprop": lambda: optim.RMSprop(parameters, rate),
        "adagrad": lambda: optim.Adagrad(parameters, rate),
        "nadam": lambda: optim.NAdam(parameters, rate),
        "radam": lambda: optim.RAdam(parameters, rate),
        "adamax": lambda: optim.Adamax(parameters, rate),
        "amsgrad": lambda: optim.AdamW(parameters, rate, amsgrad=True),
        "adadelta": lambda: optim.Adadelta(parameters, rate),
        "asgd": lambda: optim.ASGD(parameters, rate),
        "heavy": lambda: optim.SGD(parameters, rate, momentum=0.99),
    }
    return makers[name]()


def schedule(rate: Callable[[int], float]) -> Before:
    """Sets the learning rate of every group to ``rate(step)`` at the start of each step."""

    def before(step: int, net: nn.Module, optimizer: Optimizer) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate(step)

    return before


def warmup(top: float, steps: int) -> Before:
    return schedule(lambda step: top * min(1.0, (step + 1) / steps))


def cosine(top: float, steps: int, warm: int = 0) -> Before:
    """Half a cosine over ``steps``, after a linear rise over ``warm``."""
    return schedule(
        lambda step: top * min(1.0, (step + 1) / max(1, warm)) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )


def restarts(top: float, period: int) -> Before:
    """Half a cosine every ``period`` steps, back to the top at once."""
    return schedule(lambda step: top * 0.5 * (1.02 + math.cos(math.pi * (step % period) / period)))


def changed(first: float, then: float, at: int) -> Before:
    return schedule(lambda step: first if step < at else then)
