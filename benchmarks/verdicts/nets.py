"""The networks of the suite: torch.nn layers, cells in a loop, and a state that is tapped. Time comes first."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

LAYERS = {"tanh": nn.RNN, "relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CELLS = {"tanh": nn.RNNCell, "relu": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}


class Net(nn.Module):
    """Inputs [T, N, I], or symbols [T, N], to outputs [N, out] of the last timestep or [T, N, out]."""

    def __init__(
        self, cell: str, inputs: int, hidden: int, out: int, *, symbols: int = 0, last: bool = True, **layer: object
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, inputs) if symbols else None
        if cell in ("tanh", "relu"):
            layer["nonlinearity"] = cell
        self.recurrent = LAYERS[cell](inputs, hidden, **layer)
        self.drop = nn.Dropout(float(layer.get("dropout", 0.0)))
        self.head = nn.Linear(hidden * (2 if layer.get("bidirectional") else 1), out)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.run(x)[0])

    def run(self, x: Tensor, state: object = None) -> tuple[Tensor, object]:
        """Outputs of the recurrent layers, and their last state."""
        return self.recurrent(x if self.embedding is None else self.embedding(x), state)

    def read(self, h: Tensor) -> Tensor:
        return self.head(self.drop(h[-1] if self.last else h))


class Loop(nn.Module):
    """A cell called once per timestep; ``cut(t, T)`` says after which timesteps the state is detached."""

    def __init__(
        self,
        cell: str,
        inputs: int,
        hidden: int,
        out: int,
        *,
        symbols: int = 0,
        last: bool = True,
        cut: Callable[[int, int], bool] | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, inputs) if symbols else None
        more = {"nonlinearity": cell} if cell in ("tanh", "relu") else {}
        self.cell = CELLS[cell](inputs, hidden, **more)
        self.head = nn.Linear(hidden, out)
        self.last, self.cut, self.gates = last, cut, cell == "lstm"

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.embedding is None else self.embedding(x)
        state, outputs = None, []
        for t, x_t in enumerate(x):
            state = self.cell(x_t, state)
            outputs.append(state[0] if self.gates else state)
            if self.cut and self.cut(t, len(x)):
                state = tuple(each.detach() for each in state) if self.gates else state.detach()
        return self.head(outputs[-1] if self.last else torch.stack(outputs))


class Tapped(nn.Module):
    """A recurrence by hand, h = f(W x + U h); ``tap`` is set to the recorder's by the training."""

    def __init__(
        self, f: Callable[[Tensor], Tensor], inputs: int, hidden: int, out: int, *, symbols: int = 0, last: bool = True
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, inputs) if symbols else None
        self.inward, self.recurrent = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, out)
        self.f, self.last = f, last
        self.tap: Callable[[str, Tensor], Tensor] = lambda name, tensor: tensor

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.embedding is None else self.embedding(x)
        h, outputs = x.new_zeros(x.shape[1], self.recurrent.in_features), []
        for x_t in x:
            h = self.tap("state", self.f(self.inward(x_t) + self.recurrent(h)))
            outputs.append(h)
        return self.head(outputs[-1] if self.last else torch.stack(outputs))


@torch.no_grad()
def start(net: nn.Module, kind: str, scale: float) -> nn.Module:
    """Sets every recurrent matrix, block by block, to ``scale`` times an orthogonal matrix (``orth``), the identity
    (``eye``) or N(0, 1 / hidden) (``gauss``), and every recurrent bias to 0; gives the net back."""
    for name, parameter in net.named_parameters():
        if "weight_hh" in name or name == "recurrent.weight":
            for block in parameter.split(parameter.shape[1]):
                block.copy_(scale * _square(kind, parameter.shape[1]))
        elif "bias_hh" in name or "bias_ih" in name:
            parameter.zero_()
    return net


def _square(kind: str, size: int) -> Tensor:
    if kind == "eye":
        return torch.eye(size)
    if kind == "orth":
        return nn.init.orthogonal_(torch.empty(size, size))
    return torch.randn(size, size) / size**0.5


@torch.no_grad()
def keep(net: nn.Module, bias: float) -> nn.Module:
    """Sets the bias of the gate that keeps the state (f of an LSTM, z of a GRU), in all layers; gives the net back."""
    for name, parameter in net.named_parameters():
        if "bias_hh" in name or "bias_ih" in name:
            hidden = parameter.numel() // (4 if parameter.numel() % 4 == 0 and _is_lstm(net) else 3)
            parameter[hidden : 2 * hidden] = bias if "bias_hh" in name else 0.0
    return net


def _is_lstm(net: nn.Module) -> bool:
    return any(isinstance(module, nn.LSTM | nn.LSTMCell) for module in net.modules())


@torch.no_grad()
def fill(net: nn.Module, part: str, value: float) -> nn.Module:
    """Sets every parameter whose name has ``part`` to ``value``; gives the net back."""
    for name, parameter in net.named_parameters():
        if part in name:
            parameter.fill_(value)
    return net


@torch.no_grad()
def times(net: nn.Module, part: str, factor: float) -> nn.Module:
    """Multiplies every parameter whose name has ``part``; gives the net back."""
    for name, parameter in net.named_parameters():
        if part in name:
            parameter.mul_(factor)
    return net
