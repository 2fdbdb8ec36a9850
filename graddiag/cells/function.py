"""One recurrent layer in one direction as a differentiable function whose backward pass is the written-out adjoint."""

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from graddiag.cells.grad_transform import GradTransform
from graddiag.cells.observer import Call, current_observer
from graddiag.cells.registry import adjoint, forward, input_gradient, weight_gradients
from graddiag.cells.sequences import flip, last, valid
from graddiag.cells.values import CellKind, Immediate, States, WeightGradients, Weights
from graddiag.errors import UnsupportedError

Direction = Literal["forward", "reverse"]


def run_layer(
    kind: CellKind,
    layer: int,
    direction: Direction,
    x: Tensor,
    initial: tuple[Tensor, Tensor | None],
    weights: Weights,
    lengths: Tensor | None,
    grad_transform: GradTransform | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """h [T, N, P] in the order of the data, with the last h [N, P] and c [N, H] of each sequence.

    Args:
        x: [T, N, I]; initial: (h0 [N, P], c0 [N, H] or None).
        lengths: [N], or None when every sequence has T timesteps. Entries past the end are 0 in h.
        grad_transform: what is done to the gradient between two timesteps; None leaves it as it is.
    """
    settings = _Settings(kind, layer, direction, lengths, grad_transform)
    tensors = (weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh, weights.w_hr, weights.gain)
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(weights.w_ih.dtype)
        x = flip(x, lengths) if direction == "reverse" else x
        h0, c0 = (None if state is None else state.to(x.dtype) for state in initial)
        h, h_n, c_n = _Layer.apply(settings, x, h0, c0, *tensors)  # type: ignore[no-untyped-call]
        return flip(h, lengths) if direction == "reverse" else h, h_n, c_n


class _Settings:
    """What one call of a layer is given beside its tensors, and the observer that was in force when it ran."""

    def __init__(
        self,
        kind: CellKind,
        layer: int,
        direction: Direction,
        lengths: Tensor | None,
        grad_transform: GradTransform | None,
    ) -> None:
        self.kind = kind
        self.layer = layer
        self.direction = direction
        self.lengths = lengths
        self.grad_transform = grad_transform
        self.observer = current_observer() if torch.is_grad_enabled() else None


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, settings: _Settings, x: Tensor, h0: Tensor, c0: Tensor | None, *weights: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        w_ih, w_hh, *others = weights
        assert w_ih is not None
        assert w_hh is not None
        packed = Weights(w_ih, w_hh, *others)
        states = _without_padding(forward(settings.kind, x, h0, c0, packed), settings.lengths)
        ctx.settings = settings
        ctx.on_backward = _tell(settings, x, packed, states)
        ctx.set_materialize_grads(False)
        own = (states.h, states.gates, states.c, states.q, states.normed, states.spread)
        ctx.save_for_backward(x, h0, c0, *weights, *own)
        h_n = last(states.h, settings.lengths)
        # a copy: the output may be changed in place, and must not keep this node's own tensors in a circle
        return states.h.clone(), h_n, None if states.c is None else last(states.c, settings.lengths)

    @staticmethod
    def backward(
        ctx: Any, grad_h: Tensor | None, grad_h_n: Tensor | None, grad_c_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            found = _Layer._adjoint(ctx, grad_h, grad_h_n, grad_c_n)
        # whatever comes in, a second derivative must never be dropped without a word
        return _once_only(ctx, found) if torch.is_grad_enabled() else found

    @staticmethod
    def _adjoint(
        ctx: Any, grad_h: Tensor | None, grad_h_n: Tensor | None, grad_c_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        x, h0, c0, *weights, h, gates, c, q, normed, spread = ctx.saved_tensors
        settings, packed = ctx.settings, Weights(*weights)
        states = States(h=h, h0=h0, gates=gates, c=c, c0=c0, q=q, normed=normed, spread=spread)
        states = replace(states, lengths=settings.lengths)
        immediate = Immediate(grad_h, grad_h_n, grad_c_n)
        direct_c = immediate.at_c(states, settings.lengths)
        direct_h = immediate.at_h(states, settings.lengths)
        adj = adjoint(settings.kind, states, packed, direct_h, direct_c, settings.grad_transform)
        _, needs_x, needs_h0, needs_c0, *needs_weights = ctx.needs_input_grad
        grads = (
            weight_gradients(settings.kind, x, states, packed, adj)
            if any(needs_weights) or ctx.on_backward is not None
            else None
        )
        if ctx.on_backward is not None and grads is not None:
            ctx.on_backward(immediate, adj, grads.w_hh)
        return (
            None,
            input_gradient(packed, adj) if needs_x else None,
            adj.sent_h[0] if needs_h0 else None,
            adj.sent_c[0] if needs_c0 and adj.sent_c is not None else None,
            *((None,) * len(weights) if grads is None else _in_order(grads)),
        )


class _OnceOnly(torch.autograd.Function):
    """Gradients as they are, with a backward pass that refuses."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise UnsupportedError(
            "graddiag.nn's layers have no second derivative, and the loss depends on their gradient (a gradient "
            "penalty, MAML). Use torch.nn's layers there; graddiag.watch records them as they are."
        )


def _once_only(ctx: Any, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """``grads`` as functions of what the layer was given, which can be differentiated no further."""
    there = [grad for grad in grads if grad is not None]
    given = [each for each in ctx.saved_tensors if each is not None and each.requires_grad]
    refusing = iter(_OnceOnly.apply(len(there), *there, *given))  # type: ignore[no-untyped-call]
    return tuple(None if grad is None else next(refusing) for grad in grads)


def _in_order(grads: WeightGradients) -> tuple[Tensor | None, ...]:
    return grads.w_ih, grads.w_hh, grads.b_ih, grads.b_hh, grads.w_hr, grads.gain


def _tell(settings: _Settings, x: Tensor, weights: Weights, states: States) -> Any:
    if settings.observer is None:
        return None
    detached = Weights(*(None if w is None else w.detach() for w in vars(weights).values()))  # type: ignore[arg-type]
    # copies of the initial states: the user may reuse their memory once backward() is over
    initial = replace(states, h0=states.h0.clone(), c0=None if states.c0 is None else states.c0.clone())
    call = Call(settings.kind, settings.layer, settings.direction, x.detach(), detached, settings.lengths, initial)
    return settings.observer(call)


def _without_padding(states: States, lengths: Tensor | None) -> States:
    """The same states with zeros past the end of each sequence, whatever the recursion made of the padding."""
    if lengths is None:
        return states
    padding = ~valid(lengths, len(states.h)).unsqueeze(-1)
    for block in (states.h, states.gates, states.c, states.q, states.normed):
        if block is not None:
            block.masked_fill_(padding, 0)
    if states.spread is not None:
        states.spread.masked_fill_(padding, 1)
    return replace(states, lengths=lengths)
