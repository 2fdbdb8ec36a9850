"""Settings of the parameter groups step by step: learning rates as columns, jumps of others as events."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from torch import Tensor
from torch.optim import Optimizer

from graddiag import schema
from graddiag.recording.events import Event, setting_event
from graddiag.recording.optimizers import learning_rates

_MOST_GROUPS: Final = 64  # whose rates are columns
_JUMP: Final = 3.0  # times: what a schedule does in one step is less
_MOST_EVENTS: Final = 50
Group = tuple[float | None, float | None]


class GroupSettings:
    """Reads the settings of all groups at each step. add: takes the events."""

    def __init__(self, add: Callable[[Sequence[Event]], None]) -> None:
        self._add = add
        self._before: list[Group] = []
        self._left = _MOST_EVENTS

    def columns(self, step: int, optimizers: Sequence[Optimizer]) -> dict[str, Any]:
        """Columns of the steps table: ``lr`` is that of the first group, ``lr_1``, ``lr_2`` ... of the further ones."""
        groups = [_group(group) for optimizer in optimizers for group in optimizer.param_groups]
        if groups != self._before:
            self._changed(step, groups)
        rates = learning_rates(optimizers)[:_MOST_GROUPS]
        return {f"{schema.LR}_{i}" if i else schema.LR: _copied(rate) for i, rate in enumerate(rates)}

    def _changed(self, step: int, groups: list[Group]) -> None:
        before, self._before = self._before, groups
        if len(before) == len(groups):
            found = [*_jumps("weight_decay", step, _pairs(0, before, groups), _times)]
            found += _jumps("momentum", step, _pairs(1, before, groups), lambda a, b: _times(1 - b, 1 - a))
            self._add(found[: self._left])
            self._left = max(0, self._left - len(found))


def _group(settings: dict[str, Any]) -> Group:
    """Weight decay and momentum (or the first beta) of a group, where they are numbers."""
    betas = settings.get("betas")
    momentum = betas[0] if isinstance(betas, tuple | list) and betas else settings.get("momentum")
    return _number(settings.get("weight_decay")), _number(momentum)


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) else None


def _pairs(place: int, before: list[Group], after: list[Group]) -> Iterator[tuple[float, float]]:
    for a, b in zip(before, after, strict=True):
        old, new = a[place], b[place]
        if old is not None and new is not None:
            yield old, new


def _jumps(
    name: str, step: int, pairs: Iterable[tuple[float, float]], times: Callable[[float, float], float]
) -> Iterator[Event]:
    """One event for the groups whose setting jumped, with the values of the first of them."""
    found = [(old, new) for old, new in pairs if old != new and not 1 / _JUMP < times(old, new) < _JUMP]
    if found:
        yield setting_event(step, name, *found[0], len(found))


def _times(before: float, after: float) -> float:
    return after / before if before > 0 else float("inf")


def _copied(rate: Any) -> Any:
    """A rate as a row may keep it: a tensor may be changed in place by a scheduler before the row is written."""
    return rate.detach().clone() if isinstance(rate, Tensor) else rate
