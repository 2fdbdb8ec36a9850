"""Which observers a module has while it runs: one set for each call, however many record it at the same time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from graddiag.cells import Adjoint, Call, Immediate, observing
from graddiag.cells.observer import OnBackward
from graddiag.tracing.compiled import uncompiled
from graddiag.tracing.fused import CELL_FUNCTIONS, LAYER_FUNCTIONS, FusedLayer, run, run_cell


class CallObserver(Protocol):
    """Observes the layers of one module call: instrumented ones when called, fused ones by ``fused``; and the states
    that a kernel is given and returns."""

    def __call__(self, call: Call) -> OnBackward: ...

    def given(self, states: Sequence[Tensor], order: Tensor | None, *, joins: bool) -> None: ...

    def fused(self, made: Callable[[], FusedLayer]) -> None: ...

    def returned(self, output: Tensor | None, finals: Sequence[Tensor]) -> None: ...


class _CallObservers:
    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.each: list[CallObserver] = []

    def __call__(self, call: Call) -> OnBackward:
        callbacks = [observer(call) for observer in self.each]

        def call_all(immediate: Immediate, adjoint: Adjoint, grad_w_hh: Tensor) -> None:
            for callback in callbacks:
                callback(immediate, adjoint, grad_w_hh)

        return callbacks[0] if len(callbacks) == 1 else call_all

    def given(self, states: Sequence[Tensor], order: Tensor | None, *, joins: bool) -> None:
        for observer in self.each:
            observer.given(states, order, joins=joins)

    def fused(self, made: Callable[[], FusedLayer]) -> None:
        for observer in self.each:
            observer.fused(made)

    def returned(self, output: Tensor | None, finals: Sequence[Tensor]) -> None:
        for observer in self.each:
            observer.returned(output, finals)


_observers: ContextVar[_CallObservers | None] = ContextVar("graddiag_call_observers", default=None)


@contextmanager
def observing_module(module: nn.Module, observer: CallObserver, *, instrumented: bool) -> Iterator[None]:
    """While ``module`` runs, ``observer`` observes its layers, beside those that observe this call already."""
    observers = _observers.get()
    if observers is not None and observers.module is module:
        observers.each.append(observer)
        yield
        return
    observers = _CallObservers(module)
    observers.each.append(observer)
    token = _observers.set(observers)
    try:
        with observing(observers) if instrumented else _FusedMode(observers):
            yield
    finally:
        _observers.reset(token)


class _FusedMode(TorchFunctionMode):
    """While a module's forward runs, torch's fused recurrent functions run layer by layer."""

    def __init__(self, observers: _CallObservers) -> None:
        super().__init__()
        self._observers = observers

    @uncompiled
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in LAYER_FUNCTIONS and not kwargs:
            return run(func, args, self._observers)
        if func in CELL_FUNCTIONS and not kwargs:
            return run_cell(func, args, self._observers)
        return func(*args, **(kwargs or {}))
