"""Loops that put an operation between two calls, with the truth by autograd: total gradients and gains."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

N, I, H, T = 4, 3, 5, 7
F64 = torch.float64

State = tuple[Tensor, ...]
Operation = Callable[[int, State], State]
Call = Callable[[Tensor, State], State]


def drawn(t: int, *shape: int) -> Tensor:
    """The same numbers at each call for one t and shape."""
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(100 + t))


def each(change: Callable[[int, Tensor], Tensor]) -> Operation:
    """One operation on every tensor of the state."""
    return lambda t, state: tuple(change(t, one) for one in state)


def _dropout(t: int, h: Tensor) -> Tensor:
    torch.manual_seed(t)
    return F.dropout(h, 0.3)


def _attention(t: int, h: Tensor) -> Tensor:
    memory = drawn(t, N, 3, H)
    weights = torch.softmax(torch.einsum("...nh,nkh->...nk", h, memory), -1)
    return torch.tanh(h + torch.einsum("...nk,nkh->...nh", weights, memory))


def _reset(t: int, h: Tensor) -> Tensor:
    h = h.clone()
    h[..., torch.arange(N) == 5, :] = 0.0
    return h * 0.9


def _swapped(t: int, state: State) -> State:
    mixed = torch.stack(state).mean(0, keepdim=True)
    return tuple(one + 0.2 * mixed[0] for one in state)


OPERATIONS: dict[str, Operation] = {
    "mask of units": each(lambda t, h: h * (drawn(t, *h.shape) > -1)),
    "dropout": each(_dropout),
    "clone": each(lambda t, h: h.clone()),
    "clamp": each(lambda t, h: h.clamp(-0.15, 0.15)),
    "scale": each(lambda t, h: 0.7 * h),
    "noise": each(lambda t, h: h + 0.1 * drawn(t, *h.shape)),
    "constant mixture": each(lambda t, h: 0.8 * h + 0.2 * drawn(t, *h.shape)),
    "where": each(lambda t, h: torch.where(drawn(t, *h.shape) > -1, h, 0.1)),
    "masked_fill": each(lambda t, h: h.masked_fill(drawn(t, *h.shape) > 1, 0.0)),
    "stack and index": each(lambda t, h: torch.stack([h.detach(), h])[1]),
    "cat and narrow": each(lambda t, h: torch.cat([h.detach(), h], -1)[..., H:]),
    "chunk": each(lambda t, h: torch.cat([h, h], -1).chunk(2, -1)[0]),
    "views": each(lambda t, h: h.unsqueeze(0).transpose(-1, -2).contiguous().transpose(-1, -2)[0]),
    "order of samples": each(lambda t, h: h.index_select(-2, torch.tensor([2, 0, 3, 1]))),
    "attention": each(_attention),
    "linear": each(lambda t, h: h @ (0.5 * drawn(9, H, H))),
    "layer norm": each(lambda t, h: F.layer_norm(h, (H,))),
    "relu": each(lambda t, h: F.relu(h + 0.2)),
    "reset in place": each(_reset),
    "h and c together": _swapped,
    "gradient scaled": each(lambda t, h: 0.5 * h + (0.5 * h).detach()),
}


def inputs(length: int = 1) -> list[Tensor]:
    """x of each call: [N, I] for a cell, [length, N, I] for a layer."""
    generator = torch.Generator().manual_seed(1)
    shape = (N, I) if length == 0 else (length, N, I)
    return [torch.randn(*shape, dtype=F64, generator=generator) for _ in range(T)]


def as_state(hx: object) -> State:
    return (hx,) if isinstance(hx, Tensor) else tuple(hx)  # type: ignore[arg-type]


def call_of(module: nn.Module) -> Callable[[Tensor, State | None], tuple[Tensor, State]]:
    """A cell or a layer: (x, state) to (output, state)."""

    def call(x: Tensor, state: State | None) -> tuple[Tensor, State]:
        hx = state[0] if state is not None and len(state) == 1 else state
        result = module(x, hx)
        if isinstance(module, nn.RNNCellBase):
            found = as_state(result)
            return found[0], found
        return result[0], as_state(result[1])

    return call


def loss_of(outputs: Sequence[Tensor], every: bool) -> Tensor:
    return sum((out.square().sum() + 0.3 * out.sum() for out in (outputs if every else outputs[-1:])), torch.zeros(()))


def run(module: nn.Module, operation: Operation, every: bool, length: int) -> Tensor:
    """The loss of a loop as a user writes it."""
    call, state, outputs = call_of(module), None, []
    for t, x in enumerate(inputs(length)):
        output, state = call(x, state if state is None else operation(t, state))
        outputs.append(output)
    return loss_of(outputs, every)


def truth(
    module: nn.Module, operation: Operation, every: bool, length: int, *, with_gains: bool = True
) -> tuple[list[State], list[float]]:
    """By call the gradient of each state that it returned, h in total and c less what reached it through h; and from
    the second call on ||J^T lambda|| / ||lambda|| of call and operation together. For calls of one timestep."""
    call, state, outputs, kept = call_of(module), None, [], []
    for t, x in enumerate(inputs(length)):
        _, state = call(x, state if state is None else operation(t, state))
        # one tensor for the loss and the next call alike, whose gradient is the total
        state = tuple(one.clone() for one in state)
        for one in state:
            one.retain_grad()
        kept.append(state)
        outputs.append(state[0])
    loss_of(outputs, every).backward()
    grads = [tuple(torch.zeros_like(s) if s.grad is None else s.grad for s in one) for one in kept]
    gains = []
    for t in range(1, T) if with_gains else ():
        before = tuple(s.detach().requires_grad_() for s in kept[t - 1])
        _, after = call(inputs(length)[t], operation(t, before))
        sent = torch.autograd.grad(after, before, grads[t], allow_unused=True)
        gains.append(float(_norm(sent) / _norm(grads[t])))
    module.zero_grad()
    return grads, gains


def _norm(tensors: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([each.flatten() for each in tensors if each is not None]).norm()
