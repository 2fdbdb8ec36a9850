"""From a model to traces: hooks on its recurrent modules, on while a step is being recorded and idle otherwise."""

import threading
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from torch import Tensor, is_grad_enabled, nn

from graddiag.cells import Adjoint, Call, Immediate, Instrumented
from graddiag.cells.observer import OnBackward
from graddiag.errors import UnsupportedError
from graddiag.tracing.backward import EndOfBackward
from graddiag.tracing.calls import Calls
from graddiag.tracing.fused import FusedLayer
from graddiag.tracing.fused_dispatch import observing_module
from graddiag.tracing.fused_layer import ObservedFusedLayer
from graddiag.tracing.layer_call import LayerCall, WeightCopies
from graddiag.tracing.state_links import StateLinks, join
from graddiag.tracing.trace import Trace, TraceKey

Guard = Callable[[str, Callable[[], None]], None]
"""Runs a piece of graddiag's own work for the module named, and decides what becomes of an error in it."""


class ObservedCall(Protocol):
    """What waits for its gradient: a layer of graddiag.nn (LayerCall) or a fused one (ObservedFusedLayer)."""

    @property
    def reached(self) -> bool: ...

    @property
    def key(self) -> TraceKey: ...

    def own_weights(self, copies: WeightCopies) -> None: ...

    def trace(self) -> Trace: ...

    def release(self) -> None: ...


def recurrent_modules(model: nn.Module) -> dict[str, nn.RNNBase | nn.RNNCellBase]:
    """Every RNN, LSTM and GRU in ``model``, and their cells, by qualified name; '' is the model itself."""
    kinds = (nn.RNNBase, nn.RNNCellBase)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


