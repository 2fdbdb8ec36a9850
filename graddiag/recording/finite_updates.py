"""Updates whose gradient is not finite: ``optimizer.step()`` with a check between the gradient and the weights."""

import copy
import math
from collections.abc import Callable, Collection, Sequence
from functools import wraps
from types import MethodType
from typing import Any, Final

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from graddiag.recording.norms import entries_of

_OWN_PACKAGE: Final = "torch.optim."  # whose optimizers, L-BFGS apart, change nothing before they call the closure


def has_finite_gradient(optimizer: Optimizer) -> bool:
    """Whether every entry of the gradients that ``optimizer`` would use is finite; True without any gradient.

    On an accelerator a synchronisation.
    """
    grads = [entries_of(p.grad) for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if not grads:
        return True
    with torch.no_grad():
        largest = [each.to(grads[0].device) for each in _largest(grads)]
        if all(map(math.isfinite, torch.stack(largest).tolist())):
            return True
        return all(bool(each.isfinite().all()) for each in grads)  # the absolute value of a complex number may overflow


def _largest(grads: Sequence[Tensor]) -> list[Tensor]:
    """The largest absolute value of each, 0-dim float64; NaN where it holds NaN."""
    held = [each for each in grads if each.numel()]
    return [each.double() for each in torch._foreach_norm(held, math.inf)] or [torch.zeros((), dtype=torch.float64)]


class CheckedStep:
    """``step()`` of one optimizer, whose update is left out where its gradient is not finite, until ``remove``.

    The gradient is that of the moment before the update, after clipping. With a closure it is that of each evaluation:
    what the step has changed until then, the weights and the optimizer's state, is restored. For that L-BFGS, and
    optimizers that are not torch's own, are copied before a step with a closure. Where a GradScaler has found inf, it
    leaves the update out by itself.

    refuse: called in place of the update, once all is as it was before. running: shared by optimizers that call one
    another; of calls inside one another the outer one is checked.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        members: Collection[Optimizer],
        is_finite: Callable[[Optimizer], bool],
        refuse: Callable[[], None],
        running: list[Optimizer],
    ) -> None:
        self._optimizer = optimizer
        self._members = members
        self._is_finite = is_finite
        self._refuse: Callable[[], None] | None = refuse
        self._running = running
        self._original: Callable[..., Any] = optimizer.step
        self._replaced = vars(optimizer).get("step")

        @wraps(self._original)
        def step(owner: Optimizer, *args: Any, **kwargs: Any) -> Any:
            if owner is not optimizer:  # a copy, which took the attribute with it
                return type(owner).step(owner, *args, **kwargs)
            return self._step(*args, **kwargs)

        self._installed = MethodType(step, optimizer)
        vars(optimizer)["step"] = self._installed

    def remove(self) -> None:
        """Gives the optimizer its method back; where somebody wrapped this one meanwhile, it only checks no more."""
        self._refuse = None
        if vars(self._optimizer).get("step") is not self._installed:
            return
        if self._replaced is None:
            del vars(self._optimizer)["step"]
        else:
            vars(self._optimizer)["step"] = self._replaced

    def _step(self, *args: Any, **kwargs: Any) -> Any:
        if self._refuse is None or self._running or getattr(self._optimizer, "found_inf", None) is not None:
            return self._original(*args, **kwargs)
        closure = kwargs.get("closure", args[0] if args else None)
        self._running.append(self._optimizer)
        try:
            if closure is not None:
                left_out, result = self._with_closure(closure, args, kwargs)
            elif left_out := not self._is_finite(self._optimizer):
                result = None
            else:
                result = self._original(*args, **kwargs)
        finally:
            self._running.pop()
        if left_out:
            self._optimizer._opt_called = True  # type: ignore[attr-defined]  # a schedule counts it as a step
            self._refuse()
        return result

    def _with_closure(
        self, closure: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[bool, Any]:
        """Whether the update was left out, and what ``step`` gives."""
        before = None if self._changes_nothing_before else _Copy(self._members)

        def checked() -> Any:
            result = closure()
            if not self._is_finite(self._optimizer):
                raise _NotFinite(result)
            return result

        named = "closure" in kwargs
        args, kwargs = ((), {**kwargs, "closure": checked}) if named else ((checked, *args[1:]), kwargs)
        try:
            return False, self._original(*args, **kwargs)
        except _NotFinite as found:
            if before is not None:
                before.restore()
            return True, found.result

    @property
    def _changes_nothing_before(self) -> bool:
        return type(self._optimizer).__module__.startswith(_OWN_PACKAGE) and not isinstance(self._optimizer, LBFGS)


class _NotFinite(BaseException):
    """Ends a step in the middle; no handler of an optimizer for its own errors takes it."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class _Copy:
    """Weights, state and settings of optimizers, as they are now."""

    def __init__(self, optimizers: Collection[Optimizer]) -> None:
        self._weights = {
            id(p): (p, p.detach().clone())
            for each in optimizers
            for group in each.param_groups
            for p in group["params"]
        }
        self._states = [(each, _copied(each.state)) for each in optimizers]
        self._groups = [
            (group, copy.deepcopy({name: value for name, value in group.items() if name != "params"}))
            for each in optimizers
            for group in each.param_groups
        ]

    def restore(self) -> None:
        with torch.no_grad():
            for parameter, weights in self._weights.values():
                parameter.copy_(weights)
        for optimizer, state in self._states:
            optimizer.state.clear()
            optimizer.state.update(state)
        for group, settings in self._groups:
            group.update(settings)


def _copied(state: Any) -> dict[Any, Any]:
    """The state of each parameter by the parameter itself."""
    return {parameter: copy.deepcopy(own) for parameter, own in state.items()}
