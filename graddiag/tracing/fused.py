"""torch's fused recurrent functions, run layer by layer so that each layer can be observed.

``torch.lstm``, ``torch.gru``, ``torch.rnn_tanh`` and ``torch.rnn_relu`` take a whole stack of layers and give back the
top one alone. Run one layer at a time through the same functions, with ``torch.dropout`` between them, they give the
same bits on the CPU for outputs, final states and every gradient, and leave the same generator state behind. Both
directions of a layer stay in one call: a reverse direction run by itself on the flipped sequence adds up in another
order, which changes last bits.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from graddiag.cells import CELLS, CellKind, Weights

LAYER_FUNCTIONS: Final[dict[Any, CellKind]] = {
    cell.torch_layer: kind for kind, cell in CELLS.items() if cell.torch_layer is not None
}
CELL_FUNCTIONS: Final[dict[Any, CellKind]] = {
    cell.torch_cell: kind for kind, cell in CELLS.items() if cell.torch_cell is not None
}

_FRAMES: Final = 10  # between torch's own forward and a fused function there are fewer


@dataclass(frozen=True)
class FusedLayer:
    """One layer as it ran, in one or both directions, in the order of the data; tensors still part of the graph.

    x and output are [T, N, S], or packed [sum of lengths, S] when ``batch_sizes`` is given, with the directions side
    by side in the output; h0, c0, h_n, c_n are [D, N, S]; weights has one entry a direction.
    """

    kind: CellKind
    layer: int
    x: Tensor
    h0: Tensor
    c0: Tensor | None
    weights: tuple[Weights, ...]
    batch_sizes: Tensor | None
    output: Tensor
    h_n: Tensor
    c_n: Tensor | None
    c_n_feeds_h: bool = False


class KernelObserver(Protocol):
    """Observes a call of a fused function: what it is given, each layer, and what it returns.

    ``fused`` is given a function that describes a layer, so that an observer calls it under its own guard.
    """

    def given(self, states: Sequence[Tensor], order: Tensor | None, *, joins: bool) -> None: ...

    def fused(self, made: Callable[[], FusedLayer]) -> None: ...

    def returned(self, output: Tensor | None, finals: Sequence[Tensor]) -> None: ...


@dataclass(frozen=True)
class _Settings:
    has_biases: bool
    num_layers: int
    dropout: float
    train: bool
    bidirectional: bool


def run(function: Any, args: Sequence[Any], observer: KernelObserver) -> tuple[Tensor, ...]:
    """What ``function(*args)`` returns, telling ``observer`` of every layer and direction on the way."""
    kind = LAYER_FUNCTIONS[function]
    packed = not isinstance(args[3], bool)
    if packed:
        x, batch_sizes, hx, weights = args[:4]
        settings = _Settings(*args[4:9])
        observer.given(_states(kind, hx), _order_of_packed(), joins=False)
        return _run(function, kind, x, batch_sizes, hx, weights, settings, observer)
    x, hx, weights = args[:3]
    batch_first, settings = args[8], _Settings(*args[3:8])
    observer.given(_states(kind, hx), None, joins=not settings.bidirectional)
    x = x.transpose(0, 1) if batch_first else x
    output, *states = _run(function, kind, x, None, hx, weights, settings, observer)
    observer.returned(output, states)
    return (output.transpose(0, 1) if batch_first else output, *states)


def run_cell(function: Any, args: Sequence[Any], observer: KernelObserver) -> Any:
    """What ``function(*args)`` returns, a cell's next state, telling ``observer`` of it as of a layer with T = 1."""
    kind = CELL_FUNCTIONS[function]
    x, hx, *weights = args
    observer.given(_states(kind, hx), None, joins=True)
    result = function(*args)
    observer.fused(partial(_cell, kind, x, _states(kind, hx), weights, _states(kind, result)))
    observer.returned(None, _states(kind, result))
    return result


