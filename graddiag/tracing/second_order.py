"""What a loss adds to the gradient at the timesteps of a layer when it depends on the layer's own gradient.

A gradient penalty, or MAML, differentiates with ``create_graph`` and puts the result into the loss. The second backward
pass goes through the graph of the first one, in which the states of the layer are no tensors that a hook could see.
It is computed on a copy of the layer, unrolled under autograd: with u what the first pass brought to the results, g
what it made of that for the inputs, and v the gradient of the loss with respect to g, it is the gradient of
sum(v * g) with respect to each h_t.
"""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from graddiag.cells import CELLS, Call, CellKind, Immediate, Weights
from graddiag.errors import UnsupportedError
from graddiag.tracing.backward import current_pass

Inputs = Mapping[str, Tensor]
"""x, h0, c0 and the weights of one direction of a layer, by name."""


@dataclass
class GraphPass:
    """One pass with ``create_graph`` through a layer: its number, what it brought to the results (output, h_n, c_n; of
    both directions), and of a later pass the gradient with respect to what it made of that, by input."""

    number: int
    results: dict[str, Tensor] = field(default_factory=dict)
    later: int = -1
    received: dict[str, Tensor] = field(default_factory=dict)


class InputGradients:
    """Listens to the gradients that passes with ``create_graph`` compute for the inputs of a layer.

    on_received: called in a later pass that differentiates one of them.
    """

    def __init__(self, inputs: Inputs, on_received: Callable[[GraphPass], None]) -> None:
        self._on_received = on_received
        handles: list[RemovableHandle] = []
        # leaves outlive a graph that is dropped without a backward pass
        self._remove = weakref.finalize(self, _remove, handles)
        self._remove.atexit = False
        self.passes: list[GraphPass] = []
        for name, tensor in inputs.items():
            if not tensor.requires_grad:
                continue
            hook = _Hook(weakref.ref(self), name, tensor.output_nr)
            if tensor.grad_fn is None:
                handles.append(tensor.register_hook(hook))
            else:
                tensor.grad_fn.register_prehook(hook)

    def of_pass(self) -> GraphPass:
        """The pass with ``create_graph`` that is under way."""
        if not self.passes or self.passes[-1].number != current_pass():
            self.passes.append(GraphPass(current_pass()))
        return self.passes[-1]

    def release(self) -> None:
        """Takes the hooks off leaves and lets go of every tensor."""
        self._remove()
        self.passes = []

    def note(self, name: str, grad: Tensor | None) -> None:
        """A pass has come to one of the inputs; without ``create_graph`` there is nothing to follow."""
        if grad is None or not grad.requires_grad or not torch.is_grad_enabled():
            return
        first = self.of_pass()

        def receive(received: Tensor) -> None:
            if first.later != current_pass():
                first.later, first.received = current_pass(), {}
            first.received[name] = received.detach()
            self._on_received(first)

        grad.register_hook(receive)


def _remove(handles: list[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()


class _Hook:
    """At a leaf or at the node that made a tensor; it keeps nothing alive, and stays behind when a leaf is pickled."""

    __torch_unserializable__ = True

    def __init__(self, listener: "weakref.ref[InputGradients]", name: str, output_nr: int) -> None:
        self._listener = listener
        self._name = name
        self._output_nr = output_nr

    def __call__(self, grads: Tensor | tuple[Tensor | None, ...]) -> None:
        listener = self._listener()
        if listener is not None:
            listener.note(self._name, grads if isinstance(grads, Tensor) else grads[self._output_nr])


def second_order_gradient(call: Call, found: GraphPass, results: Immediate) -> Tensor:
    """What the loss adds to dL/dh_t through the gradient that ``found`` made, [T, N, P], in the order of processing.

    Args:
        results: what the first pass brought, in the order of processing.

    Raises:
        UnsupportedError: a packed batch, a projection or a kind that torch has no cell for.
    """
    function = CELLS[call.kind].torch_cell
    if function is None or call.lengths is not None or call.weights.w_hr is not None:
        raise UnsupportedError(
            f"layer {call.layer}: the loss depends on its gradient (create_graph), which is followed neither in packed "
            "batches nor with a projection."
        )
    with torch.enable_grad():
        inputs = {name: tensor.detach().requires_grad_() for name, tensor in inputs_of(call).items()}
        h, c = _unrolled(call.kind, function, inputs)
        made = {"output": torch.stack(h), "h_n": h[-1], **({"c_n": c[-1]} if c else {})}
        brought = {name: grad for name in made if (grad := getattr(results, name)) is not None}
        wanted = [name for name in found.received if name in inputs]
        first = torch.autograd.grad(
            [made[name] for name in brought],
            [inputs[name] for name in wanted],
            list(brought.values()),
            create_graph=True,
            allow_unused=True,
        )
        terms = [
            (grad, found.received[name].reshape(grad.shape).to(grad.dtype))
            for name, grad in zip(wanted, first, strict=True)
            if grad is not None and grad.requires_grad
        ]
        if not terms:
            return torch.zeros_like(call.states.h)
        grads = torch.autograd.grad([g for g, _ in terms], h, [v for _, v in terms], allow_unused=True)
    return torch.stack(
        [torch.zeros_like(state) if grad is None else grad for state, grad in zip(h, grads, strict=True)]
    )


def inputs_of(call: Call) -> dict[str, Tensor]:
    """The inputs of a layer as it ran, by name."""
    named = {"x": call.x, "h0": call.states.h0, "c0": call.states.c0, **weights_by_name(call.weights)}
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def weights_by_name(weights: Weights) -> dict[str, Tensor | None]:
    """The weights that torch's cells take."""
    return {name: getattr(weights, name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")}


def _unrolled(
    kind: CellKind, function: Callable[..., Tensor | tuple[Tensor, Tensor]], inputs: Inputs
) -> tuple[list[Tensor], list[Tensor]]:
    weights = [inputs.get(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")]
    weights = weights if weights[2] is not None else weights[:2]
    state: Tensor | tuple[Tensor, Tensor] = (inputs["h0"], inputs["c0"]) if "c0" in inputs else inputs["h0"]
    h, c = [], []
    for x in inputs["x"]:
        state = function(x, state, *weights)
        if isinstance(state, Tensor):
            h.append(state)
        else:
            h.append(state[0])
            c.append(state[1])
    return h, c
