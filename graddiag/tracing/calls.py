"""Which recurrent modules ran in a step, and on how much: noted at every step, recorded or not."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from graddiag.tracing.storage import has_entry

_RECURRENT: Final = (nn.RNNBase, nn.RNNCellBase)


@dataclass
class _Ran:
    """Calls of one module in the step: the sizes of the first one, and how many there were."""

    module: nn.Module
    batch_size: int | None
    timesteps: int | None
    calls: int = 1


class Calls:
    """The recurrent modules that ran since the last ``clear``, by name: with gradients on, and those in ``no_grad``."""

    def __init__(self) -> None:
        self._ran: dict[str, _Ran] = {}
        self._without_graph: dict[str, nn.Module] = {}
        self._parameters: dict[str, tuple[int, ...]] = {}  # of modules as last seen, by id

    def note(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self.note_again(name) and isinstance(module, _RECURRENT):
            given = args[0] if args else kwargs.get("input")
            self._ran[name] = _Ran(module, *_sizes(module, given))

    def note_again(self, name: str) -> bool:
        """Notes one call more of a module that has run already; False where it has not."""
        known = self._ran.get(name)
        if known is None:
            return False
        known.calls += 1
        return True

    def note_without_graph(self, name: str, module: nn.Module) -> None:
        """Notes a call in ``no_grad``."""
        self._without_graph[name] = module

    def note_first(self, name: str, module: nn.Module, batch_size: int | None) -> None:
        """Notes the first call of a followed cell, which is one timestep."""
        self._ran[name] = _Ran(module, batch_size, 1)

    def clear(self) -> None:
        self._ran.clear()
        self._without_graph.clear()

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """Batch size and timesteps of the first module that ran: of its first call; where that is one timestep, the
        calls are counted. None where not known."""
        first = next(iter(self._ran.values()), None)
        if first is None:
            return None, None
        return first.batch_size, first.calls if first.timesteps == 1 else first.timesteps

    def __len__(self) -> int:
        return len(self._ran)

    def unreached(
        self,
        reached: Collection[int],
        updated: Collection[int] | None = None,
        held: Callable[[], Collection[int]] = frozenset,
    ) -> list[str]:
        """Names of the modules in training mode that ran although none of their trainable parameters got a gradient.

        reached: ids of the parameters that did. updated: ids of those that the step updates; None for all. held: ids of
        those that an optimizer holds; what ran in ``no_grad`` alone, as a target network does, is meant to be trained
        only where it holds them.
        """
        ran = {name: (each.module, updated) for name, each in self._ran.items()}
        for name, module in self._without_graph.items():
            if name not in ran and module.training:
                ran[name] = (module, held() if updated is None else updated)
        return [
            name
            for name, (module, own) in ran.items()
            if module.training
            and not self._is_reached(name, reached, own)
            and self._is_unreached(name, module, reached, own)
        ]

    def _is_reached(self, name: str, reached: Collection[int], updated: Collection[int] | None) -> bool:
        """Whether a parameter that a module had when it was last looked at got a gradient, which most have."""
        return any(each in reached and (updated is None or each in updated) for each in self._parameters.get(name, ()))

    def _is_unreached(
        self, name: str, module: nn.Module, reached: Collection[int], updated: Collection[int] | None
    ) -> bool:
        trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._parameters[name] = tuple(map(id, trainable))
        if updated is not None:
            trainable = [parameter for parameter in trainable if id(parameter) in updated]
        return bool(trainable) and not any(id(p) in reached or holds_gradient(p) for p in trainable)


def holds_gradient(parameter: Tensor) -> bool:
    """Whether a gradient other than 0 is there, for example one that the loop assigned itself. An accelerator is not
    asked for its values."""
    grad = parameter.grad
    return grad is not None and (not grad.is_cpu or grad.is_sparse or has_entry(grad))


def _sizes(module: nn.RNNBase | nn.RNNCellBase, given: Any) -> tuple[int | None, int | None]:
    if isinstance(given, PackedSequence):
        return int(given.batch_sizes[0]), len(given.batch_sizes)
    if not isinstance(given, Tensor):
        return None, None
    if isinstance(module, nn.RNNCellBase):
        return (len(given) if given.dim() == 2 else 1), 1
    if given.dim() != 3:
        return 1, len(given)
    first, second = given.shape[:2]
    return (first, second) if module.batch_first else (second, first)
