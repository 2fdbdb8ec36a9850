"""A fused layer that was observed: its immediate gradients are collected by tensor hooks during ``backward()``, and at
the end of the pass its states are recovered and the adjoint is run once."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from graddiag.cells import CELLS, Call, Immediate, States, Weights, adjoint, forward, recover, recurrent_gradient
from graddiag.cells.sequences import flip, valid
from graddiag.errors import UnsupportedError
from graddiag.schema import TraceKey
from graddiag.tracing.backward import EndOfBackward, current_pass
from graddiag.tracing.differences import difference
from graddiag.tracing.fused import FusedLayer, layout
from graddiag.tracing.handed_state import HandedState
from graddiag.tracing.layer_call import LayerCall, WeightCopies
from graddiag.tracing.passes import Passes
from graddiag.tracing.second_order import GraphPass, InputGradients, second_order_gradient, weights_by_name
from graddiag.tracing.storage import check_readable
from graddiag.tracing.trace import Trace

_HALF = (torch.float16, torch.bfloat16)

# of the node that oneDNN's kernel leaves in autograd's graph: its name, and which of its inputs W_hh is
_ONEDNN_NODE = "MkldnnRnnLayerBackward"
_W_HH = 2


class ObservedFusedLayer:
    """One direction of a fused layer, detached from the graph, waiting for its gradients."""

    def __init__(
        self,
        module: str,
        call_index: int,
        layer: FusedLayer,
        direction: int,
        on_reached: Callable[["ObservedFusedLayer"], None],
        passes: Passes,
        handed: HandedState | None = None,
        order: Tensor | None = None,
    ) -> None:
        self.key = TraceKey(module, layer.layer, "reverse" if direction else "forward", call_index)
        self._direction = direction
        self._on_reached = on_reached
        self._layer: FusedLayer | None = _detached(layer)
        self._versions = _versions(self._layer)
        self._passes = passes
        self.handed = handed
        self._order = order
        self._pass = -1
        self._grads: dict[str, Tensor] = {}
        self._grad_w_hh: Tensor | None = None  # of the pass under way, where the kernel gives it
        self._waiting: LayerCall | None = None
        self._is_cell = layer.output.grad_fn is None
        self._graph_pass = -1
        self._inputs: InputGradients | None = None
        # where the weights are kept when the first gradient comes: at the end of the pass they may be freed
        self.copies: WeightCopies | None = None

    def attach(self, layer: FusedLayer, end: EndOfBackward) -> None:
        """Registers at the nodes that made the layer's results, where every hook of the user's has been applied."""
        if not self._is_cell:
            named = {"x": layer.x, "h0": layer.h0, "c0": layer.c0, **weights_by_name(layer.weights[self._direction])}
            alive = weakref.ref(self)
            self._inputs = InputGradients(
                {name: tensor for name, tensor in named.items() if tensor is not None},
                lambda found: _differentiated(alive(), found, end),
            )
        for name in ("output", "h_n", "c_n"):
            tensor = getattr(layer, name)
            if tensor is not None and tensor.grad_fn is not None:
                tensor.grad_fn.register_prehook(self._hook(name, tensor.output_nr, end))
        node = layer.output.grad_fn
        if node is not None and _computes_gradient_of(node, layer.weights[self._direction].w_hh):
            node.register_hook(self._keep_weight_gradient)

    @property
    def reached(self) -> bool:
        return self._waiting is not None and self._waiting.reached

    def own_weights(self, copies: WeightCopies) -> None:
        """Keeps the weights as they are now, whatever the update will make of them."""
        self._layer_call().own_weights(copies)

    def trace(self) -> Trace:
        return self._layer_call().trace()

    def release(self) -> None:
        """Lets go of every tensor; the graph may still hold this object, and gradients that come now are ignored."""
        self._layer, self._grads, self._grad_w_hh = None, {}, None
        if self._inputs is not None:
            self._inputs.release()
        if self.handed is not None:
            self.handed.release()
        if self._waiting is not None:
            self._waiting.release()

    def _hook(self, name: str, output_nr: int, end: EndOfBackward) -> Callable[[tuple[Tensor | None, ...]], None]:
        def collect(grads: tuple[Tensor | None, ...]) -> None:
            grad = grads[output_nr]
            if grad is None or self._layer is None:
                return
            if self._pass != current_pass():
                self._pass, self._grads, self._grad_w_hh = current_pass(), {}, None
            if self.copies is not None:
                end.guard(self._keep_weights)
            self._grads[name] = grad if name == "output" else grad.view(len(self._layer.weights), *grad.shape[-2:])
            if torch.is_grad_enabled():
                self._in_graph_pass()
            elif self._is_cell and self._graph_pass not in (-1, current_pass()):
                # what a second derivative brings is in the total of a cell's state, and in nothing else of it
                self._layer_call().beyond = True
            end.schedule(id(self), self._finish)

        return collect

    def _keep_weights(self) -> None:
        """Copies the weights, which are gathered now: autograd is about to use them."""
        copies, self.copies = self.copies, None
        layer = self._layer
        if copies is None or layer is None or _versions(layer)["weights"] != self._versions["weights"]:
            return
        check_readable(self.key.module, _all_tensors(layer.weights))
        self._layer = replace(layer, weights=tuple(map(copies.of, layer.weights)))
        self._versions["weights"] = _versions(self._layer)["weights"]

    def _keep_weight_gradient(self, found: tuple[Tensor | None, ...], _: tuple[Tensor | None, ...]) -> None:
        """Keeps what the kernel has just computed as dL/dW_hh, before any hook of the user's can change it."""
        grad = found[_W_HH]
        if grad is not None and self._layer is not None and self._pass == current_pass():
            self._grad_w_hh = None if torch.is_grad_enabled() else grad.detach().clone()

    def _in_graph_pass(self) -> None:
        """A pass with ``create_graph`` brings a gradient: a later pass may differentiate it again."""
        self._graph_pass = current_pass()
        if self._inputs is not None:
            self._inputs.of_pass().results = {name: grad.detach() for name, grad in self._grads.items()}

    def differentiated(self, found: GraphPass) -> None:
        """At the end of a pass that went through the gradient which this layer made in the pass ``found``."""
        layer_call = self._layer_call()
        assert layer_call.call is not None
        total = second_order_gradient(layer_call.call, found, self._results(found.results, layer_call.call))
        layer_call.add_beyond(total)
        layer_call.commit()

    def sent_in_pass(self) -> tuple[Tensor, Tensor | None] | None:
        """What it sends back to its initial state in the pass under way; None where nothing reached it."""
        if self._pass != current_pass():
            return None
        self._add()
        return self._layer_call().sent_in_pass()

    def drop(self) -> None:
        """The gradients of the passes so far were thrown away."""
        if self._waiting is not None:
            self._waiting.drop()

    def _finish(self) -> None:
        self._add()
        self._layer_call().commit()

    @torch.no_grad()
    def _add(self) -> None:
        """Runs the adjoint on what the pass under way has brought, once."""
        if not self._grads:
            return
        grads, self._grads = self._grads, {}
        layer_call = self._layer_call()
        call = layer_call.call
        assert call is not None
        found = self._results(grads, call)
        c_n = found.c_n
        at_h = replace(found, c_n=None).at_h(call.states, call.lengths)
        if c_n is not None and self._layer is not None and self._layer.c_n_feeds_h:
            c_n = difference(c_n, CELLS[call.kind].grad_c_through_h(call.states, at_h)[-1])
        immediate = replace(found, c_n=c_n)
        adj = adjoint(call.kind, call.states, call.weights, at_h, immediate.at_c(call.states, call.lengths))
        grad_w_hh, self._grad_w_hh = self._grad_w_hh, None
        if grad_w_hh is None or grad_w_hh.dtype != adj.grad_h.dtype:
            grad_w_hh = recurrent_gradient(call.states, adj)
        layer_call.add(immediate, adj, grad_w_hh)

    def _results(self, grads: Mapping[str, Tensor], call: Call) -> Immediate:
        """This direction's part of the gradients at the results, in the order of processing."""
        dtype = call.states.h.dtype
        h_n, c_n = (grads[name][self._direction].to(dtype) if name in grads else None for name in ("h_n", "c_n"))
        return Immediate(self._block(grads["output"], call.lengths) if "output" in grads else None, h_n, c_n)

    @torch.no_grad()
    def _layer_call(self) -> LayerCall:
        if self._waiting is None:
            self._waiting = LayerCall(
                self.key.module,
                self.key.call,
                self._recovered(),
                lambda _: self._on_reached(self),
                self._passes,
                self.handed,
                self._order,
            )
        return self._waiting

    def _recovered(self) -> Call:
        layer = self._layer
        assert layer is not None
        check_readable(self.key.module, (layer.x, layer.h0, layer.c0, layer.output, *_all_tensors(layer.weights)))
        run_dtype = layer.output.dtype
        changed = {name for name, version in _versions(layer).items() if version != self._versions[name]}
        if changed - {"output"} or (changed and run_dtype in _HALF):
            raise UnsupportedError(
                f"module {self.key.module or '(model)'!r}, layer {layer.layer}: its {' and '.join(sorted(changed))} "
                "changed in place before backward() had ended, so its states cannot be recovered exactly."
            )
        lengths = None if layer.batch_sizes is None else layout(layer.batch_sizes)[0].to(layer.x.device)
        # copies of the states: the user may reuse their memory once backward() is over
        x, h0 = self._ordered(layer.x, lengths), _as(layer.h0[self._direction], run_dtype).clone()
        c0 = None if layer.c0 is None else _as(layer.c0[self._direction], run_dtype).clone()
        weights = Weights(*(None if w is None else _as(w, run_dtype) for w in _tensors(layer.weights[self._direction])))  # type: ignore[arg-type]
        if changed:
            states = forward(layer.kind, x, h0, c0, weights)
        else:
            states = recover(layer.kind, x, self._block(layer.output, lengths).clone(), h0, c0, weights)
        masked = _masked(states, lengths)
        return Call(layer.kind, layer.layer, self.key.direction, x, weights, lengths, masked, run_dtype)

    def _block(self, block: Tensor, lengths: Tensor | None) -> Tensor:
        """This direction's columns of an output or its gradient, as ``_ordered`` gives them."""
        assert self._layer is not None
        return self._ordered(block.chunk(len(self._layer.weights), dim=-1)[self._direction], lengths)

    def _ordered(self, block: Tensor, lengths: Tensor | None) -> Tensor:
        """[T, N, S] in the order of processing, out of either layout."""
        assert self._layer is not None
        block = _as(block, self._layer.output.dtype)
        if self._layer.batch_sizes is not None:
            real = layout(self._layer.batch_sizes)[1].to(block.device)
            block = block.new_zeros(*real.shape, block.shape[-1]).index_put((real,), block)
        return flip(block, lengths) if self._direction else block


