"""RNN, LSTM and GRU as torch.nn has them, with the backward pass written out, so that the gradient at every timestep
is a by-product of training instead of something to be dug out of a fused kernel.

The constructor, the parameters and their names, the state_dict, the arguments and the results are torch.nn's (results
to 1e-6 in float32, 1e-12 in float64); RNN takes the nonlinearities ``sigmoid``, ``identity`` and ``truncated-relu``,
layer norm and residual connections too. Under autocast these layers compute in the dtype of their weights. A second
derivative through them (``create_graph``) is refused.
"""

from typing import Any, Final, Literal, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from graddiag.cells import CELLS, CellKind, Instrumented, current_observer, type_of
from graddiag.cells.function import run_layer
from graddiag.cells.sequences import valid
from graddiag.cells.values import Weights
from graddiag.errors import SettingError
from graddiag.kinds import NONLINEARITIES, ModelKind, Nonlinearity

__all__ = ["GRU", "LAYERS", "LSTM", "RNN", "RecurrentLayer"]

State = tuple[Tensor, Tensor | None]


class RNN(Instrumented, torch.nn.RNN):
    """Elman network; see torch.nn.RNN. ``nonlinearity`` is tanh, relu, sigmoid, identity or truncated-relu (0 to 20).

    Args:
        layer_norm: normalises W_ih x_t + W_hh h_{t-1} over the units of each sample before the biases are added; each
            layer and direction has a parameter more, the gain ``weight_ln_l0`` [H], 1 at the start.
        residual: h_t = h_{t-1} + phi(a_t); the state is added to and never replaced.

    Raises:
        SettingError: for any other nonlinearity.

    Source: Ba, Kiros & Hinton (2016); He et al. (2016) along time, see ``graddiag.cells.variants``.
    """

    layer_norm: bool = False
    residual: bool = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        layer_norm: bool = False,
        residual: bool = False,
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            raise SettingError(f"RNN: nonlinearity {nonlinearity!r} is unknown; known are {', '.join(NONLINEARITIES)}.")
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            nonlinearity="relu" if nonlinearity == "relu" else "tanh",
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity, self.layer_norm, self.residual = nonlinearity, layer_norm, residual
        if layer_norm:
            for end in _ends(self):
                gain = torch.ones(hidden_size, device=device, dtype=dtype)
                self.register_parameter(f"weight_ln_{end}", torch.nn.Parameter(gain))

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for name, parameter in self.named_parameters():
            if name.startswith("weight_ln"):
                torch.nn.init.ones_(parameter)

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> Any:
        kind = f"rnn_residual_{self.nonlinearity}" if self.residual else f"rnn_{self.nonlinearity}"
        output, (h_n, _) = _run(self, kind, input, hx)
        return output, h_n


class LSTM(Instrumented, torch.nn.LSTM):
    """Long short-term memory; see torch.nn.LSTM, proj_size included."""

    def forward(self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None) -> Any:
        return _run(self, "lstm", input, hx)


class GRU(Instrumented, torch.nn.GRU):
    """Gated recurrent unit; see torch.nn.GRU."""

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> Any:
        output, (h_n, _) = _run(self, "gru", input, hx)
        return output, h_n


RecurrentLayer = RNN | LSTM | GRU

