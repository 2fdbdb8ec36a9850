"""The lab's one model: symbols, a recurrent layer, a linear head."""

from typing import Final

import torch
from torch import Tensor, nn

from graddiag.lab.spec import TrainingSpec
from graddiag.lab.task import Shape
from graddiag.nn import GRU, LSTM, RNN

CELLS: Final = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


class SequenceModel(nn.Module):
    """Reads symbols [T, N] and answers with logits, [T, N, classes] at each timestep or [N, classes] at the last.

    The parameters are drawn from torch's global generator: seed it first.
    """

    def __init__(self, spec: TrainingSpec, shape: Shape) -> None:
        super().__init__()
        self.symbols, self.answers = shape.symbols, shape.answers
        self.embedding = None if spec.embedding is None else nn.Embedding(shape.symbols, spec.embedding)
        self.recurrent = CELLS[spec.model](spec.embedding or shape.symbols, spec.hidden, num_layers=spec.layers)
        self.head = nn.Linear(spec.hidden, shape.classes)
        if spec.init_std is not None:
            draw_normal(self, spec.init_std)
        if spec.forget_bias is not None:
            set_forget_bias(self.recurrent, spec.forget_bias)

    def forward(self, symbols: Tensor) -> Tensor:
        inputs = self.embedding(symbols) if self.embedding is not None else self._one_hot(symbols)
        hidden, _ = self.recurrent(inputs)
        logits: Tensor = self.head(hidden if self.answers == "each" else hidden[-1])
        return logits

    def _one_hot(self, symbols: Tensor) -> Tensor:
        return nn.functional.one_hot(symbols, self.symbols).to(self.head.weight.dtype)


@torch.no_grad()
def draw_normal(model: nn.Module, std: float) -> None:
    """Weights from N(0, std^2), biases 0."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.normal_(0.0, std)
        else:
            parameter.zero_()


@torch.no_grad()
def set_forget_bias(recurrent: nn.LSTM | nn.GRU, value: float) -> None:
    """Sets the bias of the gate that keeps the state, f of an LSTM or z of a GRU, to ``value`` in each layer.

    torch adds two bias vectors, so one of them takes it all. In either cell it is the second gate of torch's rows.

    Source: Gers, Schmidhuber & Cummins (2000); Jozefowicz et al. (2015).
    """
    for name, bias in recurrent.named_parameters():
        if name.startswith("bias_"):
            units = recurrent.hidden_size
            bias[units : 2 * units] = value if name.startswith("bias_ih") else 0.0
