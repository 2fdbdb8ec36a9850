"""One backward pass through the calls of followed cells: each call is measured once all of its gradient is there.

Calls are measured from the last to the first of a sequence, since what a call sends back belongs to the one before. A
call behind which operations change the state is measured the moment before the pass goes through these operations, the
others when the pass has ended.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from graddiag.errors import UnsupportedError
from graddiag.tracing.backward import current_pass
from graddiag.tracing.credit import loss_timesteps
from graddiag.tracing.custom.cell_call import tensors_in
from graddiag.tracing.custom.observed import CellRecord, ObservedCellCall, StateKey
from graddiag.tracing.custom.replay import Replica, generators_kept
from graddiag.tracing.custom.sequence import CallJacobian, CellStep, less
from graddiag.tracing.norms import norm
from graddiag.tracing.state_graph import StatePath

_SEVERAL: Final = "the state that a call was given depends on several earlier ones at once"


@dataclass
class _Sent:
    """What a call sends to the one before it: to the state that one returned, and past it to the state that it was
    given. None where it is not known. rows: the same of the gradients of single loss timesteps, [K, ...]."""

    onward: tuple[Tensor, ...] | None
    past: tuple[Tensor, ...] | None
    rows: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] | None = None


class CellPass:
    """The calls that one backward pass reaches. ``filled``: whether it fills the gradients of parameters."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        guard: Callable[[str, Callable[[], None]], None],
        *,
        filled: bool,
        credit: bool,
    ) -> None:
        self.number = current_pass()
        self._modules = modules
        self._guard = guard
        self._filled = filled
        self._credit = credit
        self._began: set[str] = set()
        self._replicas: dict[str, Replica] = {}
        self._waiting: dict[CellRecord, ObservedCellCall] = {}
        self._sent: dict[CellRecord, _Sent] = {}
        self._steps: dict[CellRecord, CellStep] = {}
        self._norms: dict[CellRecord, Tensor] = {}
        self._measured: list[tuple[ObservedCellCall, frozenset[int]]] = []
        self._at: dict[CellRecord, tuple[int, ...]] = {}

    def begins(self, name: str) -> bool:
        """Whether it is the first time that the pass reaches the cell ``name``."""
        first = name not in self._began
        self._began.add(name)
        return first

    def reach(self, call: ObservedCellCall) -> None:
        """A gradient has come to ``call``; more may come."""
        self._waiting[call.record] = call

    def measure_down_to(self, call: ObservedCellCall) -> None:
        """Measures ``call`` and those behind it of its sequence: the gradient of all these is complete."""
        own, sequence = call.record, call.record.sequence
        behind = [each for each in self._waiting if each.index >= own.index and each.name == own.name]
        self._measure([self._waiting[each] for each in behind if each.sequence is sequence])

    def finish(self) -> None:
        """Measures what is left, and adds everything to the records. What a call sends back is not known where it got
        more gradient after it was measured."""
        self._measure(list(self._waiting.values()))
        late = "a gradient came to a part of the state after the rest had been sent back"
        for call, seen in self._measured:
            step, credit = self._steps.get(call.record), self._norms.get(call.record)
            if step is not None:
                step = step if seen == call.grads.keys() else replace(step, reason=late, onward=None)
                call.record.add(step, credit, filled=self._filled)
            call.grads = {}

    def _measure(self, calls: Sequence[ObservedCellCall]) -> None:
        if not calls:
            return
        with torch.no_grad(), generators_kept(calls[0].leaves[0].device):
            for call in sorted(calls, key=lambda each: each.record.index, reverse=True):
                self._guard(call.record.name, partial(self._measure_one, call))

    def _measure_one(self, call: ObservedCellCall) -> None:
        del self._waiting[call.record]
        self._measured.append((call, frozenset(call.grads)))
        self._steps[call.record] = self._step(call)

    def _step(self, call: ObservedCellCall) -> CellStep:
        """What a call has got and sends; where it cannot be called again, what it has got alone."""
        states = [call.leaves[part] for part in call.parts]
        total = tuple(call.grads.get(part, torch.zeros_like(call.leaves[part])) for part in call.parts)
        came = self._sent.pop(call.record, None)
        reason = _why_not(call)
        if reason is None:
            try:
                return self._known(call, states, total, came)
            except Exception as error:  # the user's own forward may do anything when it is called again
                reason = f"calling it again failed with {type(error).__name__}: {error}"
        if call.record.source is not None:
            self._sent[call.record.source] = _Sent(None, None)
        return CellStep(tuple(states), total, total, None, reason=reason)

    def _known(
        self, call: ObservedCellCall, states: Sequence[Tensor], total: tuple[Tensor, ...], came: _Sent | None
    ) -> CellStep:
        jacobian, again = self._again(call)
        came = came or _Sent((), ())
        outside, past = jacobian.outside(total), came.past
        given = None if past is None else _added(jacobian.sent_of(total), past)
        sent = _sent_on(call, given)
        rows = self._rows(call, jacobian, outside, came)
        if call.record.source is not None:
            if rows is not None and sent.onward is not None:
                sent.rows = _rows_along(call, rows)
            self._sent[call.record.source] = sent
        step = CellStep(tuple(states), total, outside, came.onward, past or (), given, None, again)
        if sent.onward is None:
            return replace(step, reason="the call was given no state" if not call.given else _way_reason(call))
        return replace(step, onward=(*sent.onward, *(sent.past or ())))

    def _again(self, call: ObservedCellCall) -> tuple[CallJacobian, tuple[Tensor, ...]]:
        """The call once more, with the graph from the state it was given to the one it returns, and that."""
        name = call.record.name
        replica = self._replicas.get(name) or self._replicas.setdefault(name, Replica(self._modules[name]))
        given = [_leaf(each) for each in call.given]
        leaves = tensors_in(replica(call.form.replaced(call.bound, given), call.surroundings))
        if len(leaves) != len(call.leaves):
            raise UnsupportedError(f"it returned {len(leaves)} tensors, and {len(call.leaves)} the first time")
        again = [leaves[part] if part in call.live else leaves[part].detach() for part in call.parts]
        return CallJacobian(again, given), tuple(each.detach() for each in again)

    def _rows(
        self, call: ObservedCellCall, jacobian: CallJacobian, outside: tuple[Tensor, ...], came: _Sent
    ) -> tuple[Tensor, ...] | None:
        """The gradients of single loss timesteps that the call sends to the state it was given, [K, ...]; their norms
        are kept in its record. None where they are not known."""
        record = call.record
        if not self._credit or not call.given or came.onward is None or (came.onward and came.rows is None):
            return None
        record.at = self._at.pop(record, ()) or loss_timesteps(record.position + 1, "forward")
        onward, past = came.rows or ((), ())
        if record.position in record.at:
            first = tuple(each.unsqueeze(0) for each in less(outside, came.onward))
            onward = tuple(torch.cat((one, rest)) for one, rest in zip(first, onward, strict=True)) if onward else first
            past = tuple(torch.cat((torch.zeros_like(each[:1]), each)) for each in past)
        if record.source is not None:
            self._at[record.source] = record.at
        total = jacobian.within(onward, record.first)
        self._norms[record] = norm((torch.view_as_real(total) if total.is_complex() else total).flatten(1))
        return _added(jacobian.sent(onward, batched=True), past)


