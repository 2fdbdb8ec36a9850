"""The lab's one model: symbols, a recurrent layer, a linear head."""

from typing import Final

from torch import Tensor, nn

from graddiag.errors import SettingError
from graddiag.lab import initialisation
from graddiag.lab.spec import TrainingSpec
from graddiag.lab.task import Shape
from graddiag.nn import GRU, LSTM, RNN

CELLS: Final = {"lstm": LSTM, "gru": GRU}


class SequenceModel(nn.Module):
    """Reads symbols [T, N], or numbers [T, N, symbols], and answers [T, N, classes] at each timestep or [N, classes]
    at the last: logits, or a number.

    The parameters are drawn from torch's global generator: seed it first.
    """

    def __init__(self, spec: TrainingSpec, shape: Shape) -> None:
        super().__init__()
        if spec.embedding is not None and shape.reads == "numbers":
            raise SettingError(f"embedding {spec.embedding}: the task {spec.task} reads numbers; leave it out.")
        self.symbols, self.answers, self.reads = shape.symbols, shape.answers, shape.reads
        self.embedding = None if spec.embedding is None else nn.Embedding(shape.symbols, spec.embedding)
        self.recurrent = _recurrent(spec, spec.embedding or shape.symbols)
        self.head = nn.Linear(spec.hidden, shape.classes)
        if spec.init_std is not None:
            initialisation.draw_normal(self, spec.init_std)
        if spec.forget_bias is not None:
            initialisation.set_forget_bias(self.recurrent, spec.forget_bias)
        if spec.init is not None:
            _initialise(self.recurrent, spec)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden, _ = self.recurrent(self._features(inputs))
        outputs: Tensor = self.head(hidden if self.answers == "each" else hidden[-1])
        return outputs

    def _features(self, inputs: Tensor) -> Tensor:
        if self.reads == "numbers":
            return inputs
        if self.embedding is not None:
            embedded: Tensor = self.embedding(inputs)
            return embedded
        return nn.functional.one_hot(inputs, self.symbols).to(self.head.weight.dtype)


def _recurrent(spec: TrainingSpec, inputs: int) -> RNN | LSTM | GRU:
    if spec.model == "rnn":
        return RNN(inputs, spec.hidden, num_layers=spec.layers, nonlinearity=spec.nonlinearity or "tanh")
    return CELLS[spec.model](inputs, spec.hidden, num_layers=spec.layers)


def _initialise(recurrent: RNN | LSTM | GRU, spec: TrainingSpec) -> None:
    if spec.init == "orthogonal":
        initialisation.orthogonal(recurrent)
    elif isinstance(recurrent, RNN):
        initialisation.identity(recurrent)
    else:
        initialisation.chrono(recurrent, spec.length)