def _computes_gradient_of(node: Any, w_hh: Tensor) -> bool:
    """Whether a node of autograd's graph is oneDNN's kernel with this W_hh: one of its results is dL/dW_hh."""
    if not node.name().startswith(_ONEDNN_NODE):
        return False
    return getattr(node.next_functions[_W_HH][0], "variable", None) is w_hh


def _differentiated(layer: ObservedFusedLayer | None, found: GraphPass, end: EndOfBackward) -> None:
    if layer is not None:
        end.schedule(("second", id(layer), found.number), partial(layer.differentiated, found))


def _detached(layer: FusedLayer) -> FusedLayer:
    def detach(weights: Weights) -> Weights:
        return Weights(*(None if w is None else w.detach() for w in _tensors(weights)))  # type: ignore[arg-type]

    tensors = {name: getattr(layer, name) for name in ("x", "h0", "c0", "output", "h_n", "c_n")}
    detached = {name: None if tensor is None else tensor.detach() for name, tensor in tensors.items()}
    return replace(layer, weights=tuple(detach(weights) for weights in layer.weights), **detached)  # type: ignore[arg-type]


def _versions(layer: FusedLayer) -> dict[str, int]:
    versions = {"input": layer.x._version, "output": layer.output._version, "h0": layer.h0._version}
    if layer.c0 is not None:
        versions["c0"] = layer.c0._version
    versions["weights"] = sum(w._version for ws in layer.weights for w in _tensors(ws) if w is not None)
    return versions


def _all_tensors(weights: Sequence[Weights]) -> list[Tensor | None]:
    return [tensor for each in weights for tensor in _tensors(each)]


def _tensors(weights: Weights) -> tuple[Tensor | None, ...]:
    return weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh, weights.w_hr


def _as(tensor: Tensor, run_dtype: torch.dtype) -> Tensor:
    """What the run saw (autocast rounds what goes in), in float32 at least."""
    tensor = tensor.to(run_dtype)
    return tensor.float() if run_dtype in _HALF else tensor


def _masked(states: States, lengths: Tensor | None) -> States:
    if lengths is None:
        return states
    padding = ~valid(lengths, len(states.h)).unsqueeze(-1)
    masked = {
        name: None if block is None else block.masked_fill(padding, 0)
        for name, block in (("h", states.h), ("gates", states.gates), ("c", states.c), ("q", states.q))
    }
    return replace(states, lengths=lengths, **masked)  # type: ignore[arg-type]
