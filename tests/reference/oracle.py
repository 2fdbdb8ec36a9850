"""The truth that graddiag is held against: a recurrent network unrolled by hand, timestep by timestep, under autograd.

Nothing here comes from graddiag. Every tensor whose gradient is asked for is kept with ``retain_grad``; a tensor that
is used in two places is copied first, so that each path has a gradient of its own:

    h      the state: its gradient is the total dL/dh_t
    h_out  what the layer above, the loss and h_n see: the immediate dL/dh_t
    c      the cell state (LSTM): the total dL/dc_t
    c_next what the next timestep and c_n see: the part of dL/dc_t that came along the cell
    a      pre-activations at the input's side: delta_t
    w_hh   the copy of the recurrent weight that timestep t uses: G_t

Layouts as in torch: x [T, N, I], states [N, H], rows i f g o (LSTM) and r z n (GRU).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

KEPT = ("h", "h_out", "c", "c_next", "a", "w_hh")
Parameters = Mapping[str, Tensor]
State = tuple[Tensor, Tensor | None]

PHI: dict[str, Callable[[Tensor], Tensor]] = {
    "rnn_tanh": torch.tanh,
    "rnn_relu": torch.relu,
    "rnn_sigmoid": torch.sigmoid,
    "rnn_identity": lambda a: a * 1,
    "rnn_truncated-relu": lambda a: torch.nn.functional.hardtanh(a, 0.0, 20.0),
}
GATES = {"lstm": 4, "gru": 3}


@dataclass(frozen=True)
class Tape:
    """One layer in one direction: what each timestep kept, in the order of the data."""

    steps: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def value(self, name: str) -> Tensor:
        """[T, ...]: the kept tensors themselves."""
        return torch.stack([self.steps[t][name].detach() for t in sorted(self.steps)])

    def grad(self, name: str) -> Tensor:
        """[T, ...]: their gradients; 0 where the loss does not reach."""
        kept = [self.steps[t][name] for t in sorted(self.steps)]
        return torch.stack([torch.zeros_like(one) if one.grad is None else one.grad for one in kept])


@dataclass(frozen=True)
class Unrolled:
    """Results as torch.nn's modules give them (h_n and c_n [L*D, N, H]) and the tape of each (layer, direction)."""

    output: Tensor
    h_n: Tensor
    c_n: Tensor | None
    tapes: dict[tuple[int, str], Tape]


def unroll(
    kind: str, parameters: Parameters, x: Tensor, h0: Tensor | None = None, c0: Tensor | None = None
) -> Unrolled:
    """Runs the network of ``parameters`` (named as torch's) over x [T, N, I], from zero states unless given."""
    directions = ("forward", "reverse") if "weight_hh_l0_reverse" in parameters else ("forward",)
    layers = sum(name.startswith("weight_hh") for name in parameters) // len(directions)
    size = (layers * len(directions), x.shape[1], parameters["weight_hh_l0"].shape[1])
    h0 = x.new_zeros(size) if h0 is None else h0
    c0 = x.new_zeros(size) if c0 is None else c0
    tapes: dict[tuple[int, str], Tape] = {}
    last: list[State] = []
    for layer in range(layers):
        outputs = []
        for direction in directions:
            first = (h0[len(last)], c0[len(last)])
            tape, state = _layer(kind, _weights(parameters, layer, direction), x, first, direction == "reverse")
            tapes[layer, direction] = tape
            last.append(state)
            outputs.append(torch.stack([tape.steps[t]["h_out"] for t in range(len(x))]))
        x = torch.cat(outputs, dim=-1)
    c_n = torch.stack([c for _, c in last if c is not None]) if kind == "lstm" else None
    return Unrolled(x, torch.stack([h for h, _ in last]), c_n, tapes)


def _weights(parameters: Parameters, layer: int, direction: str) -> Parameters:
    suffix = f"_l{layer}" + ("_reverse" if direction == "reverse" else "")
    return {name.removesuffix(suffix): p for name, p in parameters.items() if name.endswith(suffix)}


