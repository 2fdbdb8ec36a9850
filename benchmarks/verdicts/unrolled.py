"""The net of a case as a Python loop over torch's cells in float64, and what autograd says of it."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.verdicts.nets import Net, losses
from benchmarks.verdicts.truth import LAGS, Measured

State = tuple[Tensor, ...]  # h, or h and c


class Unrolled:
    """A copy of ``net`` in float64, one cell a layer."""

    def __init__(self, net: Net) -> None:
        self.cells = [_cell(net.recurrent, layer) for layer in range(net.recurrent.num_layers)]
        self.head = nn.Linear(net.head.in_features, net.head.out_features, dtype=torch.float64)
        self.last = net.last

    @property
    def parameters(self) -> list[Tensor]:
        return [parameter for module in (*self.cells, self.head) for parameter in module.parameters()]

    @torch.no_grad()
    def copy(self, net: Net) -> None:
        """Takes over the parameters of ``net`` as they are now."""
        for layer, cell in enumerate(self.cells):
            for name, parameter in cell.named_parameters():
                parameter.copy_(getattr(net.recurrent, f"{name}_l{layer}"))
        for mine, theirs in zip(self.head.parameters(), net.head.parameters(), strict=True):
            mine.copy_(theirs)

    def __call__(self, x: Tensor) -> tuple[Tensor, list[list[State]]]:
        """Logits as the net gives them, and by layer the state after each timestep."""
        inputs, states = list(x.double()), []
        for cell in self.cells:
            states.append(_run(cell, inputs))
            inputs = [state[0] for state in states[-1]]
        return self.head(inputs[-1] if self.last else torch.stack(inputs)), states

    def measure(self, x: Tensor, targets: Tensor, clip: float | None) -> Measured:
        """One step: see ``truth``."""
        logits, states = self(x)
        terms = losses(logits, targets)
        gradients = torch.autograd.grad(terms.sum(), self.parameters, retain_graph=True)
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
        used = norm if clip is None else min(norm, clip)
        growth, kept = zip(*(self._journey(terms, layer) for layer in states), strict=True)
        return Measured(terms.sum().item(), norm, used, max(growth), min(kept))

    def _journey(self, terms: Tensor, states: list[State]) -> tuple[float, float]:
        """Growth and share kept in one layer."""
        T = len(states)
        if len(terms) == 1:
            norms = travel(terms[0], states)
            return _ratio(norms.max(), norms[-1]), _ratio(norms[0], norms[-1])
        seen = [(s, travel(terms[s], states[: s + 1])) for s in (T // 2, 3 * T // 4, T - 1)]
        growth = max(_ratio(norms.max(), norms[s]) for s, norms in seen)
        kept = np.mean([_rate(norms) for _, norms in seen])
        return growth, float(np.exp(kept))


def travel(term: Tensor, states: list[State]) -> np.ndarray:
    """Norm of the gradient of ``term`` at each of ``states``, [T]."""
    flat = [each for state in states for each in state]
    found = torch.autograd.grad(term, flat, retain_graph=True, allow_unused=True)
    norms = [0.0 if each is None else float(each.norm()) for each in found]
    return np.linalg.norm(np.array(norms).reshape(len(states), -1), axis=1)


def _run(cell: nn.Module, inputs: list[Tensor]) -> list[State]:
    """The states of one layer. c is handed on as a view of itself, so that its gradient is what comes along the cell
    and not also what reaches it through h of the same timestep."""
    states: list[State] = []
    before: State | None = None
    for x_t in inputs:
        found = cell(x_t, before if before is None or len(before) > 1 else before[0])
        before = (found[0], found[1].view_as(found[1])) if isinstance(found, tuple) else (found,)
        states.append(before)
    return states


def _cell(layer: nn.RNNBase, number: int) -> nn.Module:
    inputs = layer.input_size if number == 0 else layer.hidden_size
    if isinstance(layer, nn.RNN):
        return nn.RNNCell(inputs, layer.hidden_size, nonlinearity=layer.nonlinearity, dtype=torch.float64)
    kind = nn.LSTMCell if isinstance(layer, nn.LSTM) else nn.GRUCell
    return kind(inputs, layer.hidden_size, dtype=torch.float64)


def _rate(norms: np.ndarray) -> float:
    """ln of what is left per timestep, on average over the first ``LAGS`` timesteps back."""
    back = min(LAGS, len(norms) - 1)
    share = _ratio(norms[-1 - back], norms[-1])
    return math.log(share) / back if share > 0 else (-math.inf if share == 0 else math.nan)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else math.nan
