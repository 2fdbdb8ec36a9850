"""How a layer that runs is overheard: whoever measures listens, the layer tells, and neither knows the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from graddiag.cells.grad_transform import Passing
from graddiag.cells.values import Adjoint, CellKind, Immediate, States, Weights


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
    """Marks a module whose layers tell the listener themselves, so that nothing has to be dug out of it.

    ``passing`` is what its backward pass does to the gradient between two timesteps, in every layer and direction.
    """

    passing: Passing | None = None


class Listener(Protocol):
    """Is told of each layer that runs; what it returns is called when the gradient has passed that layer."""

    def __call__(self, call: Call) -> OnBackward | None: ...


_listener: ContextVar[Listener | None] = ContextVar("graddiag_listener", default=None)


def current_listener() -> Listener | None:
    """The listener in force in this thread, if anybody listens."""
    return _listener.get()


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Makes ``listener`` the one in force, inside the ``with`` alone."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
