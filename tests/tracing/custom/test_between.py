"""Operations between two calls are part of the state's way: the gain goes through them, exactly."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from graddiag import schema
from graddiag.tracing.calls import Calls
from graddiag.tracing.custom import CellHooks, CellTrace, cell_signals, followed_cells
from graddiag.tracing.signals import Signals
from tests.tracing.custom.cells import H, Leaky, MinGru, N, Slstm, T, inputs

Between = Callable[[int, Tensor, Tensor], Tensor]
"""What is handed on of (timestep, state that was given, state that was returned)."""

_KEPT = torch.rand(T, N, 1, generator=torch.Generator().manual_seed(5)).gt(0.4).double()
_SCALES = torch.rand(T, N, H, dtype=torch.float64, generator=torch.Generator().manual_seed(6)) + 0.5
OPERATIONS: dict[str, Between] = {
    "scaled": lambda t, given, h: h * _SCALES[t],
    "clone": lambda t, given, h: h.clone(),
    "view": lambda t, given, h: h.view(-1).view(N, H),
    "clamp": lambda t, given, h: h.clamp(-0.4, 0.4),
    "padding": lambda t, given, h: _KEPT[t] * h + (1 - _KEPT[t]) * given,
    "where": lambda t, given, h: torch.where(_KEPT[t] > 0, h, given),
    "stacked": lambda t, given, h: torch.stack((h, given))[0],
    "indexed": lambda t, given, h: h[torch.tensor([1, 0, 3, 2])],
    "mixed": lambda t, given, h: h @ torch.eye(H, dtype=h.dtype).mul(0.9) + 0.1,
}


def follow(model: nn.Module, run: Callable[[], Tensor], *, credit: bool = False) -> list[CellTrace]:
    hooks = CellHooks(model, followed_cells(model, model), lambda name, task: task(), Calls())
    hooks.start(credit=credit)
    run().backward()
    traces = hooks.take()
    hooks.close()
    return traces


def signals_of(traces: list[CellTrace]) -> Signals:
    (trace,) = traces
    return cell_signals(trace)


def leaky() -> nn.Module:
    torch.manual_seed(0)
    return Leaky().double()


def looped(cell: nn.Module, between: Between) -> tuple[list[Tensor], list[Tensor]]:
    """The states that the calls were given, one more for the last operation, and those that they returned."""
    given, returned = [torch.zeros(N, H, dtype=torch.float64)], []
    for t, x_t in enumerate(inputs(torch.float64)):
        returned.append(cell(x_t, given[-1]))
        given.append(between(t, given[-1], returned[-1]))
    return given, returned


def loss(returned: list[Tensor]) -> Tensor:
    return returned[-1].square().sum() + 0.3 * returned[2].sum()


def expected(cell: nn.Module, between: Between) -> tuple[Tensor, Tensor]:
    """Total gradients and gains [T]: the gradient of (h_t, what goes past call t) sent on by full Jacobians."""
    given, returned = looped(cell, between)
    for each in returned:
        each.retain_grad()
    loss(returned).backward()
    total = torch.stack([torch.zeros_like(h) if h.grad is None else h.grad for h in returned])
    states, before = [h.detach() for h in returned], [h.detach() for h in given]
    leaves = [h.clone().requires_grad_() for h in states]
    loss(leaves).backward()
    came = past = torch.zeros(N * H, dtype=torch.float64)
    gains = torch.zeros(T, dtype=torch.float64)
    for t in reversed(range(T)):
        at = came if leaves[t].grad is None else came + leaves[t].grad.flatten()
        x_t = inputs(torch.float64)[t]
        size = torch.cat((at, past)).norm()
        J = torch.autograd.functional.jacobian(lambda h, x_t=x_t: cell(x_t, h), before[t]).reshape(N * H, N * H)
        sent = J.T @ at + past
        came, past = sent, torch.zeros_like(sent)
        if t:

            def handed(b: Tensor, h: Tensor, t: int = t) -> Tensor:
                return between(t - 1, b, h)

            of = torch.autograd.functional.jacobian(handed, (before[t - 1], states[t - 1]))
            past, came = (part.reshape(N * H, N * H).T @ sent for part in of)
        gains[t] = torch.cat((came, past)).norm() / size
    return total, gains


@pytest.mark.parametrize("between", OPERATIONS.values(), ids=OPERATIONS)
def test_totals_and_gains_through_an_operation(between: Between) -> None:
    total, gains = expected(leaky(), between)
    cell = leaky()
    found = signals_of(follow(cell, lambda: loss(looped(cell, between)[1])))
    torch.testing.assert_close(found.timesteps[schema.GRAD_H], total.flatten(1).norm(dim=1), rtol=1e-10, atol=0)
    # what goes past the first call ends at a constant, which autograd sends nothing to
    known = slice(2 if between in (OPERATIONS["padding"], OPERATIONS["where"]) else 0, T)
    torch.testing.assert_close(found.timesteps[schema.TRANSPORT_GAIN][known], gains[known], rtol=1e-10, atol=0)
    assert not found.missing[schema.TRANSPORT_GAIN].any()


def test_the_credit_matrix_through_an_operation() -> None:
    """Its rows are those of losses at single timesteps."""
    cell, between = leaky(), OPERATIONS["padding"]
    (trace,) = follow(cell, lambda: sum(h.square().sum() for h in looped(cell, between)[1]), credit=True)
    for s in range(T):
        _, returned = looped(cell, between)
        for each in returned:
            each.retain_grad()
        returned[s].square().sum().backward()
        found = torch.stack([torch.zeros(()).double() if h.grad is None else h.grad.norm() for h in returned])
        torch.testing.assert_close(trace.credit[s, : s + 1], found[: s + 1], rtol=1e-10, atol=1e-14)


def test_a_mask_that_ends_an_episode_ends_the_memory_of_that_sample() -> None:
    """Its gradient is not carried on, and is no part of the gain; the others' is."""
    ended = torch.ones(T, N, 1, dtype=torch.float64)
    ended[2, 1] = ended[3, 0] = 0.0
    cell = leaky()
    found = signals_of(follow(cell, lambda: loss(looped(cell, lambda t, given, h: h * ended[t])[1])))
    alone = leaky()
    kept = slice(2, N)  # samples without an end
    bare = signals_of(
        follow(alone, lambda: loss([h[kept] for h in looped(alone, lambda t, given, h: h * 1.0)[1]]))
    )  # fmt: skip
    gains = found.timesteps[schema.TRANSPORT_GAIN]
    assert bool((gains[1:] > 0.6).all()), "a leak of 0.7 and a little more"
    at = 3  # the call whose given state was reset for sample 1: of the others the gain is an average of their own
    assert bool((gains[at] - bare.timesteps[schema.TRANSPORT_GAIN][at]).abs() < 0.05)


