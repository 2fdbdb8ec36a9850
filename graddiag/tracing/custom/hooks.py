"""Follows cells while a step is being recorded: their calls, and the traces of what they did."""

import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from inspect import BoundArguments
from typing import Any, cast

import torch
from torch import Tensor, is_grad_enabled, nn

from graddiag.kinds import Nonlinearity
from graddiag.schema import TraceKey
from graddiag.tracing.backward import EndOfBackward, current_pass
from graddiag.tracing.calls import Calls, holds_gradient
from graddiag.tracing.custom.cell_call import CellForm, map_tree, tensors_in
from graddiag.tracing.custom.forward import FollowedForward
from graddiag.tracing.custom.observed import CellRecord, ObservedCellCall, StateKey, trace_of, versions_of
from graddiag.tracing.custom.passes import CellPass
from graddiag.tracing.custom.replay import CallWatch
from graddiag.tracing.custom.sequence import CellTrace
from graddiag.tracing.state_graph import StateGraph, StatePath

Guard = Callable[[str, Callable[[], None]], None]
"""Runs a piece of graddiag's own work for the cell named, and handles an error in it."""


class CellHooks:
    """Follows the cells of a model between ``start`` and ``take``; owns its hooks until ``close``.

    calls: notes which of them ran, on how much. stale: as in ``ModuleHooks``. Backward passes that fill no gradient of
    a parameter (``torch.autograd.grad``) count only where none of the step does.
    """

    def __init__(
        self,
        model: nn.Module,
        forms: Mapping[str, CellForm],
        guard: Guard,
        calls: Calls,
        stale: Callable[[], bool] = lambda: False,
    ) -> None:
        self._model = model
        self._modules = {name: model.get_submodule(name) for name in forms}
        self._forms = forms
        self._guard = guard
        self._calls = calls
        self._stale = stale
        self._active = self._credit = False
        self._muted: set[str] = set()
        self._running = _RunningCalls()
        self._watches = {name: CallWatch(module) for name, module in self._modules.items()}
        self._end = EndOfBackward(lambda task: task())
        self._handles: list[FollowedForward] = []
        self.reasons: dict[str, str] = {}  # of the step taken last: why a gain is missing, by cell
        self.detached: Counter[str] = Counter()  # states cut off between two calls, by cell
        self._forget()
        self._forwards: dict[str, FollowedForward] = {}
        for name, module in self._modules.items():
            enter, leave = partial(self._enter, name, module), partial(self._leave, name)
            self._forwards[name] = FollowedForward(module, enter, leave)
            self._handles.append(self._forwards[name])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._forms)

    @property
    def ran(self) -> set[str]:
        """The cells that ran with gradients since ``start``."""
        return {name for name, count in self._counts.items() if count}

    @property
    def traced(self) -> list[str]:
        """The cells that ran inside of torch.compile, where they are not followed."""
        return [name for name, forward in self._forwards.items() if forward.traced]

    def start(self, *, credit: bool = False) -> None:
        """From here on every call with gradients is followed; what was before is forgotten. ``credit``: with the
        credit matrix of each sequence."""
        self._forget()
        self._active, self._credit = True, credit

    def stop(self) -> None:
        self._active = False

    def used(self) -> None:
        """An update has used the gradients of the passes so far; ``zero_grad()`` after it throws none of them away."""
        for record in self._reached:
            record.is_used = True

    def mute(self, name: str) -> None:
        """Follows the cell ``name`` no longer, and leaves out what was followed of it in this step."""
        self._muted.add(name)

    def gate(self, name: str, values: Tensor, activation: Nonlinearity, of: str | None) -> bool:
        """Notes the activations [N, ...] of a gate of the call that is running, else of the last one; False where no
        call is being recorded."""
        found = [call.record for call in self._running.calls if call is not None and of in (None, call.record.name)]
        last = self._last.get(of) if of is not None else next(reversed(self._last.values()), None)
        record = found[-1] if found else last
        if record is not None:
            record.gates[name] = (values.detach(), activation)
        return record is not None

    def take(self) -> list[CellTrace]:
        """The sequences since ``start`` that a gradient reached, in the order in which they began; forgets them."""
        filled = any(True in record.steps for record in self._reached)
        for record in self._reached:
            record.choose(filled=filled)
        chains: dict[CellRecord, list[CellRecord]] = {}
        for record in sorted(self._reached, key=lambda each: (each.name, each.index)):
            if record.name not in self._muted and record.step is not None:
                chains.setdefault(record.sequence, []).append(record)
        numbers: Counter[str] = Counter()
        traces = []
        for first, chain in sorted(chains.items(), key=lambda each: self._order[each[0]]):
            name = first.name
            traces.append(trace_of(TraceKey(name, 0, "forward", numbers[name]), chain))
            numbers[name] += 1
        self.reasons = {name: reason for each in traces if (reason := _reason(each)) for name in (each.key.module,)}
        detached = self.detached
        self._forget()
        self.detached = detached
        return traces

    def close(self) -> None:
        """Takes every hook off; safe to call twice."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._forget()
        self._active = False

    def _forget(self) -> None:
        for record in getattr(self, "_reached", ()):
            record.drop()
            record.step, record.gates, record.source = None, {}, None
        self._reached: dict[CellRecord, None] = {}
        self._order: dict[CellRecord, int] = {}
        self._last: dict[str, CellRecord] = {}
        self._counts: Counter[str] = Counter()
        self._graph = StateGraph()
        self._returned: dict[str, set[tuple[int, int]]] = {}
        self._pass: CellPass | None = None
        self.detached = Counter()

    def _enter(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._running.calls.append(None)
        if not is_grad_enabled() or name in self._muted or current_pass() != -1:
            return  # no gradient will come; or a checkpoint runs what has run before
        if not self._calls.note_again(name):
            self._guard(name, partial(self._note, name, module, args, kwargs))
        if self._active:
            self._guard(name, partial(self._begin, name, args, kwargs))

    def _leave(self, name: str, output: Any) -> None:
        call = self._running.calls.pop() if self._running.calls else None
        if call is not None and output is not None and name not in self._muted:
            self._guard(name, partial(self._finish, call, output))

    def _note(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = self._forms[name].given(self._forms[name].bound(args, kwargs))
        self._calls.note_first(name, module, len(given[0]) if given and given[0].dim() > 1 else None)

    def _begin(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._reached and self._stale():
            self._forget()
        form, record = self._forms[name], CellRecord(name, self._counts[name], self._forms[name].call.first)
        bound = form.bound(args, kwargs)
        given = form.given(bound)
        every = tensors_in(list(bound.arguments.values()))
        if any(torch._C._functorch.is_functorch_wrapped_tensor(each) for each in every):
            return  # of vmap or torch.func.grad: it has no storage to keep
        self._counts[name] += 1
        self._order[record] = len(self._order)
        path = self._link(record, given)
        detached = {key: map_tree(value, Tensor.detach) for key, value in bound.arguments.items()}
        own = BoundArguments(form.signature, OrderedDict(detached))
        device = given[0].device if given else _device(args, self._modules[name])
        surroundings, versions = self._watches[name].before(device)
        call = ObservedCellCall(record, form, own, versions_of(own), form.given(own), surroundings, path)
        record.call = weakref.ref(call)
        call.buffer_versions = versions
        self._running.calls[-1] = call
        if path is not None and not path.direct and path.missing is None:
            path.at_gradient(_Crossing(self, call))

    def _link(self, record: CellRecord, given: list[Tensor]) -> StatePath | None:
        """How the state depends on what earlier calls returned; the call carries on from the last of these."""
        record.given = tuple(each.shape for each in given)
        ends = self._returned.get(record.name, set())
        if given and any(each.grad_fn is None and not each.requires_grad and _at(each) in ends for each in given):
            self.detached[record.name] += 1
        path = self._graph.path(record.name, given)
        for leaf, each in enumerate(given):
            self._graph.note(record.name, StateKey(record, "given", leaf), each)
        keys = [cast(StateKey, key) for key in path.sources]
        returned = [key for key in keys if key.side == "returned"]
        if not returned:
            return None
        source = max((key.record for key in returned), key=lambda each: each.index)
        if source.is_followed:
            return None
        self._settle(source, path, given)
        source.is_followed = True
        record.source, record.position = source, source.position + 1
        return path

    def _settle(self, source: CellRecord, path: StatePath, given: list[Tensor]) -> None:
        """The next state of ``source`` is what this call was given, where nothing else was said."""
        call = None if source.call is None else source.call()
        if call is None or call.form.call.result is not None:
            return
        leaves = [_leaf_of(source, path, place) for place in range(len(given))]
        if None not in leaves:
            call.choose(cast(list[int], leaves))
        elif call.state is None:
            call.settle([each.shape for each in given])

    def _finish(self, call: ObservedCellCall, output: Any) -> None:
        record = call.record
        call.surroundings = self._watches[record.name].after(call.surroundings, call.buffer_versions)
        call.returned(output, self._reach)
        for leaf, tensor in enumerate(tensors_in(output)):
            self._graph.note(record.name, StateKey(record, "returned", leaf), tensor)
            self._returned.setdefault(record.name, set()).add(_at(tensor))
        self._last.pop(record.name, None)
        self._last[record.name] = record

    def _reach(self, call: ObservedCellCall) -> None:
        if call.record not in self._order or call.record.name in self._muted:
            return
        self._guard(call.record.name, partial(self._reached_by, call))

    def _reached_by(self, call: ObservedCellCall) -> None:
        if self._pass is None or self._pass.number != current_pass():  # one that failed never ended
            filled = _fills_gradients(self._model)
            self._pass = CellPass(self._modules, self._guard, filled=filled, credit=self._credit)
        if self._pass.begins(call.record.name) and not _holds_any(self._modules[call.record.name]):
            for record in self._reached:  # zero_grad() has thrown away what the passes before brought
                if record.name == call.record.name and not record.is_used:
                    record.drop()
        self._reached[call.record] = None
        self._pass.reach(call)
        self._end.schedule("cells", self._end_pass)

    def _cross(self, call: ObservedCellCall) -> None:
        if self._pass is not None and call.record in self._order:
            self._guard(call.record.name, partial(self._pass.measure_down_to, call))

    def _end_pass(self) -> None:
        ended, self._pass = self._pass, None
        if ended is not None:
            ended.finish()


class _RunningCalls(threading.local):
    """The calls of followed cells that are under way in this thread, the innermost last; None for one not followed."""

    def __init__(self) -> None:
        self.calls: list[ObservedCellCall | None] = []


class _Crossing:
    """The moment before a backward pass goes through the operations in front of a call; holds no graph."""

    def __init__(self, hooks: CellHooks, call: ObservedCellCall) -> None:
        self._hooks, self._call = hooks, weakref.ref(call)

    def __call__(self) -> None:
        call = self._call()
        if call is not None:
            self._hooks._cross(call)


def _reason(trace: CellTrace) -> str | None:
    """Why the gain is missing somewhere in a sequence; on the CPU alone, whether calling it again was exact."""
    for step in trace.steps[1:]:
        if step.reason is not None:
            return step.reason
    if not trace.exact.is_cpu or bool(trace.exact.all()):
        return None
    return (
        "calling it again gave another state; it uses a generator, an attribute that changes, or a hook that changes "
        "what it is given or returns"
    )


def _leaf_of(source: CellRecord, path: StatePath, place: int) -> int | None:
    """Which tensor that ``source`` returned a state is, without an operation in between; None where it is none."""
    root = path.roots[place]
    keys = () if root is None else path.ends.get(root, ())
    own = (key for key in keys if isinstance(key, StateKey) and key.record is source and key.side == "returned")
    return next((key.leaf for key in own), None)


def _fills_gradients(model: nn.Module) -> bool:
    """Whether the backward pass under way adds to the gradient of a parameter, as ``torch.autograd.grad`` does not."""
    own = (p for p in model.parameters() if p.requires_grad and p.is_leaf)
    nodes = [torch.autograd.graph.get_gradient_edge(parameter).node for parameter in own]
    try:
        return any(torch._C._will_engine_execute_node(node) for node in nodes)
    except RuntimeError:  # torch.autograd.grad is asked for a parameter's gradient, and torch says no more than that
        return False


def _holds_any(module: nn.Module) -> bool:
    """Whether a parameter of a module has a gradient from an earlier pass; so it has if it trains none."""
    own = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return not own or any(holds_gradient(parameter) for parameter in own)


def _at(state: Tensor) -> tuple[int, int]:
    return state.data_ptr(), state.numel()


def _device(args: tuple[Any, ...], module: nn.Module) -> torch.device:
    """Of the first tensor among the arguments, else of the parameters."""
    tensor = next(iter(tensors_in(list(args))), None)
    found = tensor if tensor is not None else next(module.parameters(), None)
    return torch.device("cpu") if found is None else found.device
