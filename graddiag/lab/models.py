"""The lab's one model: symbols, a recurrent layer, a linear head."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from graddiag.errors import SettingError
from graddiag.lab import heads, weight_init
from graddiag.lab.cells.layers import CellLayers
from graddiag.lab.initializations import initialization
from graddiag.lab.networks import cell_type, network_kind
from graddiag.lab.spec import TrainingSpec
from graddiag.lab.task import Shape
from graddiag.nn import LAYERS, RecurrentLayer


class SequenceModel(nn.Module):
    """Reads symbols [T, N], or numbers [T, N, symbols], and answers at each timestep, [T, N, classes], or at the last,
    [N, classes]: logits, or a number; see ``graddiag.lab.output_layers`` for the output layers that answer with states.

    The parameters are drawn from torch's global generator: seed it first.

    Args:
        counts: how often each symbol is in the text, for the output layers that ask for it.
    """

    def __init__(self, spec: TrainingSpec, shape: Shape, counts: Sequence[int] | None = None) -> None:
        super().__init__()
        if spec.embedding is not None and shape.reads == "numbers":
            raise SettingError(f"embedding {spec.embedding}: the task {spec.task} reads numbers; leave it out.")
        self.symbols, self.answers, self.reads = shape.symbols, shape.answers, shape.reads
        self.embedding = None if spec.embedding is None else nn.Embedding(shape.symbols, spec.embedding)
        self.recurrent = _recurrent(spec, spec.embedding or shape.symbols)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = heads.parse_head(spec.output).make(spec.hidden, shape, counts)
        if spec.init_std is not None:
            weight_init.draw_normal(self, spec.init_std)
        if spec.init_uniform is not None:
            weight_init.draw_uniform(self, spec.init_uniform)
        if isinstance(self.recurrent, CellLayers):
            return
        if spec.forget_bias is not None:
            weight_init.set_forget_bias(self.recurrent, spec.forget_bias)
        if spec.init is not None:
            initialization(spec.init, spec.model).draw(self.recurrent, spec)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Outputs, and the state after the last timestep; ``state`` is what to start from, zeros by default."""
        states, after = self.recurrent(self.dropout(self._features(inputs)), state)
        outputs: Tensor = self.head(self.dropout(states if self.answers == "each" else states[-1]))
        return outputs, after

    @property
    def followed(self) -> tuple[nn.Module, ...]:
        """The cells that ``graddiag.watch(cells=...)`` follows; none where the layers report themselves."""
        return tuple(self.recurrent.cells) if isinstance(self.recurrent, CellLayers) else ()

    def _features(self, inputs: Tensor) -> Tensor:
        if self.reads == "numbers":
            return inputs
        if self.embedding is not None:
            embedded: Tensor = self.embedding(inputs)
            return embedded
        return nn.functional.one_hot(inputs, self.symbols).to(next(self.recurrent.parameters()).dtype)


def _recurrent(spec: TrainingSpec, inputs: int) -> RecurrentLayer | CellLayers:
    settings: dict[str, Any] = {"num_layers": spec.layers, "dropout": _between(spec)}
    kind = cell_type(spec.model)
    if kind is None:
        return CellLayers(network_kind(spec.model), inputs, spec.hidden, **settings)
    if kind.nonlinearities:
        variant = {"layer_norm": spec.layer_norm, "residual": spec.residual}
        settings |= {"nonlinearity": spec.nonlinearity or "tanh", **variant}
    return LAYERS[kind.name](inputs, spec.hidden, **settings)


def _between(spec: TrainingSpec) -> float:
    """What is dropped between layers; torch warns of it where there is one layer alone."""
    return spec.dropout if spec.layers > 1 else 0.0


def cut(state: Any) -> Any:
    """The state without its graph: what a batch takes over from the one before."""
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
