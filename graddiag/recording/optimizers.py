"""The optimizers of a run: their settings and rates, the parameters that they hold, and calls with a closure."""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import count
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from graddiag.recording.model_parameters import HasParameters
from graddiag.recording.unwrapping import WatchedOptimizer, held_by


def optimizer_settings(watched: Sequence[WatchedOptimizer]) -> dict[str, Any] | None:
    """What the manifest says of the optimizers; None without one.

    The class, how many parameter groups there are, and the settings of the first group that are numbers, truth values
    or pairs of numbers (lr, momentum, betas, ...); ``rates``: the learning rate of every group, of several groups.
    Of several optimizers this is of the first, and ``others`` holds it of each further one. ``wrapper`` is the class
    that an optimizer was taken out of; ``steps``: what ends a step, where that is not the optimizer's ``step()`` alone.
    """
    if not watched:
        return None
    first, *others = map(_settings, watched)
    return first | ({"others": others} if others else {})


def _settings(watched: WatchedOptimizer) -> dict[str, Any]:
    optimizer = watched.optimizer
    own = {name: _plain(value) for name, value in optimizer.param_groups[0].items() if name != "params"}
    known = {name: value for name, value in own.items() if value is not None}
    rates = learning_rates([optimizer])
    known |= {"rates": [_plain(rate) for rate in rates]} if len(rates) > 1 else {}
    known |= {"wrapper": watched.wrapper} if watched.wrapper else {}
    known |= {"steps": watched.ends_a_step} if watched.ends_a_step else {}
    return {"class": type(optimizer).__name__, "groups": len(optimizer.param_groups), **known}


def not_updated(module: HasParameters, optimizers: Sequence[Optimizer]) -> dict[str, tuple[str, ...] | None]:
    """Fields of the manifest: trainable parameters that no optimizer holds (None without one), and frozen parameters,
    by name."""
    named = dict(module.named_parameters())
    frozen = tuple(name for name, parameter in named.items() if not parameter.requires_grad)
    if not optimizers:
        return {"not_in_optimizer": None, "frozen": frozen}
    held = held_by(optimizers)
    outside = tuple(name for name, p in named.items() if p.requires_grad and id(p) not in held)
    return {"not_in_optimizer": outside, "frozen": frozen}


def held_names(module: HasParameters, optimizer: Optimizer) -> frozenset[str]:
    """The model's parameters that ``optimizer`` holds, by name."""
    held = held_by([optimizer])
    return frozenset(name for name, parameter in module.named_parameters() if id(parameter) in held)


def updated_by(
    module: HasParameters, optimizers: Sequence[Optimizer], made: Collection[int]
) -> tuple[set[int] | None, set[str]]:
    """What the updates of ``made``, some of several optimizers, have changed: parameters by id, None for all; and the
    names of those whose optimizer made none."""
    if len(optimizers) < 2:
        return None, set()
    still = [held_names(module, each) for i, each in enumerate(optimizers) if i not in made]
    return held_by(optimizers[index] for index in made), set().union(*still)


def learning_rates(optimizers: Iterable[Optimizer]) -> list[Any]:
    """Of every parameter group of every optimizer, in their order: numbers, or 0-dim tensors."""
    return [group["lr"] for optimizer in optimizers for group in optimizer.param_groups if "lr" in group]


def with_observed_closure(
    args: tuple[Any, ...], kwargs: dict[str, Any], begin: Callable[[], None], end: Callable[[], None]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The arguments of ``optimizer.step`` with ``end`` called after each evaluation of the closure; None without one.

    Gradients accumulated before belong to the first evaluation; ``begin`` is called ahead of each further one.
    """
    closure = args[1] if len(args) > 1 else None
    closure = kwargs.get("closure", closure) if kwargs else closure
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
