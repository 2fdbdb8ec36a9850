"""Hooks on every parameter: which of them backward passes reached, and what became of gradients in between.

A hook compares gradients where a pass begins, and where the parameter still holds one; else it costs a fraction of a
microsecond.
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.compiler import is_dynamo_compiling

from graddiag.tracing.backward import EndOfBackward, current_pass
from graddiag.tracing.calls import holds_gradient
from graddiag.tracing.compiled import uncompiled
from graddiag.tracing.model_hook import LeftBehind
from graddiag.tracing.storage import has_entry

Seen = tuple[int, int] | None
"""A gradient as it was: the id of its tensor and its version; None where there was none."""


class GradientHooks:
    """Watches gradients from one update to the next; owns its hooks until ``close``.

    ``at_end`` is called when a backward pass has ended that filled a gradient, after what others do at that moment.

    A gradient counts as not zeroed when a backward pass adds to the tensor that the last update used, unchanged since
    and not 0 throughout (on an accelerator 0 is not checked for). It counts as changed in vain when it holds something
    else than at the update (clipped, for example) before it is zeroed or replaced; this is seen on the CPU alone.

    reached: the parameters that a pass of this step gave a gradient, by id. discarded: the passes whose gradients were
    zeroed, or let go of, before any update used them. changed: one was changed in vain. changed_between: the gradient
    that a pass of the step had left was changed before the next one.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        guard: Callable[[Callable[[], None]], None],
        at_end: Callable[[], None],
    ) -> None:
        self.guard = guard
        self.names = tuple(parameters)
        self.parameters = tuple(parameters.values())
        self.reached: set[int] = set()
        self.discarded = 0
        self.changed = self.changed_between = False
        self.not_zeroed: dict[str, None] = {}
        self._at_end = at_end
        self._end = EndOfBackward(guard, after_others=True)
        self._used: list[Seen] = [None] * len(self.names)
        self._left: list[Seen] = []  # empty in the first pass of a step
        self._added_to: set[int] = set()
        self._by_size = sorted(range(len(self.names)), key=lambda place: self.parameters[place].numel())
        self._smallest: tuple[Tensor, int] | None = None
        self._pass = self._ending = -1
        self._handles: list[Any] = []
        self._unattached = list(range(len(self.names)))
        self.attach()

    def follow(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Other parameters have taken the places of those before; of theirs nothing has been seen yet."""
        self.close()
        self.names, self.parameters = tuple(parameters), tuple(parameters.values())
        self._used = [None] * len(self.names)
        self._left, self._added_to, self.reached = [], set(), set()
        self._by_size = sorted(range(len(self.names)), key=lambda place: self.parameters[place].numel())
        self._unattached = list(range(len(self.names)))
        self.attach()

    def attach(self) -> None:
        """Hooks on the parameters that are trained and have none: they may be frozen at first and thawed later."""
        for place in self._unattached:
            parameter = self.parameters[place]
            if parameter.requires_grad:
                self._handles.append(parameter.register_hook(_Computed(self, place)))
                self._handles.append(parameter.register_post_accumulate_grad_hook(_Accumulated(self, place)))
        self._unattached = [place for place in self._unattached if not self.parameters[place].requires_grad]

    def close(self) -> None:
        """Takes every hook off, and forgets what was seen."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._unattached, self._smallest = [], [], None
        self._used, self.not_zeroed = [None] * len(self.names), {}

    def next_step(self) -> None:
        """The step has ended; what its update has used stays known."""
        self._left, self.changed_between = [], False
        self.reached = set()
        self.discarded = 0
        if self._unattached:
            self.attach()

    def left(self) -> None:
        """A backward pass has left the gradients as they are now."""
        self._left = [_seen(parameter) for parameter in self.parameters]

    def updating(self, names: Collection[str] | None) -> None:
        """An update of ``names`` (None: of all) begins: clipping before it is no fault."""
        self.discarded = 0
        if names is None:
            self._left = []
        elif self._left:
            self._left = [None if name in names else seen for name, seen in zip(self.names, self._left, strict=True)]

    def updated(self, names: Collection[str] | None = None) -> None:
        """An update of ``names`` (None: of all) has been made with the gradients there are."""
        own: Collection[int] = range(len(self.names))
        if names is None:
            self.not_zeroed, self._added_to = {}, set()
            self._used = [_seen(parameter) for parameter in self.parameters]
        else:
            own = {place for place in own if self.names[place] in names}
            self.not_zeroed = {name: None for name in self.not_zeroed if name not in names}
            self._added_to -= own
            for place in own:
                self._used[place] = _seen(self.parameters[place])
        self.changed = False
        # a single one is kept alive, so that letting go of it does not hide what was done to it before
        self._smallest = None
        for place in self._by_size:
            grad = self.parameters[place].grad
            if place in own and self._used[place] is not None and grad is not None and grad.is_cpu:
                self._smallest = (grad, grad._version)
                break

    def check_used(self) -> None:
        """Notes whether the gradient that was used has been changed; zeroing it, in place or by letting go of it, is no
        such change."""
        if self._smallest is None:
            return
        grad, version = self._smallest
        if grad._version > version:
            self.changed |= has_entry(grad)
            self._smallest = None

    def not_zeroed_of(self, names: Collection[str] | None = None) -> list[str]:
        """Of ``names`` (None: of all) the parameters whose used gradient was added to."""
        return [name for name in self.not_zeroed if names is None or name in names]

    # what the hooks call

    def computed(self, place: int) -> None:
        """The gradient of a parameter has been computed, and is not added yet to the one that it has."""
        parameter, name = self.parameters[place], self.names[place]
        self.check_used()
        self._smallest = None
        grad = parameter.grad
        if self._pass != current_pass():
            self._pass = current_pass()
            self.discarded += id(parameter) in self.reached and not holds_gradient(parameter)
        if grad is not None and self._used[place] == (id(grad), grad._version) and holds_gradient(parameter):
            self._added_to.add(place)
        else:
            self._added_to.discard(place)
            if name in self.not_zeroed and not holds_gradient(parameter):
                del self.not_zeroed[name]  # what was added to the used gradient has been zeroed since
        left = self._left[place] if self._left else None
        if left is None or grad is None or grad.is_sparse or left[0] != id(grad) or left[1] == grad._version:
            return
        # what was zeroed in place was thrown away, and not changed; asked once at most in a step
        self.changed_between = self.changed_between or has_entry(grad)

    def accumulated(self, place: int, parameter: Tensor) -> None:
        """The gradient has been added to what the parameter had."""
        self._ending = current_pass()
        if place in self._added_to:
            self.not_zeroed[self.names[place]] = None
        if self._left and parameter.grad is not None:
            self._left[place] = (id(parameter.grad), parameter.grad._version)
        self._end.schedule("end", self._at_end)


def _seen(parameter: nn.Parameter) -> Seen:
    """The gradient that a parameter has, if it is trained."""
    grad = parameter.grad
    return None if grad is None or not parameter.requires_grad else (id(grad), grad._version)


class _Computed(LeftBehind):
    """Before a gradient is accumulated."""

    def __init__(self, hooks: GradientHooks, place: int) -> None:
        self._hooks, self._place = hooks, place
        self._parameter = hooks.parameters[place]

    @uncompiled
    def __call__(self, _gradient: Tensor) -> None:
        hooks = self._hooks
        if is_dynamo_compiling():
            return
        if self._parameter.grad is not None or hooks._pass != current_pass() or hooks._added_to or hooks.not_zeroed:
            hooks.guard(partial(hooks.computed, self._place))


class _Accumulated(LeftBehind):
    """After it."""

    def __init__(self, hooks: GradientHooks, place: int) -> None:
        self._hooks, self._place = hooks, place
        self._id = id(hooks.parameters[place])

    @uncompiled
    def __call__(self, parameter: Tensor) -> None:
        hooks = self._hooks
        if is_dynamo_compiling():
            return
        hooks.reached.add(self._id)
        if hooks._ending != current_pass() or hooks._added_to or hooks._left:
            hooks.guard(partial(hooks.accumulated, self._place, parameter))
        hooks._used[self._place] = None