class ModuleHooks:
    """Observes the recurrent modules of a model between ``start`` and ``take``; owns its hooks until ``close``.

    ``stale`` says, when a module begins to run, whether what was observed before belongs to an update that never came.
    A call that no gradient has reached yet is held by its graph alone, unless ``keep_all``: an evaluation pass with
    gradients on costs no memory once its result is dropped.
    """

    def __init__(
        self, model: nn.Module, guard: Guard, *, keep_all: bool = False, stale: Callable[[], bool] = lambda: False
    ) -> None:
        self._guard = guard
        self._stale = stale
        self._keep_all = keep_all
        self._active = False
        self._calls: Counter[str] = Counter()
        self.calls = Calls()
        self._links = StateLinks()
        self._observed: list[weakref.ref[ObservedCall]] = []
        self._held: list[ObservedCall] = []
        self._copies: WeightCopies | None = None
        self._muted: set[str] = set()
        self._running = _Running()
        self._handles = []
        self.left_out: dict[TraceKey, str] = {}
        self.detached: dict[str, int] = {}  # of the step taken last: states cut off between calls, by module
        for name, module in recurrent_modules(model).items():
            self._handles.append(module.register_forward_pre_hook(_Hook(self._enter, name), with_kwargs=True))
            leave = _Hook(self._leave, name)
            self._handles.append(module.register_forward_hook(leave, with_kwargs=True, always_call=True))

    def start(self, *, own_weights: bool = False) -> None:
        """From here on every forward pass with gradients is observed; what was observed before is forgotten.

        ``own_weights``: traces hold copies of the weights, made when the gradient reaches the layer, so that an update
        before ``take`` does not change them; it costs as much memory as the recurrent layers' parameters.
        """
        self._forget()
        self._copies = WeightCopies() if own_weights else None
        self._active = True

    def stop(self) -> None:
        self._active = False

    def mute(self, module: str) -> None:
        """Observes ``module`` no longer, and leaves out what was observed of it in this step."""
        self._muted.add(module)

    def take(self) -> list[Trace]:
        """The traces since ``start``, in the order in which the layers ran, and forgets them.

        Without ``keep_all`` those that a gradient reached. Calls that carry on from one another are one; they are
        counted in the order in which they began. What cannot be recovered is named in ``left_out``, with the reason.
        """
        traces = []
        for reference in self._observed:
            observed = reference()
            if observed is None or observed.key.module in self._muted or not (observed.reached or self._keep_all):
                continue
            try:
                if self._copies is not None:
                    observed.own_weights(self._copies)
                traces.append(observed.trace())
            except UnsupportedError as error:
                self.left_out[observed.key] = str(error)
        traces = join(traces, self._links.links)
        self.detached = dict(self._links.detached)
        self._forget()
        return _renumbered(traces)

    def close(self) -> None:
        """Takes every hook off; safe to call twice."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._forget()
        self._active = False

    def observe(self, observed: ObservedCall) -> None:
        """Notes a layer that has run."""
        self._observed.append(weakref.ref(observed))
        if self._keep_all:
            self._held.append(observed)

    def hold(self, observed: ObservedCall) -> None:
        """Keeps a layer that a gradient has reached, whatever becomes of its graph."""
        if not self._keep_all:
            self._held.append(observed)
        if self._copies is not None:
            observed.own_weights(self._copies)

    def guarded(self, module: str, task: Callable[[], None]) -> None:
        self._guard(module, task)

    def _forget(self) -> None:
        for reference in self._observed:
            observed = reference()
            if observed is not None:
                observed.release()
        self._observed, self._held = [], []
        self._copies = None if self._copies is None else WeightCopies()
        self._calls.clear()
        self._links = StateLinks()

    def _enter(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        stack = ExitStack()
        self._running.stacks.append(stack)
        if is_grad_enabled() and name not in self._muted:
            self._guard(name, partial(self.calls.note, name, module, args, kwargs))
        if self._active and is_grad_enabled() and name not in self._muted:
            if self._observed and self._stale():
                self._forget()
            index = self._calls[name]
            self._calls[name] += 1
            self._links.starts(name, index, module, args, kwargs)
            call = _ModuleCall(self, name, index)
            stack.enter_context(observing_module(module, call, instrumented=isinstance(module, Instrumented)))

    def _leave(self, name: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if self._running.stacks:
            stack = self._running.stacks.pop()
            if self._active and name not in self._muted:
                self._links.ends(name, module, output)
            stack.close()


class _Running(threading.local):
    """What is to be undone when the modules that run in this thread have returned."""

    def __init__(self) -> None:
        self.stacks: list[ExitStack] = []


class _ModuleCall:
    """One call of one recurrent module: observes its layers, instrumented or fused."""

    def __init__(self, hooks: ModuleHooks, name: str, index: int) -> None:
        self._hooks = hooks
        self._name = name
        self._index = index
        self._end = EndOfBackward(lambda task: hooks.guarded(name, task))

    def __call__(self, call: Call) -> OnBackward:
        observed: list[LayerCall] = []
        self._hooks.guarded(self._name, lambda: observed.append(self._observe(call)))

        def arrived(immediate: Immediate, adjoint: Adjoint, grad_w_hh: Tensor) -> None:
            for layer_call in observed:
                self._hooks.guarded(self._name, partial(layer_call.add, immediate, adjoint, grad_w_hh))

        return arrived

    def _observe(self, call: Call) -> LayerCall:
        layer_call = LayerCall(self._name, self._index, call, self._hooks.hold)
        self._hooks.observe(layer_call)
        return layer_call

    def fused(self, made: Callable[[], FusedLayer]) -> None:
        self._hooks.guarded(self._name, lambda: self._observe_directions(made()))

    def _observe_directions(self, layer: FusedLayer) -> None:
        for direction in range(len(layer.weights)):
            observed = ObservedFusedLayer(self._name, self._index, layer, direction, self._hooks.hold)
            self._hooks.observe(observed)
            observed.attach(layer, self._end)


class _Hook:
    """A forward hook that stays behind when the module is copied or pickled."""

    def __init__(self, action: Callable[..., None], name: str) -> None:
        self._action = action
        self._name = name

    def __call__(self, module: nn.Module, *given: Any) -> None:
        self._action(self._name, module, *given)

    def __deepcopy__(self, memo: Any) -> "_NoHook":
        return _NoHook()

    def __reduce__(self) -> tuple[type["_NoHook"], tuple[()]]:
        return _NoHook, ()


class _NoHook:
    """What is left of a hook in a copy of the module."""

    def __call__(self, *_: Any) -> None:
        return None


def _renumbered(traces: list[Trace]) -> list[Trace]:
    """The same traces with each module's calls counted from 0, in the order in which they ran."""
    numbers: dict[str, dict[int, int]] = {}
    for trace in traces:
        own = numbers.setdefault(trace.module, {})
        own.setdefault(trace.call, len(own))
    return [replace(trace, call=numbers[trace.module][trace.call]) for trace in traces]
