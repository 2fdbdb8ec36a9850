"""Which call of a module carries on from which: it is given the very tensors that an earlier call returned."""

import weakref
from collections import Counter
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

States = tuple[Tensor, ...]


class CarriedStates:
    """Final states of the calls of one step, kept only as long as the user keeps them to hand them on."""

    def __init__(self) -> None:
        self.links: dict[tuple[str, int], int] = {}
        self._finals: dict[str, list[tuple[int, tuple[weakref.ref[Tensor], ...]]]] = {}
        self._running: dict[str, int] = {}
        self._ends: dict[str, set[tuple[int, int]]] = {}
        # calls that begin with the storage of a state that an earlier call of the step returned, cut off its graph
        self.detached: Counter[str] = Counter()

    def starts(self, name: str, index: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call ``index`` of module ``name`` begins with these arguments."""
        self._running.pop(name, None)
        packed = isinstance(kwargs.get("input", args[0] if args else None), PackedSequence)
        if packed or getattr(module, "bidirectional", False):
            return
        self._running[name] = index
        given = _states(kwargs.get("hx", args[1] if len(args) > 1 else None))
        # a state cut off with detach() starts a sequence of its own
        if not given or any(state.grad_fn is None for state in given):
            ends = self._ends.get(name, set())
            if given and all(_at(state) in ends and not state.requires_grad for state in given):
                self._cut(name, given)
            return
        kept = self._finals.get(name, [])
        for place, (earlier, finals) in enumerate(kept):
            if _same(given, finals):
                self.links[name, index] = earlier
                # a second call that carries on from there is a branch, and a sequence of its own
                del kept[place]
                return

    def _cut(self, name: str, given: States) -> None:
        """Counts a state that was cut off; zeros may lie where a state that was freed had been."""
        if self.detached[name] or any(bool(state.detach().any()) for state in given):
            self.detached[name] += 1

    def ends(self, name: str, module: nn.Module, output: Any) -> None:
        """The call of ``name`` that began last has returned ``output``, or None if it failed."""
        index = self._running.pop(name, None)
        if index is None or output is None:
            return
        finals = _states(output if isinstance(module, nn.RNNCellBase) else output[1])
        self._finals.setdefault(name, []).append((index, tuple(weakref.ref(state) for state in finals)))
        self._ends.setdefault(name, set()).update(_at(state) for state in finals)


def _at(state: Tensor) -> tuple[int, int]:
    return state.data_ptr(), state.numel()


def _states(hx: Any) -> States:
    return (hx,) if isinstance(hx, Tensor) else tuple(hx) if hx is not None else ()


def _same(given: States, finals: tuple[weakref.ref[Tensor], ...]) -> bool:
    alive = [state for state in (reference() for reference in finals) if state is not None]
    pairs = zip(given, alive, strict=False)
    return len(given) == len(alive) and all(a.data_ptr() == b.data_ptr() and a.numel() == b.numel() for a, b in pairs)
