"""How recurrent weights are drawn, and what each way does to the gradient through time."""

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

from graddiag.cells import type_of
from graddiag.errors import SettingError
from graddiag.kinds import CellType, KeepingGate

_INPUT_STD: Final = 1e-3


@torch.no_grad()
def draw_normal(model: nn.Module, std: float) -> None:
    """Weights from N(0, std^2), biases 0."""
    for parameter in _drawn(model):
        if parameter.dim() > 1:
            parameter.normal_(0.0, std)
        else:
            parameter.zero_()


@torch.no_grad()
def draw_uniform(model: nn.Module, bound: float) -> None:
    """Weights and biases from U(-bound, bound)."""
    for parameter in _drawn(model):
        parameter.uniform_(-bound, bound)


@torch.no_grad()
def set_forget_bias(recurrent: nn.RNNBase, value: float) -> None:
    """Sets the bias of the gate that keeps the state, f of an LSTM or z of a GRU, to ``value`` in each layer.

    torch adds two bias vectors, so one of them takes it all.

    Source: Gers, Schmidhuber & Cummins (2000); Jozefowicz et al. (2015).
    """
    kind, gate = _keeping(recurrent)
    for layer in range(recurrent.num_layers):
        _set_bias(recurrent, layer, kind.gate_names.index(gate.name), torch.tensor(value))


@torch.no_grad()
def orthogonal(recurrent: nn.RNNBase) -> None:
    """An orthogonal recurrent matrix for every gate: of a linear network it keeps the norm of the gradient.

    Source: Saxe, McClelland & Ganguli (2014).
    """
    for weight in _recurrent_weights(recurrent):
        for block in weight.split(recurrent.hidden_size):
            nn.init.orthogonal_(block)


@torch.no_grad()
def identity(recurrent: nn.RNNBase) -> None:
    """The IRNN: the recurrent matrix is the identity, biases are 0, input weights from N(0, .001^2).

    With relu units a state is copied until an input changes it, and its gradient with it.

    Source: Le, Jaitly & Hinton (2015), section 3.
    """
    for name, parameter in recurrent.named_parameters():
        if name.startswith("weight_hh"):
            nn.init.eye_(parameter)
        elif name.startswith("weight_ih"):
            parameter.normal_(0.0, _INPUT_STD)
        elif name.startswith("bias"):
            parameter.zero_()


@torch.no_grad()
def chrono(recurrent: nn.RNNBase, longest: int) -> None:
    """Time constants spread from 1 to ``longest`` timesteps: b of the gate that keeps ~ ln U(1, longest - 1).

    In an LSTM the bias of the input gate is its negative.

    Source: Tallec & Ollivier (2018), equations 16 and 17; torch's z is their 1 - z.
    """
    kind, gate = _keeping(recurrent)
    for layer in range(recurrent.num_layers):
        bias = torch.empty(recurrent.hidden_size).uniform_(1.0, max(1.0, longest - 1.0)).log()
        _set_bias(recurrent, layer, kind.gate_names.index(gate.name), bias)
        if gate.entering is not None:
            _set_bias(recurrent, layer, kind.gate_names.index(gate.entering), -bias)


def _keeping(recurrent: nn.RNNBase) -> tuple[CellType, KeepingGate]:
    """The kind of a layer, and its gate that keeps the state."""
    kind = type_of(recurrent)
    if kind is None or kind.keeping is None:
        raise SettingError(f"{type(recurrent).__name__}: it has no gate that keeps the state, whose bias could be set.")
    return kind, kind.keeping


def _drawn(model: nn.Module) -> Iterator[Tensor]:
    """All parameters but the gains of a layer norm, which start at 1."""
    return (p for name, p in model.named_parameters() if not name.rpartition(".")[2].startswith("weight_ln"))


def _recurrent_weights(recurrent: nn.RNNBase) -> Iterator[Tensor]:
    return (parameter for name, parameter in recurrent.named_parameters() if name.startswith("weight_hh"))


def _set_bias(recurrent: nn.RNNBase, layer: int, gate: int, value: Tensor) -> None:
    """Sets what the two biases of a gate sum to."""
    units = slice(gate * recurrent.hidden_size, (gate + 1) * recurrent.hidden_size)
    getattr(recurrent, f"bias_ih_l{layer}")[units] = value
    getattr(recurrent, f"bias_hh_l{layer}")[units] = 0.0
