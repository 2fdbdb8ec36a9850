"""Which backward passes are the training's: those that fill the ``.grad`` of parameters.

``torch.autograd.grad`` (a gradient penalty, GradNorm, the inner loop of MAML) goes through the same graph and calls the
same hooks; what it computes is handed to the user and added to no parameter.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from graddiag.tracing.backward import current_pass
from graddiag.tracing.storage import has_entry

Value = TypeVar("Value")


class Passes:
    """The backward passes of one step that filled a gradient of ``model``; owns its hooks from ``start`` to ``stop``.

    ``on_zeroed``: called with the ids of parameters whose gradient from an earlier pass of the step was thrown away
    (``zero_grad()``), when the next pass adds to it anew.
    """

    def __init__(self, model: nn.Module, on_zeroed: Callable[[int], None]) -> None:
        self._model = model
        self._on_zeroed = on_zeroed
        self._filling: set[int] = set()
        self._left: dict[int, int] = {}
        self._handles: list[Any] = []

    @property
    def any_filled(self) -> bool:
        """Whether a pass of the step filled a gradient; where none did, all of them count."""
        return bool(self._filling)

    def filled(self, number: int) -> bool:
        """Whether the pass of that number filled a gradient so far."""
        return number in self._filling

    def start(self) -> None:
        """Forgets the passes of the step before, and listens to the parameters that are trained."""
        self.stop()
        self.forget()
        for parameter in self._model.parameters():
            if parameter.requires_grad and parameter.is_leaf:
                self._handles.append(parameter.register_hook(_Before(self, parameter)))
                self._handles.append(parameter.register_post_accumulate_grad_hook(_After(self)))

    def forget(self) -> None:
        """Forgets the passes of the step before."""
        self._filling, self._left = set(), {}

    def used(self) -> None:
        """An update has used the gradients that are there: zeroing them throws nothing away."""
        self._left = {}

    def stop(self) -> None:
        """Takes every hook off; what is known of the step stays."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def before(self, parameter: Tensor) -> None:
        """A gradient of ``parameter`` was computed, and may be added to the one that it has."""
        version = self._left.get(id(parameter))
        if version is None:
            return
        grad = parameter.grad
        if grad is None or (grad._version != version and not grad.is_sparse and not has_entry(grad)):
            del self._left[id(parameter)]
            self._on_zeroed(id(parameter))

    def after(self, parameter: Tensor) -> None:
        """The gradient of ``parameter`` was added to."""
        self._filling.add(current_pass())
        if parameter.grad is not None:
            self._left[id(parameter)] = parameter.grad._version


class _After:
    """A hook that stays behind when the parameter is copied or pickled."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes

    def __call__(self, parameter: Tensor) -> None:
        self._passes.after(parameter)

    def __deepcopy__(self, memo: object) -> "_Nothing":
        return _Nothing()

    def __reduce__(self) -> "tuple[type[_Nothing], tuple[()]]":
        return _Nothing, ()


class _Before(_After):
    __torch_unserializable__ = True

    def __init__(self, passes: Passes, parameter: Tensor) -> None:
        super().__init__(passes)
        self._parameter = parameter

    def __call__(self, gradient: Tensor) -> None:
        self._passes.before(self._parameter)


class _Nothing:
    def __call__(self, _: Tensor) -> None:
        return None


class ByPass:
    """Sums of what backward passes bring: of those that fill the parameters' gradients, and of the others."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._number = -1
        self._staged: dict[Any, Any] = {}
        self._filling: dict[Any, Any] = {}
        self._others: dict[Any, Any] = {}

    def stage(self, key: Any, value: Any) -> None:
        """Keeps what the pass under way brought until ``commit``; the same ``key`` again replaces it."""
        if self._number != current_pass():
            # a pass that failed was never committed
            self._number, self._staged = current_pass(), {}
        self._staged[key] = value

    def staged(self, key: Any) -> Any:
        """What the pass under way brought, or None."""
        return self._staged.get(key) if self._number == current_pass() else None

    def commit(self, add: Callable[[Any, Any], Any] = torch.add) -> None:
        """At the end of a pass: adds what it brought to that of the passes of its sort."""
        sums = self._filling if self._passes.filled(self._number) else self._others
        for key, value in self._staged.items():
            sums[key] = value if key not in sums else add(sums[key], value)
        self._number, self._staged = -1, {}

    def sums(self) -> Mapping[Any, Any]:
        """Of the passes that count."""
        return self._filling if self._passes.any_filled else self._others

    def get(self, key: Any) -> Any:
        return self.sums().get(key)

    def drop(self) -> None:
        """Forgets every pass that has ended: its gradients were thrown away."""
        self._filling, self._others = {}, {}

    def forget(self) -> None:
        """Lets go of everything."""
        self._staged = {}
        self.drop()


def owners(modules: Mapping[str, nn.Module]) -> dict[int, set[str]]:
    """By id of each trainable parameter the names of the ``modules`` that it belongs to."""
    found: dict[int, set[str]] = {}
    for name, module in modules.items():
        for parameter in _trainable(module.parameters()):
            found.setdefault(id(parameter), set()).add(name)
    return found


def _trainable(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [parameter for parameter in parameters if parameter.requires_grad]
