"""One call of a followed cell: what it was given and has returned, and the gradients that reach what it returned."""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import BoundArguments
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from graddiag.kinds import Nonlinearity
from graddiag.schema import TraceKey
from graddiag.tracing.custom.cell_call import CellForm, map_tree, tensors_in
from graddiag.tracing.custom.replay import Surroundings
from graddiag.tracing.custom.sequence import CellStep, CellTrace, exactness
from graddiag.tracing.state_graph import StatePath


class StateKey(NamedTuple):
    """A tensor of a state that a call returned or was given, in a ``StateGraph``; ``leaf`` counts its tensors."""

    record: "CellRecord"
    side: Literal["returned", "given"]
    leaf: int


@dataclass(eq=False)
class CellRecord:
    """One call in the order of its module's calls: what it carries on from, and what was measured of it.

    position: timesteps of its sequence before it. source: the call whose state it was given; a second call that
    carries on from one is a branch, and a sequence by itself. returned, given: shapes of the state, and which of the
    returned tensors it is. is_used: an update has used its gradient. step: None until a gradient has reached it.
    credit: by backward pass, ||dL_s/dh|| of the loss timesteps s that reach it, the last ones of ``at``.
    """

    name: str
    index: int
    first: int = 0
    position: int = 0
    source: "CellRecord | None" = None
    is_followed: bool = False
    is_used: bool = False
    call: "weakref.ref[ObservedCellCall] | None" = None
    returned: tuple[tuple[int, torch.Size], ...] = ()
    given: tuple[torch.Size, ...] = ()
    steps: dict[bool, CellStep] = field(default_factory=dict)
    step: CellStep | None = None
    gates: dict[str, tuple[Tensor, Nonlinearity]] = field(default_factory=dict)
    at: tuple[int, ...] = ()
    credits: dict[bool, list[Tensor | None]] = field(default_factory=dict)
    credit: list[Tensor | None] = field(default_factory=list)

    def add(self, step: CellStep, credit: Tensor | None, *, filled: bool) -> None:
        """What one backward pass brought; ``filled``: whether it filled the gradients of parameters."""
        before = self.steps.get(filled)
        self.steps[filled] = step if before is None else before.plus(step)
        self.credits.setdefault(filled, []).append(credit)

    def drop(self) -> None:
        """Forgets every pass so far: the gradients of the parameters were thrown away."""
        self.steps, self.credits = {}, {}

    def choose(self, *, filled: bool) -> None:
        """The passes that count: those that filled the gradients of parameters, or the others."""
        self.step, self.credit = self.steps.get(filled), self.credits.get(filled, [])

    @property
    def sequence(self) -> "CellRecord":
        """The first call of its sequence."""
        record = self
        while record.source is not None:
            record = record.source
        return record


@dataclass(eq=False)
class ObservedCellCall:
    """A call that waits for its gradient, with all that it takes to call it again.

    given: the tensors of the state it was given, detached. path: how they depend on earlier states; None where they do
    not. leaves: every tensor that it returned, as it was; live: which of them have a graph. state: the leaves that are
    the next state, in order; None where that is not known yet. grads: by leaf, of the backward pass under way.
    """

    record: CellRecord
    form: CellForm
    bound: BoundArguments
    versions: list[int]
    given: list[Tensor]
    surroundings: Surroundings
    path: StatePath | None = None
    buffer_versions: dict[tuple[str, str], int] = field(default_factory=dict)
    output: Any = None
    leaves: list[Tensor] = field(default_factory=list)
    live: set[int] = field(default_factory=set)
    state: list[int] | None = None
    grads: dict[int, Tensor] = field(default_factory=dict)

    @property
    def parts(self) -> list[int]:
        """The leaves that are the state, settled."""
        if self.state is None:
            self.settle(None)
        assert self.state is not None
        return self.state

    def returned(self, output: Any, on_gradient: Callable[["ObservedCellCall"], None]) -> None:
        """Notes what the call has returned, and listens for the gradients of it."""
        found = tensors_in(output)
        self.output = map_tree(output, lambda tensor: tensor.detach().clone())
        self.leaves = tensors_in(self.output)
        for index, tensor in enumerate(found):
            if tensor.grad_fn is not None:
                self.live.add(index)
                tensor.grad_fn.register_prehook(_Arrival(self, index, tensor.output_nr, on_gradient))
        if self.given or self.form.call.result is not None:
            self.settle([each.shape for each in self.given] or None)

    def settle(self, shapes: Sequence[torch.Size] | None) -> None:
        """Finds the next state among what was returned. ``shapes``: those of the state, None where they are not known.

        Raises:
            UnsupportedError: no part of the result has them.
        """
        like = None if shapes is None else [torch.empty(shape, device="meta") for shape in shapes]
        places = {id(leaf): index for index, leaf in enumerate(self.leaves)}
        self.choose([places[id(each)] for each in self.form.returned(self.output, like)])

    def choose(self, leaves: list[int]) -> None:
        """These of the returned tensors are the next state."""
        self.state = leaves
        self.record.returned = tuple((leaf, self.leaves[leaf].shape) for leaf in leaves)

    @property
    def changed(self) -> bool:
        """Whether an argument was changed in place since the call."""
        return self.versions != versions_of(self.bound)


class _Arrival:
    """The hook at the node that made a tensor, where the hooks of the user on that tensor have been applied."""

    def __init__(
        self, call: ObservedCellCall, index: int, output_nr: int, then: Callable[[ObservedCellCall], None]
    ) -> None:
        self._call, self._index, self._output_nr, self._then = call, index, output_nr, then

    def __call__(self, grads: tuple[Tensor | None, ...]) -> None:
        grad = grads[self._output_nr]
        if grad is not None:
            self._call.grads[self._index] = grad.detach()
            self._then(self._call)


def versions_of(bound: BoundArguments) -> list[int]:
    """Counts of the changes in place that each tensor among the arguments has seen."""
    return [tensor._version for tensor in tensors_in(list(bound.arguments.values()))]


def trace_of(key: TraceKey, chain: Sequence[CellRecord]) -> CellTrace:
    """The trace of the calls of one sequence; a gate that was not given at each of them is left out."""
    gates = {}
    for name, (_, activation) in chain[0].gates.items():
        if all(name in record.gates for record in chain):
            gates[name] = (tuple(record.gates[name][0] for record in chain), activation)
    steps = tuple(record.step for record in chain if record.step is not None)
    at, credit = _credit_of(chain)
    return CellTrace(key, steps, exactness(steps), chain[0].first, gates, at, credit)


def _credit_of(chain: Sequence[CellRecord]) -> tuple[tuple[int, ...], Tensor | None]:
    """The loss timesteps, and [K, T] with NaN behind them; None where a call does not have its part, or more than one
    backward pass went through it."""
    at, T = chain[-1].at, len(chain)
    found = torch.full((len(at), T), torch.nan, dtype=torch.float64, device=_device_of(chain))
    for t, record in enumerate(chain):
        if len(record.credit) != 1 or record.credit[0] is None or record.at != at or record.position != t:
            return at, None
        found[len(at) - len(record.credit[0]) :, t] = record.credit[0]
    return at, found if at else None


def _device_of(chain: Sequence[CellRecord]) -> torch.device | None:
    return None if chain[0].step is None else chain[0].step.total[0].device