def _why_not(call: ObservedCellCall) -> str | None:
    """Why a call cannot be called again."""
    return "an argument of the call was changed in place after it" if call.changed else None


def _leaf(tensor: Tensor) -> Tensor:
    leaf = tensor.detach()
    return leaf.requires_grad_() if leaf.is_floating_point() or leaf.is_complex() else leaf


def _sent_on(call: ObservedCellCall, given: tuple[Tensor, ...] | None) -> _Sent:
    """What reaches the call before, through the operations that lie between."""
    if not call.given:
        return _Sent(None, ())
    if given is None:
        return _Sent(None, None)
    if call.record.source is None or call.path is None:
        return _Sent(given, ())  # to a state that no call of the sequence has returned
    try:
        return _Sent(*_along(call.record.source, call.path, given))
    except UnsupportedError:
        beside = any(key.side == "given" for key in _keys(call.path) if key.record is call.record.source)
        return _Sent(None, None if beside else ())


def _along(
    source: CellRecord, path: StatePath, given: Sequence[Tensor]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """``given`` sent along the path: to the state that the source returned, and past it to the one it was given."""
    if unwanted := several(source, path):
        raise UnsupportedError(unwanted)
    found: dict[tuple[str, int], Tensor] = {}
    for key, grad in path.send_back(list(given)).items():
        assert isinstance(key, StateKey)
        if key.record is source:
            found[key.side, key.leaf] = grad
    onward = tuple(_or_zeros(found.get(("returned", leaf)), shape, given[0]) for leaf, shape in source.returned)
    if not any(key.side == "given" and key.record is source for key in _keys(path)):
        return onward, ()
    past = (_or_zeros(found.get(("given", leaf)), shape, given[0]) for leaf, shape in enumerate(source.given))
    return onward, tuple(past)


def several(source: CellRecord, path: StatePath) -> str | None:
    """Why a path that leads to more than one call gives no gain; None where it leads to ``source`` alone."""
    state = {leaf for leaf, _ in source.returned}
    for keys in path.ends.values():
        own = [key for key in keys if isinstance(key, StateKey) and key.record is source]
        if not any(key.side == "given" or key.leaf in state for key in own):
            return _SEVERAL
    return None


def _keys(path: StatePath) -> list[StateKey]:
    return [key for key in path.sources if isinstance(key, StateKey)]


def _rows_along(
    call: ObservedCellCall, rows: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]] | None:
    """``_along`` for several gradients at once, [K, ...] each."""
    source, path = call.record.source, call.path
    if source is None or path is None:
        return None
    each = [_along(source, path, row) for row in zip(*(part.unbind() for part in rows), strict=True)]
    onward, past = (tuple(torch.stack(part) for part in zip(*side, strict=True)) for side in zip(*each, strict=True))
    return onward, past


def _or_zeros(found: Tensor | None, shape: torch.Size, like: Tensor) -> Tensor:
    return like.new_zeros(shape) if found is None else found


def _added(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(one + other for one, other in zip(a, b, strict=True)) if b else a


def _way_reason(call: ObservedCellCall) -> str:
    source, path = call.record.source, call.path
    if source is None or path is None:
        return "what the next call sends past this one is not known"
    return several(source, path) or path.missing or "what the next call sends past this one is not known"
