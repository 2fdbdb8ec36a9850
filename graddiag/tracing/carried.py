"""Which call of a module carries on from which: it is given the very tensors that an earlier call returned."""

import weakref
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
            return
        kept = self._finals.get(name, [])
        for place, (earlier, finals) in enumerate(kept):
            if _same(given, finals):
                self.links[name, index] = earlier
                # a second call that carries on from there is a branch, and a sequence of its own
                del kept[place]
                return

    def ends(self, name: str, module: nn.Module, output: Any) -> None:
        """The call of ``name`` that began last has returned ``output``, or None if it failed."""
        index = self._running.pop(name, None)
        if index is None or output is None:
            return
        finals = _states(output if isinstance(module, nn.RNNCellBase) else output[1])
        self._finals.setdefault(name, []).append((index, tuple(weakref.ref(state) for state in finals)))


def _states(hx: Any) -> States:
    return (hx,) if isinstance(hx, Tensor) else tuple(hx) if hx is not None else ()


def _same(given: States, finals: tuple[weakref.ref[Tensor], ...]) -> bool:
    alive = [state for state in (reference() for reference in finals) if state is not None]
    pairs = zip(given, alive, strict=False)
    return len(given) == len(alive) and all(a.data_ptr() == b.data_ptr() and a.numel() == b.numel() for a, b in pairs)
