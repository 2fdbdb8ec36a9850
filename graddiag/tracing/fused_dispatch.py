"""Who hears a module while it runs: one set of ears a module call, however many watch it at the same time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from graddiag.cells import Adjoint, Call, Immediate, listening
from graddiag.cells.observer import OnBackward
from graddiag.tracing.fused import CELLS, FUSED, FusedLayer, run, run_cell


class Ear(Protocol):
    """Hears the layers of one module call: instrumented ones when called, fused ones by ``fused``."""

    def __call__(self, call: Call) -> OnBackward: ...

    def fused(self, made: Callable[[], FusedLayer]) -> None: ...


class _Ears:
    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.each: list[Ear] = []

    def __call__(self, call: Call) -> OnBackward:
        told = [ear(call) for ear in self.each]

        def tell_all(immediate: Immediate, adjoint: Adjoint, grad_w_hh: Tensor) -> None:
            for tell in told:
                tell(immediate, adjoint, grad_w_hh)

        return told[0] if len(told) == 1 else tell_all

    def fused(self, made: Callable[[], FusedLayer]) -> None:
        for ear in self.each:
            ear.fused(made)


_ears: ContextVar[_Ears | None] = ContextVar("graddiag_ears", default=None)


@contextmanager
def hearing(module: nn.Module, ear: Ear, *, instrumented: bool) -> Iterator[None]:
    """While ``module`` runs, ``ear`` hears its layers, beside whoever hears this call of it already."""
    ears = _ears.get()
    if ears is not None and ears.module is module:
        ears.each.append(ear)
        yield
        return
    ears = _Ears(module)
    ears.each.append(ear)
    token = _ears.set(ears)
    try:
        with listening(ears) if instrumented else _FusedMode(ears):
            yield
    finally:
        _ears.reset(token)


class _FusedMode(TorchFunctionMode):
    """While a module's forward runs, torch's fused recurrent functions run layer by layer."""

    def __init__(self, ears: _Ears) -> None:
        super().__init__()
        self._ears = ears

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in FUSED and not kwargs:
            return run(func, args, self._ears.fused)
        if func in CELLS and not kwargs:
            return run_cell(func, args, self._ears.fused)
        return func(*args, **(kwargs or {}))
