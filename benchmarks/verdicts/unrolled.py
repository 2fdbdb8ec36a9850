"""A recurrent layer as a Python loop over torch's cells in float64, and what autograd says of the way back."""

import numpy as np
import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]  # h, or h and c


def states(layer: nn.RNNBase, x: Tensor) -> list[list[State]]:
    """By layer the state after each timestep, for inputs [T, N, I], one direction."""
    inputs, found = list(x.detach().double()), []
    for number in range(layer.num_layers):
        found.append(_run(_cell(layer, number), inputs))
        inputs = [state[0] for state in found[-1]]
    return found


def growth_and_share(layer: nn.RNNBase, x: Tensor, sent: Tensor) -> tuple[float, float]:
    """Of what the last timestep sends back, [N, H] at h of the top layer: the largest growth of its norm on the way to
    timestep 0, and the share that reaches timestep 0; by layer, the largest growth and the smallest share."""
    found = states(layer, x)
    end = (found[-1][-1][0] * sent.double()).sum()
    norms = [gradient_norms(end, each) for each in found]
    growth = max(_ratio(each.max(), each[-1]) for each in norms)
    return growth, min(_ratio(each[0], each[-1]) for each in norms)


def gradient_norms(end: Tensor, found: list[State]) -> np.ndarray:
    """Norm of the gradient of ``end`` at each of the states, [T]."""
    flat = [each for state in found for each in state]
    gradients = torch.autograd.grad(end, flat, retain_graph=True, allow_unused=True)
    norms = [0.0 if each is None else float(each.norm()) for each in gradients]
    return np.linalg.norm(np.array(norms).reshape(len(found), -1), axis=1)


def _run(cell: nn.Module, inputs: list[Tensor]) -> list[State]:
    """The states of one layer. c is handed on as a view of itself, so that its gradient is what comes along the cell
    and not also what reaches it through h of the same timestep."""
    found: list[State] = []
    before: State | None = None
    for x_t in inputs:
        state = cell(x_t, before if before is None or len(before) > 1 else before[0])
        before = (state[0], state[1].view_as(state[1])) if isinstance(state, tuple) else (state,)
        found.append(before)
    return found


def _cell(layer: nn.RNNBase, number: int) -> nn.Module:
    """The cell of a layer, its parameters copied."""
    inputs = layer.input_size if number == 0 else layer.hidden_size
    about = {"bias": layer.bias, "dtype": torch.float64}
    if isinstance(layer, nn.RNN):
        cell: nn.Module = nn.RNNCell(inputs, layer.hidden_size, nonlinearity=layer.nonlinearity, **about)
    else:
        cell = (nn.LSTMCell if isinstance(layer, nn.LSTM) else nn.GRUCell)(inputs, layer.hidden_size, **about)
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            parameter.copy_(getattr(layer, f"{name}_l{number}"))
    return cell


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
