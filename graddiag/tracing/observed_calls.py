"""The layers that have run in a step and wait for their gradient, and the observer of one call of a module."""

import weakref
from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol

from torch import Tensor

from graddiag.cells import Adjoint, Call, Immediate
from graddiag.cells.observer import OnBackward
from graddiag.errors import UnsupportedError
from graddiag.schema import TraceKey
from graddiag.tracing.backward import EndOfBackward
from graddiag.tracing.fused import FusedLayer
from graddiag.tracing.fused_layer import ObservedFusedLayer
from graddiag.tracing.layer_call import LayerCall, WeightCopies
from graddiag.tracing.trace import Trace


class ObservedCall(Protocol):
    """What waits for its gradient: a layer of graddiag.nn (LayerCall) or a fused one (ObservedFusedLayer)."""

    @property
    def reached(self) -> bool: ...

    @property
    def key(self) -> TraceKey: ...

    def own_weights(self, copies: WeightCopies) -> None: ...

    def trace(self) -> Trace: ...

    def release(self) -> None: ...


class ObservedCalls:
    """The layers that have run since ``start``, in their order.

    One that no gradient has reached yet is held by its graph alone, unless ``keep_all``. ``left_out``: why a trace
    could not be made, by key. ``heard``: the modules of which a layer was observed.
    """

    def __init__(self, *, keep_all: bool) -> None:
        self._keep_all = keep_all
        self._observed: list[weakref.ref[ObservedCall]] = []
        self._held: list[ObservedCall] = []
        self._copies: WeightCopies | None = None
        self.left_out: dict[TraceKey, str] = {}
        self.heard: set[str] = set()

    def __len__(self) -> int:
        return len(self._observed)

    def start(self, *, own_weights: bool) -> None:
        """Forgets what there is; ``own_weights`` as in ``ModuleHooks.start``."""
        self.forget()
        self._copies = WeightCopies() if own_weights else None

    def add(self, observed: ObservedCall) -> None:
        """Notes a layer that has run."""
        self.heard.add(observed.key.module)
        self._observed.append(weakref.ref(observed))
        if self._keep_all:
            self._held.append(observed)

    def hold(self, observed: ObservedCall) -> None:
        """Keeps a layer that a gradient has reached, even if its graph is freed."""
        if not self._keep_all:
            self._held.append(observed)
        if self._copies is not None:
            observed.own_weights(self._copies)

    def traces(self, without: Collection[str]) -> list[Trace]:
        """The traces of layers that a gradient reached (of all with ``keep_all``), but for the modules ``without``."""
        found = []
        for reference in self._observed:
            observed = reference()
            if observed is None or observed.key.module in without or not (observed.reached or self._keep_all):
                continue
            try:
                if self._copies is not None:
                    observed.own_weights(self._copies)
                found.append(observed.trace())
            except UnsupportedError as error:
                self.left_out[observed.key] = str(error)
        return found

    def forget(self) -> None:
        """Lets go of every layer and its tensors."""
        for reference in self._observed:
            observed = reference()
            if observed is not None:
                observed.release()
        self._observed, self._held, self.heard = [], [], set()
        self._copies = None if self._copies is None else WeightCopies()


class ModuleCallObserver:
    """Observes the layers of one call of one recurrent module, instrumented or fused. ``guard`` runs its work."""

    def __init__(
        self, calls: ObservedCalls, guard: Callable[[Callable[[], None]], None], module: str, call_index: int
    ) -> None:
        self._calls = calls
        self._guard = guard
        self._module = module
        self._index = call_index
        self._end = EndOfBackward(guard)

    def __call__(self, call: Call) -> OnBackward:
        observed: list[LayerCall] = []
        self._guard(lambda: observed.append(self._observe(call)))

        def add_gradients(immediate: Immediate, adjoint: Adjoint, grad_w_hh: Tensor) -> None:
            for layer_call in observed:
                self._guard(partial(layer_call.add, immediate, adjoint, grad_w_hh))

        return add_gradients

    def _observe(self, call: Call) -> LayerCall:
        layer_call = LayerCall(self._module, self._index, call, self._calls.hold)
        self._calls.add(layer_call)
        return layer_call

    def fused(self, made: Callable[[], FusedLayer]) -> None:
        """Observes every direction of a fused layer; ``made`` describes it."""
        self._guard(lambda: self._observe_directions(made()))

    def _observe_directions(self, layer: FusedLayer) -> None:
        for direction in range(len(layer.weights)):
            observed = ObservedFusedLayer(self._module, self._index, layer, direction, self._calls.hold)
            self._calls.add(observed)
            observed.attach(layer, self._end)
