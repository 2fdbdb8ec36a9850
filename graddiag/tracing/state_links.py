"""Which calls of a module carry on from one another, by what its layers were given and returned.

A call carries on from an earlier one where the state that it is given depends on what the earlier one returned, through
whatever operations: a cell called in a loop, or a fused layer called once per timestep by a decoder. As far as the
gradient is concerned that is one sequence. Noted is what the kernel ran on, so that a module that packs or reorders in
its own ``forward`` is linked by what it did.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import torch
from torch import Tensor

from graddiag.tracing.backward import EndOfBackward, current_pass
from graddiag.tracing.handed_state import FINALS, GIVENS, HandedKey, HandedState, follow_back
from graddiag.tracing.passes import Passes
from graddiag.tracing.state_graph import StateGraph

REENTRANT: Final = "reentrant checkpointing cuts the graph between its parts (use_reentrant=False does not)"
_MOST_WITHOUT_GRAPH: Final = 16  # tensors of each module

Guard = Callable[[Callable[[], None]], None]


class StateLinks:
    """The states of the calls of one step; marks in autograd's graph, which keep nothing alive."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._graph = StateGraph()
        # a call whose graph is gone is followed by none
        self._calls: dict[str, weakref.WeakValueDictionary[int, HandedState]] = {}
        self._sizes: dict[tuple[str, int], torch.Size] = {}
        self._followed: set[tuple[str, int]] = set()
        self._ends: dict[str, set[tuple[int, int]]] = {}
        # what calls without a graph (in no_grad) returned, as long as it is alive
        self._without_graph: dict[str, list[weakref.ref[Tensor]]] = {}
        self._within: dict[str, int] = {}  # the backward pass in which a call of the module last ran
        # calls that begin with the storage of a state that an earlier call of the step returned, cut off its graph
        self.detached: Counter[str] = Counter()

    def given(
        self, module: str, call: int, states: Sequence[Tensor], guard: Guard, end: EndOfBackward, *, joins: bool
    ) -> HandedState:
        """A call begins with these states. ``joins``: whether its sequence can be one with that of other calls."""
        handed = HandedState(call, states, self._passes)
        if module not in self._calls:
            self._calls[module] = weakref.WeakValueDictionary()
        self._calls[module][call] = handed
        self._sizes[module, call] = states[0].shape[-2:]
        if not joins:
            handed.reason = (
                "packed sequences and both directions of a layer are not joined" if handed.attached else None
            )
            self._sizes[module, call] = torch.Size()
        elif handed.attached:
            self._follow(module, handed, states, guard, end)
        else:
            self._cut(module, states)
        return handed

    def returned(self, module: str, call: int, output: Tensor | None, finals: Sequence[Tensor]) -> None:
        """The call has returned this output [T, N, S] and these final states."""
        if not self._sizes.get((module, call)):
            return
        if output is not None:
            self._graph.note(module, HandedKey(call, "output"), output)
        for place, state in zip(FINALS, finals, strict=False):
            self._graph.note(module, HandedKey(call, place), state)
        self._ends.setdefault(module, set()).update(_at(state) for state in finals)

    def returned_without_graph(self, module: str, output: object) -> None:
        """A call in ``no_grad`` has returned ``output``; a call that is given a state of it is cut off there."""
        found = [weakref.ref(tensor) for tensor in _tensors(output)]
        self._without_graph[module] = [*found, *self._without_graph.get(module, [])][:_MOST_WITHOUT_GRAPH]

    def _follow(
        self, module: str, handed: HandedState, states: Sequence[Tensor], guard: Guard, end: EndOfBackward
    ) -> None:
        way, before = follow_back(self._graph, module, handed, states, self._calls[module])
        if before is not None and self._sizes[module, before.call] != states[0].shape[-2:]:
            handed.reason, before = "the number of samples changes between the calls", None
        elif before is None and self._is_next_part(module) and all(state.is_leaf for state in states):
            handed.reason = REENTRANT
        if before is None or (module, before.call) in self._followed:
            # a second call that carries on from there is a branch, and a sequence of its own
            way.release()
            return
        self._followed.add((module, before.call))
        handed.follow(way, before, partial(_send, guard, end))
        if not handed.direct:
            for place, state in zip(GIVENS, states, strict=False):
                self._graph.note(module, HandedKey(handed.call, place), state)

    def _is_next_part(self, module: str) -> bool:
        """Whether the module runs again within one backward pass, as the parts of reentrant checkpointing do."""
        running = current_pass()
        before, self._within[module] = self._within.get(module, -1), running
        return running == before != -1

    def _cut(self, module: str, states: Sequence[Tensor]) -> None:
        """Counts a state that was cut off; zeros may lie where a state that was freed had been."""
        ends = self._ends.get(module, set())
        alive = [tensor for ref in self._without_graph.get(module, ()) if (tensor := ref()) is not None]
        storages = {tensor.untyped_storage().data_ptr() for tensor in alive}
        own = all(_at(state) in ends for state in states) or all(
            state.untyped_storage().data_ptr() in storages for state in states
        )
        if own and any(bool(state.detach().any()) for state in states):
            self.detached[module] += 1


def _send(guard: Guard, end: EndOfBackward, handed: HandedState) -> None:
    end.schedule(("way", id(handed)), handed.commit)
    guard(handed.send)


def _tensors(output: object) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, tuple | list):
        for each in output:
            yield from _tensors(each)


def _at(state: Tensor) -> tuple[int, int]:
    return state.data_ptr(), state.numel()