def _order_of_packed() -> Tensor | None:
    """Which row of the packed batch each of the user's samples is, [N]; None where the batch came in order.

    The kernel is not told: torch's own ``forward``, which called it, knows.
    """
    frame = sys._getframe(1)
    for _ in range(_FRAMES):
        if frame.f_code.co_name == "forward" and "unsorted_indices" in frame.f_locals:
            order = frame.f_locals["unsorted_indices"]
            return order if isinstance(order, Tensor) else None
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _run(
    function: Any,
    kind: CellKind,
    x: Tensor,
    batch_sizes: Tensor | None,
    hx: Any,
    weights: Sequence[Tensor],
    settings: _Settings,
    observer: KernelObserver,
) -> tuple[Tensor, ...]:
    D = 2 if settings.bidirectional else 1
    per_layer = len(weights) // settings.num_layers
    finals: list[tuple[Tensor, ...]] = []
    for layer in range(settings.num_layers):
        own = weights[layer * per_layer : (layer + 1) * per_layer]
        state = tuple(s[layer * D : (layer + 1) * D] for s in _states(kind, hx))
        output, *final = _one(function, kind, x, batch_sizes, state, own, settings)
        observer.fused(partial(_layer, kind, layer, (x, batch_sizes), state, own, (output, *final), settings))
        finals.append(tuple(final))
        x = output
        if settings.dropout and settings.train and layer + 1 < settings.num_layers:
            x = torch.dropout(x, settings.dropout, True)
    if settings.num_layers == 1:
        return (x, *finals[0])
    return (x, *(torch.cat(states) for states in zip(*finals, strict=True)))


def _cell(
    kind: CellKind, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], next_states: Sequence[Tensor]
) -> FusedLayer:
    has_c = _has_c(kind)
    return FusedLayer(
        kind=kind,
        layer=0,
        x=x.unsqueeze(0),
        h0=states[0].unsqueeze(0),
        c0=states[1].unsqueeze(0) if has_c else None,
        weights=(Weights(*weights),),
        batch_sizes=None,
        output=next_states[0].detach().unsqueeze(0),
        h_n=next_states[0],
        c_n=next_states[1] if has_c else None,
        c_n_feeds_h=has_c and next_states[0].grad_fn is not next_states[1].grad_fn,
    )


def _layer(
    kind: CellKind,
    layer: int,
    given: tuple[Tensor, Tensor | None],
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    results: Sequence[Tensor],
    settings: _Settings,
) -> FusedLayer:
    has_c = _has_c(kind)
    return FusedLayer(
        kind=kind,
        layer=layer,
        x=given[0],
        h0=state[0],
        c0=state[1] if has_c else None,
        weights=_weights(weights, 2 if settings.bidirectional else 1, settings.has_biases),
        batch_sizes=given[1],
        output=results[0],
        h_n=results[1],
        c_n=results[2] if has_c else None,
    )


def _one(
    function: Any,
    kind: CellKind,
    x: Tensor,
    batch_sizes: Tensor | None,
    state: tuple[Tensor, ...],
    weights: Sequence[Tensor],
    settings: _Settings,
) -> tuple[Tensor, ...]:
    hx = state if _has_c(kind) else state[0]
    rest = (settings.has_biases, 1, 0.0, settings.train, settings.bidirectional)
    if batch_sizes is None:
        return tuple(function(x, hx, weights, *rest, False))
    return tuple(function(x, batch_sizes, hx, weights, *rest))


def _has_c(kind: CellKind) -> bool:
    return CELLS[kind].type.has_cell_state


def _states(kind: CellKind, hx: Any) -> tuple[Tensor, ...]:
    """h, or h and c, as torch hands them to a function."""
    return tuple(hx) if _has_c(kind) else (hx,)


def _weights(own: Sequence[Tensor], directions: int, has_biases: bool) -> tuple[Weights, ...]:
    """A layer's flat list of weights, by direction."""
    count = len(own) // directions
    by_direction = []
    for start in range(0, len(own), count):
        w_ih, w_hh, *others = own[start : start + count]
        b_ih, b_hh = (others[0], others[1]) if has_biases else (None, None)
        w_hr = others[-1] if len(others) == (3 if has_biases else 1) else None
        by_direction.append(Weights(w_ih, w_hh, b_ih, b_hh, w_hr))
    return tuple(by_direction)


def layout(batch_sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Of packed data: the lengths [N], and which entries of the padded block are real, [T, N], rows in packed order."""
    real = torch.arange(int(batch_sizes[0])) < batch_sizes.unsqueeze(1)
    return real.sum(0), real
