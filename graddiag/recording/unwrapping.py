"""The torch optimizers inside of what ``watch`` was given: wrappers that are known are opened, others are refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import torch
from torch import nn
from torch.optim import Optimizer

from graddiag.errors import SettingError

_HOOKS: Final = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
)  # missing where no Optimizer was initialized
_BASE: Final = (
    "base_optimizer"  # of SAM, ASAM, Lookahead and their kind: what they step inside, or beside, of their own
)

# wrappers by the package and the name of their class: the attribute that holds what they wrap
_WRAPPERS: Final = {
    ("accelerate", "AcceleratedOptimizer"): "optimizer",
    ("accelerate", "AcceleratedScheduler"): "optimizers",
    ("lightning", "LightningOptimizer"): "optimizer",
    ("pytorch_lightning", "LightningOptimizer"): "optimizer",
    ("lightning", "_FabricOptimizer"): "optimizer",
    ("lightning_fabric", "_FabricOptimizer"): "optimizer",
    ("fastai", "OptimWrapper"): "opt",
    ("torch", "PostLocalSGDOptimizer"): "optim",
    ("torch", "LRScheduler"): "optimizer",
    ("torch", "ReduceLROnPlateau"): "optimizer",
}


@dataclass(frozen=True)
class WatchedOptimizer:
    """One optimizer of a run: what it is, the objects whose ``step()`` is its update, and the scaler beside it.

    members: the optimizer itself, and the one that it holds as ``base_optimizer``; of calls inside one another the
    outer one is the update. wrapper: the class that it was taken out of.
    """

    optimizer: Optimizer
    members: tuple[Optimizer, ...]
    wrapper: str | None = None
    scaler: torch.amp.GradScaler | None = None

    @property
    def ends_a_step(self) -> str | None:
        """Whose ``step()`` ends a step, where that is not plain."""
        own, base = type(self.optimizer).__name__, self.members[-1]
        return None if base is self.optimizer else f"{own}.step(), or {own}.{_BASE}.step() where that is called alone"


Given = Optimizer | Sequence[Optimizer] | None


def watched_optimizers(module: nn.Module, given: Any) -> tuple[WatchedOptimizer, ...]:
    """The optimizers that ``watch`` was given, one or several, out of their wrappers.

    Raises:
        SettingError: something that is no optimizer of torch, one that is given twice or that shares parameters with
            another, or one that holds none of the model's parameters.
    """
    if given is None:
        return ()
    several = isinstance(given, list | tuple)
    if several and not given:
        raise SettingError("watch(model, []): the list of optimizers is empty; pass one at least, or none at all.")
    found = [one for each in (given if several else [given]) for one in _opened(each)]
    _check_apart(found)
    for each in found:
        _check_trains(module, each.optimizer)
    return tuple(found)


def _opened(given: Any) -> list[WatchedOptimizer]:
    wrappers: list[str] = []
    scaler = None
    inside: list[Any] = [given]
    for _ in range(8):  # wrappers in wrappers; none goes deeper
        attribute = _wrapped_in(inside[0])
        if attribute is None:
            break
        wrappers.append(_name(inside[0]))
        scaler = scaler or _scaler(inside[0])
        held = getattr(inside[0], attribute, None)
        inside = list(held) if isinstance(held, list | tuple) else [held]
        if not inside:
            break
    if len(inside) > 1:
        return [one for each in inside for one in _opened(each)]
    (optimizer,) = inside or [None]
    if not is_torch_optimizer(optimizer):
        raise _refusal(given)
    base = getattr(optimizer, _BASE, None)
    members = (optimizer, base) if is_torch_optimizer(base) and base is not optimizer else (optimizer,)
    return [WatchedOptimizer(optimizer, members, wrappers[0] if wrappers else None, scaler)]


def is_torch_optimizer(given: Any) -> TypeGuard[Optimizer]:
    """Whether it is an optimizer of torch, or a class made from it, whose ``step()`` can be followed."""
    return isinstance(given, Optimizer) and all(name in vars(given) for name in _HOOKS)


def _wrapped_in(given: Any) -> str | None:
    """The attribute in which a known wrapper holds what it wraps."""
    for kind in type(given).__mro__:
        attribute = _WRAPPERS.get((kind.__module__.partition(".")[0], kind.__name__))
        if attribute is not None:
            return attribute
    return None


def _scaler(wrapper: Any) -> torch.amp.GradScaler | None:
    found = getattr(wrapper, "scaler", None)
    return found if isinstance(found, torch.amp.GradScaler) else None


def _refusal(given: Any) -> SettingError:
    """The error for what is no optimizer of torch: what it holds, or what to do without one."""
    name, held = _name(given), _held(given)
    if held:
        attribute, inside = held
        return SettingError(
            f"watch(model, {name}): {name} is no torch.optim.Optimizer whose step() can be followed. It holds one: "
            f"pass `optimizer.{attribute}` ({type(inside).__name__}) where that is what {name}.step() calls; otherwise "
            "pass no optimizer and call recorder.step() after each update."
        )
    return SettingError(
        f"watch(model, {name}): found {_article(name)}, which is no torch.optim.Optimizer. Pass the torch optimizer "
        "that updates the model, a list of several, or no optimizer and call recorder.step() after each update."
    )


def _article(name: str) -> str:
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def _held(given: Any) -> tuple[str, Optimizer] | None:
    """The first attribute of a wrapper that is an optimizer of torch."""
    attributes: Mapping[str, Any] = getattr(given, "__dict__", {})
    named = [("optimizer", getattr(given, "optimizer", None)), *attributes.items()]
    return next(((name, value) for name, value in named if is_torch_optimizer(value)), None)


def _check_apart(found: Sequence[WatchedOptimizer]) -> None:
    owners: dict[int, int] = {}
    for index, each in enumerate(found):
        for parameter in held_by([each.optimizer]):
            owner = owners.setdefault(parameter, index)
            if owner != index:
                a, b = (type(found[i].optimizer).__name__ for i in (owner, index))
                raise SettingError(
                    f"watch(model, [{a}, {b}]): both optimizers hold the same parameter, so its update belongs to no "
                    "one of them. Pass one of them, or optimizers that share no parameter."
                )


def _check_trains(module: nn.Module, optimizer: Optimizer) -> None:
    held = held_by([optimizer])
    if not any(id(parameter) in held for parameter in module.parameters()):
        raise SettingError(
            f"watch({type(module).__name__}, {type(optimizer).__name__}): the optimizer holds none of the model's "
            "parameters. Pass the optimizer that trains this model, or none and call recorder.step()."
        )


def held_by(optimizers: Iterable[Optimizer]) -> set[int]:
    """The parameters that optimizers hold, by id."""
    return {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}


def _name(given: Any) -> str:
    return type(given).__name__