def test_every_sample_reset_is_no_gain() -> None:
    cell = leaky()
    run = lambda: loss(looped(cell, lambda t, given, h: h * (0.0 if t == 3 else 1.0))[1])  # noqa: E731
    missing = signals_of(follow(cell, run)).missing[schema.TRANSPORT_GAIN]
    assert missing.tolist() == [t in (3, 4) for t in range(T)], "nothing reaches 3, and 4 sends nothing on"


def test_a_detach_begins_a_new_sequence() -> None:
    cell = leaky()
    given = lambda t, given, h: h.detach() if t == 2 else h  # noqa: E731
    hooks = CellHooks(cell, followed_cells(cell, cell), lambda name, task: task(), Calls())
    hooks.start()
    torch.stack(looped(cell, given)[1]).sum().backward()
    traces = hooks.take()
    assert [(trace.key.call, len(trace.steps)) for trace in traces] == [(0, 3), (1, 3)]
    assert hooks.detached == {"": 1}


def test_two_continuations_of_one_state() -> None:
    """One goes on as the sequence, the other begins a sequence; the total at the branch is that of both."""
    cell, x = leaky(), inputs(torch.float64)
    prefix = cell(x[0], torch.zeros(N, H).double())
    prefix.retain_grad()
    (cell(x[1], prefix).square().sum() + 2 * cell(x[2], prefix).square().sum()).backward()

    def run() -> Tensor:
        prefix = cell(x[0], torch.zeros(N, H).double())
        return cell(x[1], prefix).square().sum() + 2 * cell(x[2], prefix).square().sum()

    first, second = follow(cell, run)
    assert (len(first.steps), len(second.steps)) == (2, 1)
    torch.testing.assert_close(first.steps[0].total[0], prefix.grad, rtol=1e-12, atol=0)