def _layer(kind: str, weights: Parameters, x: Tensor, first: State, reverse: bool) -> tuple[Tape, State]:
    tape = Tape()
    h, c = first
    order = range(len(x) - 1, -1, -1) if reverse else range(len(x))
    for t in order:
        kept = cell(kind, weights, x[t], (h, c))
        tape.steps[t] = {name: kept[name] for name in KEPT if name in kept}
        h, c = kept["h_next"], kept.get("c_next")
    return tape, (kept["h_out"], kept.get("c_next"))


def cell(kind: str, weights: Parameters, x: Tensor, state: State) -> dict[str, Tensor]:
    """One timestep: x [N, I] and the state before it to every tensor named at the head of this file."""
    h, c = state
    w_hh = _kept(weights["weight_hh"])
    zero = w_hh.new_zeros(len(w_hh))
    a_x = x @ weights["weight_ih"].T + weights.get("bias_ih", zero)
    a_h = h @ w_hh.T + weights.get("bias_hh", zero)
    if kind == "gru":
        a = _kept(a_x)
        (r_x, z_x, n_x), (r_h, z_h, n_h) = a.chunk(3, -1), a_h.chunk(3, -1)
        r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        kept = {"r": r, "z": z, "n": torch.tanh(n_x + r * n_h)}
        h = _kept((1 - z) * kept["n"] + z * h)
    elif kind == "lstm":
        a = _kept(a_x + a_h)
        i, f, o = (torch.sigmoid(a.chunk(4, -1)[row]) for row in (0, 1, 3))
        kept = {"i": i, "f": f, "g": torch.tanh(a.chunk(4, -1)[2]), "o": o}
        kept["c"] = _kept(f * c + i * kept["g"])
        kept["c_next"] = _kept(kept["c"])
        h = _kept(o * torch.tanh(kept["c"]))
    else:
        biases = weights.get("bias_ih", zero) + weights.get("bias_hh", zero)
        normed = "weight_ln" in weights
        a = _kept(x @ weights["weight_ih"].T + h @ w_hh.T if normed else a_x + a_h)
        y = torch.layer_norm(a, a.shape[-1:], weights["weight_ln"]) + biases if normed else a
        kept = {"phi": PHI[kind.replace("residual_", "")](y)}
        h = _kept(kept["phi"] + h if "residual" in kind else kept["phi"])
    return kept | {"a": a, "w_hh": w_hh, "h": h, "h_out": _kept(h), "h_next": h}


def _kept(tensor: Tensor) -> Tensor:
    copy = tensor.clone()
    if copy.requires_grad:
        copy.retain_grad()
    return copy


def transport_gains(kind: str, weights: Parameters, x: Tensor, tape: Tape, first: State) -> Tensor:
    """[T]: ||J_t^T lambda_t|| / ||lambda_t|| over batch and units, J_t by autograd through one timestep alone.

    lambda_t is the gradient that arrives at (h_t, c_t), what reaches c_t through h_t left to J_t; forward direction.
    """
    gains = []
    for t in range(len(x)):
        before = first if t == 0 else tuple(tape.steps[t - 1].get(name) for name in ("h", "c"))
        states = [s.detach().requires_grad_() for s in before if s is not None and (kind == "lstm" or s is before[0])]
        after = cell(kind, {n: p.detach() for n, p in weights.items()}, x[t].detach(), (states[0], states[-1]))
        names = {"h": "h", "c": "c_next"} if kind == "lstm" else {"h": "h"}
        arriving = [tape.grad(name)[t] for name in names.values()]
        sent = torch.autograd.grad([after[name] for name in names], states, arriving)
        gains.append(_norm(sent) / _norm(arriving))
    return torch.stack(gains)


def _norm(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors]).norm()


def assert_exact(actual: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    """Each timestep (the first axis) agrees to ``tolerance``, relative to the norm of what is expected there."""
    assert actual.shape == expected.shape
    error = (actual.double() - expected.double()).flatten(1).norm(dim=1)
    scale = expected.double().flatten(1).norm(dim=1)
    assert bool((error <= tolerance * scale).all()), f"relative error by timestep: {(error / scale).tolist()}"
