"""From a model to traces: hooks on its recurrent modules, on while a step is being recorded and idle otherwise."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Final

from torch import is_grad_enabled, nn

from graddiag.cells import Instrumented, type_of
from graddiag.kernels import is_plain, load
from graddiag.tracing.backward import current_pass
from graddiag.tracing.calls import Calls
from graddiag.tracing.fused_dispatch import observing_module
from graddiag.tracing.joined import join
from graddiag.tracing.model_hook import BeforeForward, ModelHook, is_transformed
from graddiag.tracing.observed_calls import ModuleCallObserver, ObservedCalls
from graddiag.tracing.passes import Passes, owners
from graddiag.tracing.state_links import StateLinks
from graddiag.tracing.trace import Trace

# why calls of a module cannot be observed
WRITTEN_ANEW: Final = "it runs none of torch's recurrent functions: its forward is written anew"
COMPILED: Final = "torch.compile runs it, and no hook of Python runs in compiled code"
TRANSFORMED: Final = "it runs inside of torch.func (vmap, grad), where tensors have no data"
REPLICATED: Final = "DataParallel runs copies of it"

Guard = Callable[[str, Callable[[], None]], None]
"""Runs a piece of graddiag's own work for the module named, and handles an error in it."""


def recurrent_modules(model: nn.Module) -> dict[str, nn.RNNBase | nn.RNNCellBase]:
    """Every RNN, LSTM and GRU in ``model``, and their cells, by qualified name; '' is the model itself."""
    kinds = (nn.RNNBase, nn.RNNCellBase)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