LAYERS: Final[dict[ModelKind, type[RecurrentLayer]]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
"""The layer of each kind of ``graddiag.kinds``."""


def _run(
    module: torch.nn.RNNBase, kind: CellKind, input: Tensor | PackedSequence, hx: Any
) -> tuple[Tensor | PackedSequence, Any]:
    if isinstance(input, PackedSequence):
        return _run_packed(module, kind, input, hx)
    _check(module, input)
    batched = input.dim() == 3
    x = input if batched else input.unsqueeze(1)
    x = x.transpose(0, 1) if batched and module.batch_first else x
    state = _initial_state(module, hx, x.shape[1], x, batched)
    module.check_forward_args(x.transpose(0, 1) if module.batch_first else x, _as_torch(kind, state), None)
    output, (h_n, c_n) = _run_observed(module, kind, x, state, None, None)
    if not batched:
        return output.squeeze(1), (h_n.squeeze(1), None if c_n is None else c_n.squeeze(1))
    return (output.transpose(0, 1) if module.batch_first else output), (h_n, c_n)


def _run_packed(
    module: torch.nn.RNNBase, kind: CellKind, packed: PackedSequence, hx: Any
) -> tuple[PackedSequence, State]:
    N = int(packed.batch_sizes[0])
    h0, c0 = _initial_state(module, hx, N, packed.data, batched=True)
    if hx is not None and packed.sorted_indices is not None:
        h0 = h0.index_select(1, packed.sorted_indices)
        c0 = None if c0 is None else c0.index_select(1, packed.sorted_indices)
    module.check_forward_args(packed.data, _as_torch(kind, (h0, c0)), packed.batch_sizes)
    real = torch.arange(N) < packed.batch_sizes.unsqueeze(1)
    lengths, real = real.sum(0).to(packed.data.device), real.to(packed.data.device)
    x = packed.data.new_zeros(*real.shape, packed.data.shape[-1]).index_put((real,), packed.data)
    output, (h_n, c_n) = _run_observed(module, kind, x, (h0, c0), lengths, packed.unsorted_indices)
    if packed.unsorted_indices is not None:
        h_n = h_n.index_select(1, packed.unsorted_indices)
        c_n = None if c_n is None else c_n.index_select(1, packed.unsorted_indices)
    return PackedSequence(output[real], packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices), (h_n, c_n)


def _initial_state(module: torch.nn.RNNBase, hx: Any, N: int, x: Tensor, batched: bool) -> State:
    """(h0, c0), each [layers * directions, N, size]; zeros where none were given, c0 None without a cell state."""
    kind = type_of(module)
    has_c = kind is not None and kind.has_cell_state
    if hx is not None:
        h0, c0 = hx if has_c else (hx, None)
        _check_state(h0, c0, batched)
        if batched:
            return h0, c0
        return h0.unsqueeze(1), None if c0 is None else c0.unsqueeze(1)
    count = module.num_layers * (2 if module.bidirectional else 1)
    h0 = x.new_zeros(count, N, module.proj_size or module.hidden_size)
    return h0, x.new_zeros(count, N, module.hidden_size) if has_c else None


def _check(module: torch.nn.RNNBase, input: Tensor) -> None:
    """Refuses what torch.nn refuses, in its words."""
    if input.dim() not in (2, 3):
        tensor = " tensor" if isinstance(module, torch.nn.RNN) else ""
        kind = type_of(module)
        name = type(module).__name__ if kind is None else kind.title
        raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D{tensor} instead")
    if input.shape[1 if input.dim() == 3 and module.batch_first else 0] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")


def _check_state(h0: Tensor, c0: Tensor | None, batched: bool) -> None:
    wanted, kind = (3, "batched") if batched else (2, "unbatched")
    if h0.dim() == wanted and (c0 is None or c0.dim() == wanted):
        return
    if c0 is None:
        raise RuntimeError(f"For {kind} {wanted}-D input, hx should also be {wanted}-D but got {h0.dim()}-D tensor")
    raise RuntimeError(
        f"For {kind} {wanted}-D input, hx and cx should also be {wanted}-D but got ({h0.dim()}-D, {c0.dim()}-D) tensors"
    )


def _as_torch(kind: CellKind, state: State) -> Any:
    return state if CELLS[kind].type.has_cell_state else state[0]


def _run_observed(
    module: torch.nn.RNNBase,
    kind: CellKind,
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    order: Tensor | None,
) -> tuple[Tensor, State]:
    """``_run_layers``, with the observer in force told of the states that go in and come out."""
    observer = current_observer() if torch.is_grad_enabled() else None
    if observer is not None:
        joins = lengths is None and not module.bidirectional
        observer.given([each for each in state if each is not None], order, joins=joins)
    output, final = _run_layers(module, kind, x, state, lengths)
    if observer is not None and lengths is None:
        observer.returned(output, [each for each in final if each is not None])
    return output, final


def _run_layers(
    module: torch.nn.RNNBase, kind: CellKind, x: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """All layers and directions: x [T, N, I] to the output [T, N, D*P] and the final states."""
    directions: tuple[Literal["forward", "reverse"], ...] = (
        ("forward", "reverse") if module.bidirectional else ("forward",)
    )
    h0, c0 = state
    h_n: list[Tensor] = []
    c_n: list[Tensor | None] = []
    for layer in range(module.num_layers):
        outputs = []
        for direction in directions:
            index = len(h_n)
            c = None if c0 is None else c0[index]
            weights = _weights(module, layer, direction)
            grad_transform = cast(Instrumented, module).grad_transform
            h, h_last, c_last = run_layer(kind, layer, direction, x, (h0[index], c), weights, lengths, grad_transform)
            outputs.append(h)
            h_n.append(h_last)
            c_n.append(c_last)
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        if module.dropout and layer + 1 < module.num_layers:
            x = _dropout(x, module.dropout, module.training, lengths)
    return x, (torch.stack(h_n), None if c0 is None else torch.stack(cast(list[Tensor], c_n)))


def _weights(module: torch.nn.RNNBase, layer: int, direction: str) -> Weights:
    end = _end(layer, direction)
    return Weights(
        w_ih=getattr(module, f"weight_ih_{end}"),
        w_hh=getattr(module, f"weight_hh_{end}"),
        b_ih=getattr(module, f"bias_ih_{end}") if module.bias else None,
        b_hh=getattr(module, f"bias_hh_{end}") if module.bias else None,
        w_hr=getattr(module, f"weight_hr_{end}") if module.proj_size else None,
        gain=getattr(module, f"weight_ln_{end}") if getattr(module, "layer_norm", False) else None,
    )


def _ends(module: torch.nn.RNNBase) -> list[str]:
    """How the names of the parameters of each layer and direction end."""
    directions = ("forward", "reverse") if module.bidirectional else ("forward",)
    return [_end(layer, direction) for layer in range(module.num_layers) for direction in directions]


def _end(layer: int, direction: str) -> str:
    return f"l{layer}" + ("_reverse" if direction == "reverse" else "")


def _dropout(x: Tensor, p: float, training: bool, lengths: Tensor | None) -> Tensor:
    """Dropout between layers, on the real entries in torch's packed order: the same seed drops the same."""
    if lengths is None:
        return torch.dropout(x, p, training)
    real = valid(lengths, len(x))
    return torch.zeros_like(x).index_put((real,), torch.dropout(x[real], p, training))
