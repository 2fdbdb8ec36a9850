"""What a tapped state sends to the one tapped before is its gain; the rest of the gradient there is immediate."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from graddiag.tracing.signals import Signals
from graddiag.tracing.taps import Taps
from tests.tracing.custom.cells import H, Leaky, MinGru, N, T, inputs

Step = Callable[[nn.Module, Tensor, Tensor], Tensor]
LOOPS: dict[str, tuple[type[nn.Module], Step]] = {
    "leaky": (Leaky, lambda cell, x, h: cell(x, h)),
    "min-gru": (MinGru, lambda cell, x, h: cell(x, h)[1]),
    "fed back": (Leaky, lambda cell, x, h: cell(x + 0.1 * h[:, :1], h * 0.9)),
    "residual": (Leaky, lambda cell, x, h: h + torch.stack((cell(x, h), h)).mean(0)),
}
each_loop = pytest.mark.parametrize(("make", "step"), LOOPS.values(), ids=LOOPS)


def made(make: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().double()


def unrolled(cell: nn.Module, step: Step, tap: Callable[[Tensor], Tensor]) -> list[Tensor]:
    h, states = torch.zeros(N, H).double(), []
    for x_t in inputs(torch.float64):
        h = tap(step(cell, x_t, h))
        states.append(h)
    return states


def loss(states: list[Tensor]) -> Tensor:
    return states[-1].square().sum() + 0.3 * states[2].sum() + 0.1 * states[3].square().sum()


def tapped(make: type[nn.Module], step: Step, of: Callable[[list[Tensor]], Tensor] = loss) -> Signals:
    taps = Taps()
    taps.start()
    of(unrolled(made(make), step, lambda h: taps.tap("loop", h))).backward()
    (found,) = taps.take()
    return found


@each_loop
def test_gain_and_immediate_gradient(make: type[nn.Module], step: Step) -> None:
    found, cell = tapped(make, step), made(make)
    states = unrolled(cell, step, lambda h: h)
    for h in states:
        h.retain_grad()
    loss(states).backward()
    leaves = [h.detach().requires_grad_() for h in states]
    loss(leaves).backward()
    x = inputs(torch.float64)
    for t in range(T):
        total = states[t].grad
        assert found.timesteps[schema.GRAD_H][t].item() == pytest.approx(total.norm().item(), rel=1e-12)
        immediate = 0.0 if leaves[t].grad is None else leaves[t].grad.norm().item()
        assert found.timesteps[schema.GRAD_H_DIRECT][t].item() == pytest.approx(immediate, rel=1e-10, abs=1e-15)
        if t:
            J = torch.autograd.functional.jacobian(
                lambda h, t=t: step(cell, x[t], h), states[t - 1].detach()
            ).reshape(N * H, N * H)  # fmt: skip
            sent = (J.T @ total.flatten()).norm() / total.norm()
            assert found.timesteps[schema.TRANSPORT_GAIN][t].item() == pytest.approx(sent.item(), rel=1e-10)
    assert found.missing[schema.TRANSPORT_GAIN].tolist() == [t == 0 for t in range(T)], "nothing was tapped before it"


def test_a_detach_has_no_gain_and_a_reset_sample_no_part_in_it() -> None:
    ended = torch.ones(N, 1).double()
    ended[1] = 0.0
    steps = iter(range(T))

    def step(cell: nn.Module, x: Tensor, h: Tensor) -> Tensor:
        t = next(steps)
        return cell(x, h.detach() if t == 4 else h * ended if t == 2 else h)

    found = tapped(Leaky, step, lambda states: states[-1].square().sum() + states[3].square().sum())
    assert found.missing[schema.TRANSPORT_GAIN].tolist() == [t in (0, 4) for t in range(T)]
    assert bool((found.timesteps[schema.TRANSPORT_GAIN][[1, 2, 3, 5]] > 0.6).all())


def test_a_state_that_depends_on_several_tapped_before_has_no_gain() -> None:
    """Of an LSTM's h alone: c, which is not tapped, leads past the last h to those before it."""
    torch.manual_seed(0)
    cell, taps = nn.LSTMCell(3, H).double(), Taps()
    taps.start()
    state, outputs = (torch.zeros(N, H).double(), torch.zeros(N, H).double()), []
    for x_t in inputs(torch.float64):
        state = cell(x_t, state)
        outputs.append(taps.tap("h", state[0]))
    outputs[-1].square().sum().backward()
    (found,) = taps.take()
    gap = found.missing.get(schema.TRANSPORT_GAIN)
    assert gap is None or gap[2:].all()
    assert bool((found.timesteps[schema.GRAD_H] > 0).all())


def test_a_function_that_cannot_be_run_again_leaves_the_total_alone() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, h: Tensor) -> Tensor:
            return 2 * h

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:
            return 2 * grad

    found = tapped(Leaky, lambda cell, x, h: cell(x, 0.4 * Twice.apply(h)))
    assert schema.TRANSPORT_GAIN not in found.timesteps
    assert schema.GRAD_H_DIRECT not in found.timesteps
    assert bool((found.timesteps[schema.GRAD_H] > 0).all())


def test_several_passes_and_two_names() -> None:
    once = tapped(Leaky, LOOPS["leaky"][1])
    taps = Taps()
    taps.start()
    states = unrolled(made(Leaky), LOOPS["leaky"][1], lambda h: taps.tap("twice", taps.tap("loop", h)))
    (0.5 * loss(states)).backward(retain_graph=True)
    (0.5 * loss(states)).backward()
    found = taps.take()
    assert [each.key.module for each in found] == ["loop", "twice"]
    for each in found:
        for name in (schema.GRAD_H, schema.GRAD_H_DIRECT):
            torch.testing.assert_close(each.timesteps[name], once.timesteps[name], rtol=1e-12, atol=1e-15)
        gains = each.timesteps[schema.TRANSPORT_GAIN][1:]
        torch.testing.assert_close(gains, once.timesteps[schema.TRANSPORT_GAIN][1:], rtol=1e-12, atol=0)


@pytest.mark.parametrize("every", [1, 2])
def test_the_same_bits(every: int, tmp_path: Path) -> None:
    ends = []
    for watched in (False, True):
        torch.manual_seed(0)
        cell, head = Leaky(), nn.Linear(H, 1)
        model = nn.ModuleList([cell, head])
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        recorder = graddiag.watch(model, optimizer, run="r", root=tmp_path, every=every) if watched else None
        for _ in range(3):
            h, outputs = torch.zeros(N, H), []
            for x_t in torch.randn(T, N, 3):
                h = cell(x_t, h)
                h = h if recorder is None else recorder.tap("cell-loop", h)
                outputs.append(h)
            loss = head(nn.functional.dropout(torch.stack(outputs), 0.2)).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if recorder is not None:
            recorder.close()
        ends.append(nn.utils.parameters_to_vector(model.parameters()))
    assert torch.equal(*ends)