class ModuleHooks:
    """Observes the recurrent modules of a model between ``start`` and ``take``; owns its hooks until ``close``.

    ``stale`` says, when a module begins to run, whether what was observed before belongs to an update that never came.
    A call that no gradient has reached yet is held by its graph alone, unless ``keep_all``: an evaluation pass with
    gradients on costs no memory once its result is dropped. ``without``: modules that are followed in another way.
    """

    def __init__(
        self,
        model: nn.Module,
        guard: Guard,
        *,
        keep_all: bool = False,
        stale: Callable[[], bool] = lambda: False,
        without: Collection[str] = (),
    ) -> None:
        self._guard = guard
        self._stale = stale
        self._active = False
        self._calls: Counter[str] = Counter()
        self.calls = Calls()
        self._passes = Passes(model, self._zeroed)
        self._links = StateLinks(self._passes)
        self._observed = ObservedCalls(self._passes, keep_all=keep_all)
        # calls that ran within a backward pass, and which: reentrant checkpointing runs the last part of a pass first
        self._within: dict[tuple[str, int], int] = {}
        self._muted: set[str] = set()
        self._running = _Running()
        self._handles: list[Any] = []
        self.left_out = self._observed.left_out
        # of the step taken last, by module: states cut off between calls; why the gain is missing
        self.detached: dict[str, int] = {}
        self.reasons: dict[str, str] = {}
        self._model = model
        self._without = frozenset(without)
        self._followed: dict[str, nn.Module] = {}
        self._hooks: dict[str, ModelHook] = {}
        self._noticed: set[str] = set()
        self._skipped: dict[str, str] = {}  # modules whose calls cannot be observed, with the reason
        self.find()

    def find(self) -> list[str]:
        """Follows the recurrent modules that the model has now; the names of those that are new."""
        found = {name: each for name, each in recurrent_modules(self._model).items() if name not in self._without}
        new = [name for name, module in found.items() if self._followed.get(name) is not module]
        for name in new:
            self._followed[name] = found[name]
            _load_kernels(found[name])
            self._hooks[name] = BeforeForward(self._enter, name)
            self._handles.append(found[name].register_forward_pre_hook(self._hooks[name], with_kwargs=True))
            leave = ModelHook(self._leave, name)
            self._handles.append(found[name].register_forward_hook(leave, with_kwargs=True, always_call=True))
        return new

    @property
    def heard(self) -> set[str]:
        """The modules of which a layer was observed since ``start``."""
        return self._observed.heard

    @property
    def unheard(self) -> dict[str, str]:
        """The modules that ran since ``start`` and of which nothing was observed, with the reason."""
        ran = (name for name in self._calls if name not in self._observed.heard and name not in self._muted)
        traced = (name for name, hook in self._hooks.items() if hook.traced)
        return dict.fromkeys(ran, WRITTEN_ANEW) | dict.fromkeys(traced, COMPILED) | self._skipped

    def unheard_of(self, reached: Collection[int]) -> list[str]:
        """The modules of which no call was ever noticed, and whose parameters (``reached``, by id) got a gradient."""
        silent = (item for item in self._followed.items() if item[0] not in self._noticed)
        return [name for name, module in silent if any(id(p) in reached for p in module.parameters())]

    def start(self, *, own_weights: bool = False) -> None:
        """From here on every forward pass with gradients is observed; what was observed before is forgotten.

        ``own_weights``: traces hold copies of the weights, made when the gradient reaches the layer, so that an update
        before ``take`` does not change them; it costs as much memory as the recurrent layers' parameters.
        """
        self._forget()
        self._observed.start(own_weights=own_weights)
        self._passes.start()
        self._active = True

    def copy_weights(self) -> None:
        """The weights are gathered for each pass alone: from the next ``start`` on the layers keep copies of them."""
        self._observed.weights_are_freed = True

    def stop(self) -> None:
        self._active = False
        self._passes.stop()

    def used(self) -> None:
        """An update has used the gradients of the passes so far; ``zero_grad()`` after it throws none of them away."""
        self._passes.used()

    def mute(self, module: str) -> None:
        """Observes ``module`` no longer, and leaves out what was observed of it in this step."""
        self._muted.add(module)

    def take(self) -> list[Trace]:
        """The traces since ``start``, in the order in which the layers ran, and forgets them.

        Without ``keep_all`` those that a gradient reached. Calls that carry on from one another are one; they are
        counted in the order in which they began. What cannot be recovered is named in ``left_out``, with the reason.
        """
        traces = join(self._observed.traces(self._muted), self._observed.handed())
        self.detached = dict(self._links.detached)
        self.reasons = self._reasons(traces)
        within = dict(self._within)
        self._forget()
        return _renumbered(_in_order(traces, within))

    def close(self) -> None:
        """Takes every hook off; safe to call twice."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._passes.stop()
        self._forget()
        self._active = False

    def _forget(self) -> None:
        self._observed.forget()
        self._calls.clear()
        self._within.clear()
        self._passes.forget()
        self._links = StateLinks(self._passes)

    def _reasons(self, traces: Sequence[Trace]) -> dict[str, str]:
        found: dict[str, str] = {}
        for (module, _), handed in self._observed.handed().items():
            if handed.attached and handed.reason is not None:
                found.setdefault(module, handed.reason)
        for trace in traces:
            for reason in trace.gaps.values():
                found.setdefault(trace.module, reason)
        return found

    def _zeroed(self, parameter: int) -> None:
        """The gradient that an earlier pass of the step left in a parameter was thrown away before another pass."""
        by_parameter = owners(self._followed)
        frozen = {name for name in self._followed if not any(name in names for names in by_parameter.values())}
        modules = by_parameter.get(parameter, set()) | frozen
        if modules:
            self._observed.drop(modules)

    def _enter(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._running.stacks.append(None)
        self._noticed.add(name)
        if name in self._muted:
            return
        if not is_grad_enabled():
            self.calls.note_without_graph(name, module)
            return
        if reason := _cannot_observe(module):
            self._skipped[name] = reason
            return
        if not self.calls.note_again(name):
            self._guard(name, partial(self.calls.note, name, module, args, kwargs))
        if self._active:
            stack = self._running.stacks[-1] = ExitStack()
            self._guard(name, partial(self._observe, stack, name, module))

    def _observe(self, stack: ExitStack, name: str, module: nn.Module) -> None:
        """Observes the call that begins, until ``stack`` is closed."""
        if self._observed and self._stale():
            self._forget()
        index = self._calls[name]
        self._calls[name] += 1
        if current_pass() != -1:
            self._within[name, index] = current_pass()
        observer = ModuleCallObserver(self._observed, self._links, partial(self._guard, name), name, index)
        stack.enter_context(observing_module(module, observer, instrumented=isinstance(module, Instrumented)))

    def _leave(self, name: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        stack = self._running.stacks.pop() if self._running.stacks else None
        if stack is not None:
            stack.close()
        if self._active and not is_grad_enabled() and name not in self._muted and not is_transformed():
            self._guard(name, partial(self._links.returned_without_graph, name, output))


def load_kernels(model: nn.Module) -> None:
    """Makes ready what the recorded steps of ``model`` will call; the first time this compiles, which takes seconds."""
    for module in recurrent_modules(model).values():
        _load_kernels(module)


def _load_kernels(module: nn.Module) -> None:
    """Makes ready what a recorded step of ``module`` will call, so that no step of the training waits for it."""
    kind = type_of(module)
    if kind is not None and all(is_plain(parameter.detach()) for parameter in module.parameters()):
        load(kind.name, "signals")


def _cannot_observe(module: nn.Module) -> str | None:
    """Why this call of a module cannot be observed; None where it can."""
    if is_transformed():
        return TRANSFORMED
    return REPLICATED if vars(module).get("_is_replica") else None


class _Running(threading.local):
    """What is to be undone when the modules that run in this thread have returned; None where nothing is."""

    def __init__(self) -> None:
        self.stacks: list[ExitStack | None] = []


def _in_order(traces: list[Trace], within: Mapping[tuple[str, int], int]) -> list[Trace]:
    """The same traces with those that ran ``within`` one backward pass the other way round, call by call, in the places
    that they have together."""
    places: dict[int, list[int]] = {}
    for place, trace in enumerate(traces):
        if (trace.module, trace.call) in within:
            places.setdefault(within[trace.module, trace.call], []).append(place)
    found = list(traces)
    for own in places.values():
        turned = sorted((traces[place] for place in own), key=lambda trace: -trace.call)
        for place, trace in zip(own, turned, strict=True):
            found[place] = trace
    return found


def _renumbered(traces: list[Trace]) -> list[Trace]:
    """The same traces with each module's calls counted from 0, in the order in which they ran."""
    numbers: dict[str, dict[int, int]] = {}
    for trace in traces:
        own = numbers.setdefault(trace.module, {})
        own.setdefault(trace.call, len(own))
    return [replace(trace, call=numbers[trace.module][trace.call]) for trace in traces]
