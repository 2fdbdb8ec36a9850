"""Hears the updates of a training: of the optimizers that are watched, and of others that hold their parameters."""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any, Protocol

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from graddiag.recording.finite_updates import CheckedStep
from graddiag.recording.interception import Handle, Interception
from graddiag.recording.unwrapping import WatchedOptimizer, held_by
from graddiag.tracing.compiled import uncompiled

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class UpdateObserver(Protocol):
    """What is called at an update; ``index`` is the place of its optimizer among those that are watched."""

    def before_update(self, index: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None: ...

    def after_update(self, index: int) -> None: ...

    def used_elsewhere(self) -> None: ...

    def replaced(self, index: int, old: Optimizer, new: Optimizer) -> None: ...

    def before_other(self, optimizer: Optimizer) -> None: ...

    def after_other(self) -> None: ...

    def zeroing(self, *_: Any, **__: Any) -> None: ...

    def is_finite(self, optimizer: Optimizer) -> bool: ...

    def refused(self, index: int) -> None: ...


class UpdateListener:
    """Follows the ``step()`` of every watched optimizer until ``close``.

    An update is the outermost call: a wrapper's that calls its base optimizer inside is one. Another optimizer of
    torch that updates parameters of a watched one twice in succession takes its place (``replaced``); a single update
    is none of the run's (``used_elsewhere``). One that holds what the parameters of a watched one have become, now that
    they are sharded, takes its place at once (``takes_over``, which gives its place). An optimizer whose step calls a
    watched one is a wrapper, and no other optimizer. One that shares no parameter with them ends no step; the observer
    may measure it (``before_other``). What other optimizers do in another thread than the watched ones is another
    training.

    checked: ask the observer before each update whether its gradient is finite; where it is not, the update is left out
    (``refused``).
    """

    def __init__(
        self,
        watched: Sequence[WatchedOptimizer],
        observer: UpdateObserver,
        takes_over: Callable[[Optimizer, Sequence[Optimizer]], int | None] = lambda *_: None,
        *,
        checked: bool = False,
    ) -> None:
        self.watched = list(watched)
        self._observer = observer
        self._takes_over = takes_over
        self._checked = checked
        self._checking: list[Optimizer] = []
        self._places: dict[int, int] = {}
        self._wrappers: list[Optimizer] = []
        self._running: list[tuple[Optimizer, FrameType]] = []
        self._other: Optimizer | None = None  # an unknown one that is stepping
        self._successor: Optimizer | None = None  # one that made the last update of a watched one's parameters
        self._beside: Optimizer | None = None  # one that is stepping and shares no parameter
        self._handles: list[Handle] = []
        self._thread = threading.get_ident()
        for index, each in enumerate(self.watched):
            for member in each.members:
                self._follow(index, member)
        if self.watched:
            self._handles.append(register_optimizer_step_pre_hook(self._before_any))
            self._handles.append(register_optimizer_step_post_hook(self._after_any))

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers that are watched now, one a place."""
        return [each.optimizer for each in self.watched]

    def place_of(self, optimizer: Any) -> int | None:
        """Which of the watched ones ``optimizer`` is; None where it is none."""
        return self._places.get(id(optimizer))

    def close(self) -> None:
        """Takes every hook off."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _follow(self, index: int, optimizer: Optimizer) -> None:
        self._places[id(optimizer)] = index
        self._handles.append(optimizer.register_step_pre_hook(self._before))
        self._handles.append(optimizer.register_step_post_hook(self._after))
        self._handles.append(Interception(optimizer, "zero_grad", self._observer.zeroing))
        if self._checked:
            members, refuse = self.watched[index].members, partial(self._observer.refused, index)
            self._handles.append(CheckedStep(optimizer, members, self._observer.is_finite, refuse, self._checking))

    @uncompiled
    def _before(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        if torch.compiler.is_dynamo_compiling():
            return None
        self._thread = threading.get_ident()
        if self._other is not None and self._other not in self._wrappers:
            self._wrappers.append(self._other)
        frame = sys._getframe(1)
        if self._running:
            self._running = [call for call in self._running if _is_caller(call[1], frame)]  # others have raised
        outermost = not self._running
        self._running.append((optimizer, frame))
        return self._observer.before_update(self._places[id(optimizer)], args, kwargs) if outermost else None

    @uncompiled
    def _after(self, optimizer: Optimizer, *_: Any) -> None:
        if torch.compiler.is_dynamo_compiling():
            return
        while self._running and self._running.pop()[0] is not optimizer:
            pass
        if not self._running:
            self._successor = None
            self._observer.after_update(self._places[id(optimizer)])

    @uncompiled
    def _before_any(self, optimizer: Optimizer, *_: Any) -> None:
        if torch.compiler.is_dynamo_compiling() or self._other is not None or self._is_elsewhere:
            return
        if self._running:
            self._running = [call for call in self._running if _is_caller(call[1], sys._getframe(1))]
        if self._running:
            return
        if id(optimizer) in self._places or any(each is optimizer for each in self._wrappers):
            return
        if self._shares(optimizer) is not None:
            self._other = optimizer
        elif (index := self._takes_over(optimizer, self.optimizers)) is not None:
            self._replace(index, optimizer)  # its own hooks run after this one, in this update already
        else:
            self._beside = optimizer
            self._observer.before_other(optimizer)

    @uncompiled
    def _after_any(self, optimizer: Optimizer, *_: Any) -> None:
        if torch.compiler.is_dynamo_compiling() or self._is_elsewhere:
            return
        if self._beside is optimizer:
            self._beside = None
            self._observer.after_other()
        if self._other is not optimizer:
            return
        self._other = None
        index = self._shares(optimizer)
        if any(each is optimizer for each in self._wrappers) or index is None:
            return
        if self._successor is not optimizer:
            self._successor = optimizer
            self._observer.used_elsewhere()
            return
        old = self.watched[index].optimizer
        self._replace(index, optimizer)
        self._observer.replaced(index, old, optimizer)

    def _replace(self, index: int, optimizer: Optimizer) -> None:
        self.watched[index] = replace(self.watched[index], optimizer=optimizer, members=(optimizer,))
        self._follow(index, optimizer)

    @property
    def _is_elsewhere(self) -> bool:
        return threading.get_ident() != self._thread

    def _shares(self, optimizer: Optimizer) -> int | None:
        """The watched one that holds a parameter of ``optimizer``."""
        own = held_by([optimizer])
        return next((i for i, each in enumerate(self.watched) if own & held_by([each.optimizer])), None)


def _is_caller(frame: FrameType, of: FrameType) -> bool:
    """Whether ``frame`` is still running and called ``of``, directly or through others."""
    found = of.f_back
    while found is not None and found is not frame:
        found = found.f_back
    return found is frame
