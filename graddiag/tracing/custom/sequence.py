"""From calls that a gradient has reached to one sequence: what reaches each state, and what each call sends back.

Legend: s_t the state that call t returned, of one or several tensors; b_t the state that it was given: s_{t-1}, or what
operations between the calls made of it. G total dL/ds_t; lambda_t what reaches s_t from outside of call t (G less what
came to one tensor of the state through another); p_t what reaches b_t past call t, as in m h_new + (1 - m) h. Call t
sends u_t = J_t^T lambda_t + p_t to b_t, J_t = d s_t / d b_t, and the operations send that on to s_{t-1} and b_{t-1}.
The immediate gradient at t is lambda_t less what was sent to s_t.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import torch
from torch import Tensor

from graddiag.kinds import Nonlinearity
from graddiag.schema import TraceKey
from graddiag.tracing.differences import difference
from graddiag.tracing.norms import rows_of

_CLOSE: Final = {torch.float16: 1e-2, torch.bfloat16: 3e-2, torch.float32: 1e-4, torch.complex64: 1e-4}


@dataclass(frozen=True)
class CellStep:
    """One timestep of a followed cell. Gradients in units of the loss, a tensor for each tensor of the state.

    states: as the call returned them; again: as they were when it was called again, None where it could not be.
    total: G; outside: lambda; came: what the next call sent, () where there is none, None where that is not known;
    past: p. given: u, before the operations between the calls; onward: behind them, to the state before. Both are None
    where they are not known, and reason says why.
    """

    states: tuple[Tensor, ...]
    total: tuple[Tensor, ...]
    outside: tuple[Tensor, ...]
    came: tuple[Tensor, ...] | None = ()
    past: tuple[Tensor, ...] = ()
    given: tuple[Tensor, ...] | None = None
    onward: tuple[Tensor, ...] | None = None
    again: tuple[Tensor, ...] | None = None
    reason: str | None = None

    def plus(self, other: "CellStep") -> "CellStep":
        """The sum of what two backward passes through the same call brought; what one of them lacks is not known."""
        sums = {name: _sum(getattr(self, name), getattr(other, name)) for name in _GRADIENTS}
        again = None if other.again is None else self.again
        return replace(self, **sums, again=again, reason=self.reason or other.reason)  # type: ignore[arg-type]


_GRADIENTS: Final = ("total", "outside", "came", "past", "given", "onward")


def _sum(a: tuple[Tensor, ...] | None, b: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
    if a is None or b is None:
        return None
    if not a or not b:
        return a or b
    return tuple(one + other for one, other in zip(a, b, strict=True))


@dataclass(frozen=True)
class CellTrace:
    """The timesteps of one sequence of calls of a followed cell.

    exact: where calling it again gave the same state, [T]. first: which tensor of the state is h. gates: by name, [T]
    tensors [N, ...] with what each went through. credit: ||dL_s/dh_t||, [K, T], for the loss timesteps ``at``, of a
    snapshot; None where there is none.
    """

    key: TraceKey
    steps: tuple[CellStep, ...]
    exact: Tensor
    first: int = 0
    gates: Mapping[str, tuple[tuple[Tensor, ...], Nonlinearity]] = field(default_factory=dict)
    at: tuple[int, ...] = ()
    credit: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of the state in the training itself."""
        return self.steps[0].total[self.first].dtype


def exactness(steps: Sequence[CellStep]) -> Tensor:
    """Where calling a cell again gave the same state but for rounding, [T]; NaN is the same as NaN."""
    called = [t for t, step in enumerate(steps) if step.again is not None]
    found = torch.zeros(len(steps), dtype=torch.bool, device=steps[0].total[0].device)
    shapes = {tuple(state.shape for state in (*steps[t].states, *(steps[t].again or ()))) for t in called}
    if len(shapes) == 1:
        found[called] = _same([steps[t].states for t in called], [steps[t].again or () for t in called])
        return found
    for t in called:
        found[t] = _same([steps[t].states], [steps[t].again or ()])[0]
    return found


def _same(states: Sequence[Sequence[Tensor]], again: Sequence[Sequence[Tensor]]) -> Tensor:
    """[T] of [T] states of as many tensors of the same shapes."""
    found = []
    for before, after in zip(zip(*states, strict=True), zip(*again, strict=True), strict=True):
        if before[0].shape != after[0].shape:
            return torch.zeros(len(states), dtype=torch.bool, device=before[0].device)
        close = _CLOSE.get(before[0].dtype, 1e-9)
        same = torch.isclose(torch.stack(after), torch.stack(before), rtol=close, atol=close, equal_nan=True)
        found.append(same.reshape(len(states), -1).all(1))
    return torch.stack(found).all(0)


