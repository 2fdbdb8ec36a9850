"""The layers that have run in a step and wait for their gradient, and the observer of one call of a module."""

import weakref
from collections.abc import Callable, Collection, Sequence
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
from graddiag.tracing.handed_state import HandedState
from graddiag.tracing.layer_call import LayerCall, WeightCopies
from graddiag.tracing.passes import Passes
from graddiag.tracing.state_links import StateLinks
from graddiag.tracing.trace import Trace


class ObservedCall(Protocol):
    """What waits for its gradient: a layer of graddiag.nn (LayerCall) or a fused one (ObservedFusedLayer)."""

    @property
    def reached(self) -> bool: ...

    @property
    def key(self) -> TraceKey: ...

    @property
    def handed(self) -> HandedState | None: ...

    def sent_in_pass(self) -> tuple[Tensor, Tensor | None] | None: ...

    def drop(self) -> None: ...

    def own_weights(self, copies: WeightCopies) -> None: ...

    def trace(self) -> Trace: ...

    def release(self) -> None: ...


class ObservedCalls:
    """The layers that have run since ``start``, in their order.

    One that no gradient has reached yet is held by its graph alone, unless ``keep_all``. ``left_out``: why a trace
    could not be made, by key. ``heard``: the modules of which a layer was observed. ``weights_are_freed``: set where
    FSDP gathers the weights for each pass alone; they are copied then when the gradient reaches the layer.
    """

    def __init__(self, passes: Passes, *, keep_all: bool) -> None:
        self.passes = passes
        self._keep_all = keep_all
        self._observed: list[weakref.ref[ObservedCall]] = []
        self._held: list[ObservedCall] = []
        self._copies: WeightCopies | None = None
        self.weights_are_freed = False
        self.left_out: dict[TraceKey, str] = {}
        self.heard: set[str] = set()

    def __len__(self) -> int:
        return len(self._observed)

    def start(self, *, own_weights: bool) -> None:
        """Forgets what there is; ``own_weights`` as in ``ModuleHooks.start``."""
        self.forget()
        self._copies = WeightCopies() if own_weights or self.weights_are_freed else None

    @property
    def early_copies(self) -> WeightCopies | None:
        """Where a layer keeps its weights as soon as a gradient reaches it; None where it need not."""
        return self._copies if self.weights_are_freed else None

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

    def handed(self) -> dict[tuple[str, int], HandedState]:
        """What each call was given, by module and call."""
        alive = (observed for observed in (reference() for reference in self._observed) if observed is not None)
        return {(each.key.module, each.key.call): each.handed for each in alive if each.handed is not None}

    def drop(self, modules: Collection[str]) -> None:
        """The gradients of these modules from earlier passes were thrown away."""
        for reference in self._observed:
            observed = reference()
            if observed is not None and observed.key.module in modules:
                observed.drop()

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
        self,
        calls: ObservedCalls,
        links: StateLinks,
        guard: Callable[[Callable[[], None]], None],
        module: str,
        call_index: int,
    ) -> None:
        self._calls = calls
        self._links = links
        self._guard = guard
        self._module = module
        self._index = call_index
        self._end = EndOfBackward(guard)
        self._handed: HandedState | None = None
        self._order: Tensor | None = None

    def given(self, states: Sequence[Tensor], order: Tensor | None, *, joins: bool) -> None:
        """The kernel begins with these states; ``order`` and ``joins`` as in ``graddiag.cells.Observer``."""
        self._order = order
        self._guard(partial(self._note_given, states, joins=joins))

    def returned(self, output: Tensor | None, finals: Sequence[Tensor]) -> None:
        """The kernel has returned this output [T, N, S] and these final states."""
        self._guard(partial(self._links.returned, self._module, self._index, output, finals))

    def __call__(self, call: Call) -> OnBackward:
        observed: list[LayerCall] = []
        self._guard(lambda: observed.append(self._observe(call)))

        def add_gradients(immediate: Immediate, adjoint: Adjoint, grad_w_hh: Tensor) -> None:
            for layer_call in observed:
                self._end.schedule(id(layer_call), layer_call.commit)
                self._guard(partial(layer_call.add, immediate, adjoint, grad_w_hh))

        return add_gradients

    def fused(self, made: Callable[[], FusedLayer]) -> None:
        """Observes every direction of a fused layer; ``made`` describes it."""
        self._guard(lambda: self._observe_directions(made()))

    def _note_given(self, states: Sequence[Tensor], *, joins: bool) -> None:
        self._handed = self._links.given(self._module, self._index, states, self._guard, self._end, joins=joins)

    def _observe(self, call: Call) -> LayerCall:
        calls = self._calls
        observed = LayerCall(self._module, self._index, call, calls.hold, calls.passes, self._handed, self._order)
        self._add(observed)
        return observed

    def _observe_directions(self, layer: FusedLayer) -> None:
        calls, where = self._calls, (self._module, self._index)
        for direction in range(len(layer.weights)):
            observed = ObservedFusedLayer(*where, layer, direction, calls.hold, calls.passes, self._handed, self._order)
            observed.copies = calls.early_copies
            self._add(observed)
            observed.attach(layer, self._end)

    def _add(self, observed: LayerCall | ObservedFusedLayer) -> None:
        self._calls.add(observed)
        if self._handed is not None:
            self._handed.layers.append(weakref.ref(observed))
