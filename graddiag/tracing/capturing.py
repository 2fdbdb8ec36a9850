"""One step in memory: ``with graddiag.capture(model) as cap: loss.backward()``."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from torch import nn

from graddiag import schema
from graddiag.errors import SettingError, UnsupportedError
from graddiag.schema import TraceKey
from graddiag.tracing.hooks import ModuleHooks, recurrent_modules
from graddiag.tracing.support import check_supported, without_compiler
from graddiag.tracing.trace import Trace


def capture(model: nn.Module) -> "Capture":
    """Records every recurrent layer of ``model`` that runs, and its gradients, inside the ``with``.

    Works on torch.nn's RNN, LSTM and GRU as they are and on graddiag.nn's. The results of the model, its gradients
    and torch's generator are the same bits on the CPU as without it. All hooks are off when the ``with`` ends.

    Raises:
        UnsupportedError: ``model`` holds no RNN, LSTM, GRU or cell, or one that cannot be measured exactly.
    """
    check_supported(model)
    model = without_compiler(model)
    if not recurrent_modules(model):
        raise UnsupportedError(
            f"capture({type(model).__name__}): found no torch.nn.RNN, LSTM or GRU (nor graddiag.nn's) among its "
            f"{sum(1 for _ in model.modules())} modules. Pass the model that holds the recurrent layer."
        )
    return Capture(model)


class Capture:
    """The traces of one forward and backward pass; see ``capture``."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._hooks: ModuleHooks | None = None
        self._traces: tuple[Trace, ...] = ()
        self._left_out: dict[TraceKey, str] = {}

    def __enter__(self) -> Self:
        self._hooks = ModuleHooks(self._model, _unguarded, keep_all=True)
        self._hooks.start(own_weights=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._hooks is not None
        if error is None:
            self._traces = tuple(self._hooks.take())
            self._left_out = self._hooks.left_out
        self._hooks.close()
        self._hooks = None

    @property
    def traces(self) -> tuple[Trace, ...]:
        """All traces, in the order in which the layers ran; complete once the ``with`` has ended."""
        return self._traces

    def trace(
        self,
        module: str | None = None,
        layer: int = 0,
        direction: schema.Direction = "forward",
        call: int = 0,
    ) -> Trace:
        """The trace of one layer. ``module`` is its qualified name; None where only one module was captured.

        Raises:
            SettingError: no such trace, or ``module`` is left out although there are several.
        """
        modules = {trace.module for trace in self._traces}
        if module is None and len(modules) > 1:
            raise SettingError(f"trace(): the model has several recurrent modules, name one of {sorted(modules)}.")

        def is_asked(key: TraceKey) -> bool:
            return key == TraceKey(key.module if module is None else module, layer, direction, call)

        for trace in self._traces:
            if is_asked(trace.key):
                return trace
        for key, reason in self._left_out.items():
            if is_asked(key):
                raise SettingError(f"trace(): {reason}")
        asked = f"module={module!r}, layer={layer}, direction={direction!r}, call={call}"
        known = "; ".join(f"{t.module!r} layer {t.layer} {t.direction} call {t.call}" for t in self._traces)
        raise SettingError(
            f"trace({asked}): not captured. Captured: {known or 'nothing; did the forward pass run inside the with?'}"
        )


def _unguarded(module: str, task: Callable[[], None]) -> None:
    task()
