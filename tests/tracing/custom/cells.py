"""Cells of many kinds that graddiag has no equations of, and what a brute-force unrolling says of their gradients."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

I, H, N, T = 3, 5, 4, 6
State = tuple[Tensor, ...]


class Leaky(nn.Module):
    """A leaky RNN of neuroscience; returns the next state alone."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Linear(I + H, H)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return 0.7 * h + 0.3 * torch.tanh(self.w(torch.cat((x, h), 1)))


class MinGru(nn.Module):
    """Returns the output first and the state behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.z, self.n, self.out = nn.Linear(I, H), nn.Linear(I, H), nn.Linear(H, 2)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.sigmoid(self.z(x))
        state = (1 - z) * state + z * self.n(x)
        return self.out(state), state


class ConvLstm(nn.Module):
    """States (h, c) of shape [N, C, 3, 3], given and returned as a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Conv2d(1 + 2, 8, 3, padding=1)

    def forward(self, x: Tensor, hx: State) -> State:
        h, c = hx
        plane = x.mean(1).view(-1, 1, 1, 1).expand(-1, 1, 3, 3)
        i, f, g, o = self.gates(torch.cat((plane, h), 1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Slstm(nn.Module):
    """The scalar LSTM with exponential gates (Beck et al., 2024): four tensors, and an output beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.h = nn.Linear(I, 4 * H), nn.Linear(H, 4 * H, bias=False)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c, n, m = state
        i, f, z, o = (self.x(x) + self.h(h)).chunk(4, 1)
        new_m = torch.maximum(f + m, i)
        i, f = torch.exp(i - new_m), torch.exp(f + m - new_m)
        c, n = f * c + i * torch.tanh(z), f * n + i
        h = torch.sigmoid(o) * c / n
        return h, (h, c, n, new_m)


class NormedLstm(nn.LSTMCell):
    """A subclass of torch's cell with its own forward, and h and c as arguments by name."""

    def __init__(self) -> None:
        super().__init__(I, H)
        self.norm = nn.LayerNorm(4 * H)

    def forward(self, x: Tensor, *, h: Tensor, c: Tensor) -> dict[str, Tensor]:
        a = self.norm(x @ self.weight_ih.t() + h @ self.weight_hh.t()) + self.bias_ih
        i, f, g, o = a.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return {"output": torch.sigmoid(o) * torch.tanh(c), "c": c}


class Lru(nn.Module):
    """A linear recurrent unit: a diagonal complex state."""

    def __init__(self) -> None:
        super().__init__()
        self.phase, self.size = nn.Parameter(torch.rand(H)), nn.Parameter(torch.randn(H))
        self.b = nn.Linear(I, 2 * H)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        factor = torch.polar(torch.sigmoid(self.size), 2 * math.pi * self.phase)
        re, im = self.b(x).chunk(2, 1)
        return factor * h + torch.complex(re, im)


class Dropped(nn.Module):
    """Dropout and batch norm inside: the generator and the buffers are part of the call."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.norm, self.drop = nn.Linear(I + H, H), nn.BatchNorm1d(H), nn.Dropout(0.3)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return 0.5 * h + torch.tanh(self.norm(self.drop(self.w(torch.cat((x, h), 1)))))


@dataclass(frozen=True)
class Case:
    """A kind of cell: how it is called, the states it begins from, and which of its state is h.

    call: the next state of (cell, x_t, state), as a tuple of tensors.
    """

    make: Callable[[], nn.Module]
    call: Callable[[nn.Module, Tensor, State], State]
    begin: tuple[tuple[int, ...], ...]
    settings: Any = None
    complex: bool = False
    random: bool = False


CASES = {
    "leaky": Case(Leaky, lambda cell, x, s: (cell(x, s[0]),), ((N, H),)),
    "min-gru": Case(MinGru, lambda cell, x, s: (cell(x, state=s[0])[1],), ((N, H),)),
    "conv-lstm": Case(ConvLstm, lambda cell, x, s: cell(x, s), ((N, 2, 3, 3),) * 2),
    "s-lstm": Case(Slstm, lambda cell, x, s: cell(x, state=s)[1], ((N, H),) * 4),
    "normed-lstm": Case(NormedLstm, lambda cell, x, s: tuple(cell(x, h=s[0], c=s[1]).values()), ((N, H),) * 2),
    "lru": Case(Lru, lambda cell, x, s: (cell(x, s[0]),), ((N, H),), complex=True),
    "dropped": Case(Dropped, lambda cell, x, s: (cell(x, s[0]),), ((N, H),), random=True),
}


def begin(case: Case, dtype: torch.dtype) -> State:
    """The same numbers in either precision."""
    made = torch.Generator().manual_seed(3)
    narrow = torch.complex64 if case.complex else torch.float32
    wide = {torch.float32: torch.complex64, torch.float64: torch.complex128}[dtype] if case.complex else dtype
    drawn = ((torch.randn(shape, dtype=narrow, generator=made) * 0.1).to(wide) for shape in case.begin)
    return tuple(each if case.complex else each.abs() for each in drawn)


def unroll(case: Case, cell: nn.Module, x: Tensor) -> list[State]:
    """The states that the calls returned, [T]."""
    state, states = begin(case, x.dtype), []
    for x_t in x:
        state = case.call(cell, x_t, state)
        states.append(state)
    return states


def inputs(dtype: torch.dtype, timesteps: int = T) -> Tensor:
    return torch.randn(timesteps, N, I, dtype=dtype, generator=torch.Generator().manual_seed(1))


def real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def loss_of(states: Sequence[State]) -> Tensor:
    """A loss at every timestep, most of it at the last; c has a part in it too."""
    weights = [1.0 if t == len(states) - 1 else 0.1 * (t + 1) for t in range(len(states))]
    return sum(
        (
            w * (real(part).square().sum() + 0.5 * real(part).sum())
            for w, s in zip(weights, states, strict=True)
            for part in s
        ),
        start=torch.zeros((), dtype=real(states[0][0]).dtype),
    )


@dataclass(frozen=True)
class Truth:
    """By brute force. total: dL/ds_t by autograd, immediate: with the states as leaves, both [T] tuples. gain [T].
    rows: ||dL_s/dh_t||, [T, T], NaN for t > s."""

    total: list[State]
    immediate: list[State]
    gain: Tensor
    rows: Tensor


def truth(case: Case, cell: nn.Module, x: Tensor, loss: Callable[[Sequence[State]], Tensor] = loss_of) -> Truth:
    """The gradients of an unrolled cell: each J_t is a full Jacobian, by which the gradient is multiplied."""
    total = _totals(case, cell, x, loss)
    states = [tuple(part.detach() for part in s) for s in unroll(case, cell, x)]
    leaves = [tuple(part.clone().requires_grad_() for part in s) for s in states]
    loss(leaves).backward()
    immediate = [tuple(torch.zeros_like(p) if p.grad is None else p.grad for p in s) for s in leaves]
    jacobians = [_jacobian(case, cell, x_t, s) for x_t, s in zip(x, [begin(case, x.dtype), *states[:-1]], strict=True)]
    flat = [_flat(each) for each in immediate]
    gain, arriving = torch.zeros(len(x), dtype=x.dtype), torch.zeros_like(flat[0])
    for t in reversed(range(len(x))):
        at = flat[t] + arriving
        arriving = jacobians[t].T @ at
        gain[t] = arriving.norm() / at.norm()
    rows = torch.full((len(x), len(x)), torch.nan, dtype=x.dtype)
    for s in range(len(x)):
        vector = flat[s]
        for t in range(s, -1, -1):
            rows[s, t] = vector[: real(states[t][0]).numel()].norm()
            vector = jacobians[t].T @ vector
    return Truth(total, immediate, gain, rows)


def _totals(case: Case, cell: nn.Module, x: Tensor, loss: Callable[[Sequence[State]], Tensor]) -> list[State]:
    states = unroll(case, cell, x)
    for s in states:
        for part in s:
            part.retain_grad()
    loss(states).backward()
    cell.zero_grad()
    return [tuple(torch.zeros_like(part) if part.grad is None else part.grad for part in s) for s in states]


def _flat(state: State) -> Tensor:
    return torch.cat([real(part).flatten() for part in state])


def _jacobian(case: Case, cell: nn.Module, x_t: Tensor, state: State) -> Tensor:
    """d s_t / d s_{t-1}, with complex numbers as pairs."""
    shapes = [real(part).shape for part in state]

    def step(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        found = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        given = tuple(torch.view_as_complex(p.contiguous()) if case.complex else p for p in found)
        return _flat(case.call(cell, x_t, given))

    return torch.autograd.functional.jacobian(step, _flat(state))
