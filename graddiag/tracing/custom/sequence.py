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
from typing import Final

import torch
from torch import Tensor

from graddiag.kinds import Nonlinearity
from graddiag.schema import TraceKey
from graddiag.tracing.differences import difference
from graddiag.tracing.norms import rows_of


@dataclass(frozen=True)
class CellStep:
    """One timestep of a followed cell. Gradients in units of the loss, a tensor for each tensor of the state.

    total: G; immediate: None where not known; came: what the next call sent, () where there is
    none; past: p. onward: what the call sent back to the state before, through what lies between.
    outside: lambda. given: u, before the operations between the calls; None where the call was given no state.
    rms: of each tensor of the state, 0-dim float64. exact: whether calling it again gave the same state, 0-dim.
    reason: why what it sends back is not known, None where it is.
    """

    rms: tuple[Tensor, ...]
    total: tuple[Tensor, ...]
    outside: tuple[Tensor, ...]
    immediate: tuple[Tensor, ...] | None
    came: tuple[Tensor, ...] | None = ()
    past: tuple[Tensor, ...] = ()
    given: tuple[Tensor, ...] | None = None
    onward: tuple[Tensor, ...] | None = None
    exact: Tensor | None = None
    reason: str | None = None

    def plus(self, other: "CellStep") -> "CellStep":
        """The sum of what two backward passes through the same call brought; what one of them lacks is not known."""
        sums = {name: _sum(getattr(self, name), getattr(other, name)) for name in _GRADIENTS}
        exact = None if self.exact is None or other.exact is None else self.exact & other.exact
        return replace(self, **sums, exact=exact, reason=self.reason or other.reason)  # type: ignore[arg-type]


_GRADIENTS: Final = ("total", "outside", "immediate", "came", "past", "given", "onward")


def _sum(a: tuple[Tensor, ...] | None, b: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
    if a is None or b is None:
        return None
    if not a or not b:
        return a or b
    return tuple(one + other for one, other in zip(a, b, strict=True))


@dataclass(frozen=True)
class CellTrace:
    """The timesteps of one sequence of calls of a followed cell.

    first: which tensor of the state is h. gates: by name, [T] tensors [N, ...] with what each went through. credit:
    ||dL_s/dh_t||, [K, T], for the loss timesteps ``at``, of a snapshot; None where there is none.
    """

    key: TraceKey
    steps: tuple[CellStep, ...]
    first: int = 0
    gates: Mapping[str, tuple[tuple[Tensor, ...], Nonlinearity]] = field(default_factory=dict)
    at: tuple[int, ...] = ()
    credit: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of the state in the training itself."""
        return self.steps[0].total[self.first].dtype


class CallJacobian:
    """What one call does with gradients: the call once more, with its graph.

    states: the tensors of the state that the call returned (replayed); given: those that it was given, as leaves.
    """

    def __init__(self, states: Sequence[Tensor], given: Sequence[Tensor]) -> None:
        self._states = tuple(states)
        self._given = tuple(given)
        # whatever was made later cannot lead to what was made earlier
        made = [-1 if state.grad_fn is None else state.grad_fn._sequence_nr() for state in states]
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


def _difference(whole: Tensor, part: Tensor) -> Tensor:
    """``whole - part`` with rounding set to 0, sample by sample."""
    left = difference(rows_of(whole), rows_of(part.to(whole.dtype)))
    return (torch.view_as_complex(left.view(*whole.shape, 2)) if whole.is_complex() else left).view(whole.shape)


def less(outside: Sequence[Tensor], sent: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The immediate gradient: lambda less what the next call has sent, if one has."""
    if not sent:
        return tuple(outside)
    return tuple(_difference(whole, part) for whole, part in zip(outside, sent, strict=True))
