"""Gradients after an update has used them: zeroed, changed without effect, or added to again."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from graddiag.tracing.calls import holds_gradient


class UsedGradients:
    """Watches the gradients that the last update used, until the next backward pass replaces or adds to them.

    A gradient counts as not zeroed when the next backward pass adds to the same tensor, unchanged since the update and
    not 0 throughout (on an accelerator 0 is not checked for). It counts as changed in vain when it holds something else
    than at the update (clipped, for example) before it is zeroed or replaced; this is seen on the CPU alone.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = parameters
        self._names = {id(parameter): name for name, parameter in parameters.items()}
        self._used: dict[int, tuple[int, int]] = {}
        self._added_to: set[int] = set()
        self._smallest: tuple[Tensor, int] | None = None
        self._not_zeroed: dict[str, None] = {}
        self.changed = False

    def updated(self, names: Collection[str] | None = None) -> None:
        """An update of the parameters ``names`` (None: of all) has been made with the gradients there are."""
        of_all = names is None
        own = {name: p for name, p in self._parameters.items() if names is None or name in names}
        for name in own:
            self._not_zeroed.pop(name, None)
        self.changed = False
        self._added_to -= {id(parameter) for parameter in own.values()}
        held = [(p, p.grad) for p in own.values() if p.grad is not None and p.requires_grad]
        used = {id(parameter): (id(grad), grad._version) for parameter, grad in held}
        self._used = used if of_all else self._used | used
        # a single one is kept alive, so that letting go of it does not hide what was done to it before
        smallest = min((grad for _, grad in held if grad.is_cpu), key=torch.numel, default=None)
        self._smallest = None if smallest is None else (smallest, smallest._version)

    def before_accumulation(self, parameter: nn.Parameter) -> None:
        """A gradient has been computed, and may be added to the one that the parameter has."""
        self.check()
        self._smallest = None
        used, grad = self._used.get(id(parameter)), parameter.grad
        same = used is not None and grad is not None and used == (id(grad), grad._version)
        if same and holds_gradient(parameter):
            self._added_to.add(id(parameter))
        else:
            self._added_to.discard(id(parameter))
            if not holds_gradient(parameter):  # what was added to the used gradient has been zeroed since
                self._not_zeroed.pop(self._names[id(parameter)], None)

    def accumulated(self, parameter: nn.Parameter) -> None:
        """The gradient has been added to what the parameter had."""
        if self._used.pop(id(parameter), None) is not None and id(parameter) in self._added_to:
            self._not_zeroed[self._names[id(parameter)]] = None

    def not_zeroed(self, names: Collection[str] | None = None) -> list[str]:
        """Of ``names`` (None: of all) the parameters whose used gradient was added to."""
        return [name for name in self._not_zeroed if names is None or name in names]

    def check(self) -> None:
        """Notes whether the gradient that was used has been changed; zeroing it, in place or by letting go of it, is no
        such change."""
        if self._smallest is None:
            return
        grad, version = self._smallest
        if grad._version > version:
            self.changed |= bool(grad.any())
            self._smallest = None

    def forget(self) -> None:
        self._smallest = None
        self._used, self._not_zeroed = {}, {}
