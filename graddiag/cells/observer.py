"""How a layer that runs reports itself: it calls the observer in force, and neither imports the other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from graddiag.cells.grad_transform import GradTransform
from graddiag.cells.values import Adjoint, CellKind, Immediate, States, Weights
from graddiag.kinds import ModelKind


@dataclass(frozen=True)
class Call:
    """One layer in one direction, as it ran. x [T, N, I] and lengths [N] (None: all T), order of processing.

    ran_in: the dtype of its activations in the training itself, None where it is that of ``states``.
    """

    kind: CellKind
    layer: int
    direction: Literal["forward", "reverse"]
    x: Tensor
    weights: Weights
    lengths: Tensor | None
    states: States
    ran_in: torch.dtype | None = None


OnBackward = Callable[[Immediate, Adjoint, Tensor], None]
"""Takes the immediate gradients, the adjoint and dL/dW_hh, in the order of processing."""


class Instrumented:
    """Marks a module whose layers call the observer themselves, so that no kernel has to be taken apart.

    ``grad_transform``: what its backward pass does to the gradient between two timesteps, in every layer and direction.
    ``cell_type``: its kind, where it does not follow from the torch.nn class.
    """

    cell_type: ClassVar[ModelKind | None] = None
    grad_transform: GradTransform | None = None


class Observer(Protocol):
    """Called with each layer that runs; what it returns is called when the backward pass has passed that layer.

    Before the layers of a module run, ``given`` has the states that they begin from, [L*D, N, S] each, which row of the
    batch each of the user's samples is (None: in order), and whether the sequence can be one with that of other calls;
    ``returned`` has the output [T, N, S] and the final states.
    """

    def __call__(self, call: Call) -> OnBackward | None: ...

    def given(self, states: Sequence[Tensor], order: Tensor | None, *, joins: bool) -> None: ...

    def returned(self, output: Tensor | None, finals: Sequence[Tensor]) -> None: ...


_observer: ContextVar[Observer | None] = ContextVar("graddiag_observer", default=None)


def current_observer() -> Observer | None:
    """The observer in force in this thread, if there is one."""
    return _observer.get()


@contextmanager
def observing(observer: Observer | None) -> Iterator[None]:
    """Makes ``observer`` the one in force, inside the ``with`` alone."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)