class CallJacobian:
    """What one call does with gradients: the call once more, with its graph.

    states: the tensors of the state that the call returned (replayed); given: those that it was given, as leaves.
    """

    def __init__(self, states: Sequence[Tensor], given: Sequence[Tensor]) -> None:
        self._states = tuple(
            state.view_as(state) if state.requires_grad and state.is_leaf else state for state in states
        )
        self._given = tuple(given)
        # whatever was made later cannot lead to what was made earlier
        made = [-1 if state.grad_fn is None else state.grad_fn._sequence_nr() for state in self._states]
        self._order = sorted(range(len(states)), key=lambda part: made[part], reverse=True)

    def outside(self, total: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """lambda of G: less what came to one tensor of the state through the others."""
        found: dict[int, Tensor] = {}
        for part in self._order:
            inner = self._through(found, part)
            found[part] = total[part] if inner is None else _difference(total[part], inner)
        return tuple(found[part] for part in range(len(total)))

    def within(self, outside: Sequence[Tensor], part: int) -> Tensor:
        """G of one tensor of the state, for lambda of all: the reverse of ``outside``; leading dimensions of several
        gradients at once are kept."""
        others = {each: outside[each] for each in self._order[: self._order.index(part)]}
        inner = self._through(others, part, batched=outside[part].dim() > self._states[part].dim())
        return outside[part] if inner is None else outside[part] + inner

    def sent_of(self, total: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """J^T lambda from G: with it set at each tensor of the state, in place of what comes there, the backward pass
        through the call is that of the training, to the bit."""
        live = [(state, whole) for state, whole in zip(self._states, total, strict=True) if state.requires_grad]
        hooks = [state.register_hook(partial(_instead, whole)) for state, whole in live]
        try:
            return self.sent(total)
        finally:
            for hook in hooks:
                hook.remove()

    def sent(self, outside: Sequence[Tensor], *, batched: bool = False) -> tuple[Tensor, ...]:
        """J^T lambda, a tensor for each tensor that the call was given. ``batched``: with a leading dimension."""
        wanted = [each for each in self._given if each.requires_grad]
        found = iter(self._pull(dict(enumerate(outside)), wanted, batched))
        each = ((next(found) if one.requires_grad else None, one) for one in self._given)
        return tuple(self._or_zero(gradient, one, outside, batched) for gradient, one in each)

    def _or_zero(self, found: Tensor | None, like: Tensor, outside: Sequence[Tensor], batched: bool) -> Tensor:
        if found is not None:
            return found
        return like.new_zeros((*(outside[0].shape[:1] if batched else ()), *like.shape))

    def _through(self, later: Mapping[int, Tensor], part: int, *, batched: bool = False) -> Tensor | None:
        if not later or not self._states[part].requires_grad:
            return None
        return self._pull(later, [self._states[part]], batched)[0]

    def _pull(self, cotangents: Mapping[int, Tensor], inputs: list[Tensor], batched: bool) -> list[Tensor | None]:
        """The vector-Jacobian product of the states named with respect to ``inputs``."""
        parts = [part for part in cotangents if self._states[part].requires_grad]
        if not parts or not inputs:
            return [None] * len(inputs)
        states = [self._states[part] for part in parts]
        vectors = [cotangents[part].to(self._states[part].dtype) for part in parts]
        if not batched:
            return list(torch.autograd.grad(states, inputs, vectors, retain_graph=True, allow_unused=True))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return list(
                    torch.autograd.grad(
                        states, inputs, vectors, retain_graph=True, allow_unused=True, is_grads_batched=True
                    )
                )
        except RuntimeError:  # an operation that cannot be batched: one gradient after the other
            rows = [
                torch.autograd.grad(states, inputs, each, retain_graph=True, allow_unused=True)
                for each in zip(*vectors, strict=True)
            ]
            return [None if found[0] is None else torch.stack(found) for found in zip(*rows, strict=True)]


def _instead(whole: Tensor, came: Tensor) -> Tensor:
    """A hook that sets a gradient in place of what came."""
    return whole.to(came.dtype)


def _difference(whole: Tensor, part: Tensor) -> Tensor:
    """``whole - part`` with rounding set to 0, sample by sample."""
    left = difference(rows_of(whole), rows_of(part.to(whole.dtype)))
    return (torch.view_as_complex(left.view(*whole.shape, 2)) if whole.is_complex() else left).view(whole.shape)


def less(outside: Sequence[Tensor], sent: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The immediate gradient: lambda less what the next call has sent, if one has."""
    if not sent:
        return tuple(outside)
    return tuple(_difference(whole, part) for whole, part in zip(outside, sent, strict=True))