@pytest.mark.parametrize("passes", ["retain_graph", "two losses", "accumulated"])
def test_several_backward_passes_are_added(passes: str) -> None:
    cell = leaky()

    def run() -> list[Tensor]:
        return looped(cell, OPERATIONS["padding"])[1]

    whole = signals_of(follow(cell, lambda: loss(run())))
    hooks = CellHooks(cell, followed_cells(cell, cell), lambda name, task: task(), Calls())
    hooks.start()
    states = run()
    if passes == "retain_graph":
        (0.25 * loss(states)).backward(retain_graph=True)
        (0.75 * loss(states)).backward()
    elif passes == "two losses":
        states[-1].square().sum().backward(retain_graph=True)
        (0.3 * states[2].sum()).backward()
    else:
        loss(states).backward()
        loss(run()).backward()
    traces = hooks.take()
    assert len(traces) == (2 if passes == "accumulated" else 1)
    for trace in traces:
        found = cell_signals(trace)
        for name in (schema.GRAD_H, schema.TRANSPORT_GAIN, schema.GRAD_H_DIRECT):
            torch.testing.assert_close(found.timesteps[name], whole.timesteps[name], rtol=1e-10, atol=1e-13)


def test_calls_that_get_no_gradient_are_not_of_the_sequence() -> None:
    cell = leaky()
    (trace,) = follow(cell, lambda: looped(cell, OPERATIONS["clone"])[1][2].sum())
    assert len(trace.steps) == 3
    with torch.no_grad():
        looped(cell, OPERATIONS["clone"])
    assert [len(steps) for steps in (trace.steps,)] == [3]


def test_hooks_of_the_user_on_the_state_are_part_of_the_gradient() -> None:
    """A clamp in a tensor hook: the total is the clamped one, and so is what is sent on."""
    cell = leaky()

    def run() -> Tensor:
        _, returned = looped(cell, OPERATIONS["clone"])
        returned[3].register_hook(lambda grad: grad.clamp(-0.01, 0.01))
        return loss(returned)

    found = signals_of(follow(cell, run)).timesteps[schema.GRAD_H]
    cell.zero_grad()
    _, returned = looped(cell, OPERATIONS["clone"])
    returned[3].register_hook(lambda grad: grad.clamp(-0.01, 0.01))
    for each in returned:
        each.retain_grad()
    loss(returned).backward()
    torch.testing.assert_close(found, torch.stack([h.grad.norm() for h in returned]), rtol=1e-12, atol=0)


@pytest.mark.parametrize("make", [MinGru, Slstm])
def test_what_lies_beside_the_state_is_no_part_of_it(make: type[nn.Module]) -> None:
    """A loss on the output of the cell is an immediate gradient of the state, as autograd has it."""
    torch.manual_seed(0)
    cell = make().double()
    begin = torch.zeros(N, H).double()
    state = begin if make is MinGru else (begin, begin, begin + 1, begin)

    def run() -> tuple[Tensor, list[Tensor]]:
        at, outputs, states = state, [], []
        for x_t in inputs(torch.float64):
            output, at = cell(x_t, at)
            outputs.append(output)
            states.append(at if isinstance(at, Tensor) else at[0])
        return torch.stack(outputs).square().sum(), states

    found = signals_of(follow(cell, lambda: run()[0])).timesteps[schema.GRAD_H]
    cell.zero_grad()
    total, states = run()
    for each in states:
        each.retain_grad()
    total.backward()
    torch.testing.assert_close(found, torch.stack([h.grad.norm() for h in states]), rtol=1e-12, atol=0)
    assert all(a is not b for a, b in pairwise(states))
