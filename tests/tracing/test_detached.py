"""A state that is cut off its graph inside a step is reported, and no other state is."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema

T, N, H, STEPS = 6, 4, 5, 3
Step = Callable[["Cell", Tensor], list[Tensor]]


class Cell(nn.Module):
    """An LSTM cell, a GRU that is called on parts of a sequence, a decoder, and an initial state that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.gru, self.decoder = nn.LSTMCell(3, H), nn.GRU(3, H), nn.GRU(3, H)
        self.h0 = nn.Parameter(torch.randn(1, 1, H))

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


def events_of(root: Path, step: Step) -> list[tuple[int, str, float]]:
    """Where states were cut off: step, module, how often. A ``step`` gives the losses of its updates."""
    torch.manual_seed(0)
    model = Cell()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with graddiag.watch(model, optimizer, run="r", root=root) as recorder:
        for _ in range(STEPS):
            for loss in step(model, torch.randn(T, N, 3)):
                optimizer.zero_grad()
                loss.backward()
                recorder.log(loss=loss)
                optimizer.step()
    events = graddiag.load_run(root / "r").events
    rows = events[events[schema.KIND] == schema.EVENT_STATE_DETACHED]
    return [tuple(row) for row in rows[[schema.STEP, schema.WHERE, schema.VALUE]].values.tolist()]


def by_cell(between: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]) -> Step:
    """Calls the cell at each timestep, with ``between`` on its states before timestep t."""

    def step(model: Cell, x: Tensor) -> list[Tensor]:
        state = (x.new_zeros(N, H), x.new_zeros(N, H))
        total = x.new_zeros(())
        for t, given in enumerate(x):
            state = model.cell(given, between(*state, t) if t else state)
            total = total + state[0].square().mean()
        return [total]

    return step


def by_parts(cut: Callable[[Tensor], Tensor]) -> Step:
    """Calls the GRU on either half of the sequence, one loss on both."""

    def step(model: Cell, x: Tensor) -> list[Tensor]:
        first, state = model.gru(x[: T // 2])
        second, _ = model.gru(x[T // 2 :], cut(state))
        return [first.square().mean() + second.square().mean()]

    return step


def begun_without_graph(model: Cell, x: Tensor) -> list[Tensor]:
    """The first half of the cell's sequence runs in no_grad."""
    state = (x.new_zeros(N, H), x.new_zeros(N, H))
    total = x.new_zeros(())
    for t, given in enumerate(x):
        with torch.set_grad_enabled(t >= T // 2):
            state = model.cell(given, state)
        total = total + state[0].square().mean()
    return [total]


def warmed_up(model: Cell, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        _, state = model.gru(x[: T // 2])
    return [model.gru(x[T // 2 :], state)[0].square().mean()]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (begun_without_graph, (0, "cell", 1)),
        (warmed_up, (0, "gru", 1)),
        (by_cell(lambda h, c, t: (h.detach(), c.detach())), (0, "cell", T - 1)),
        (by_cell(lambda h, c, t: (h.data, c.data)), (0, "cell", T - 1)),
        (by_cell(lambda h, c, t: (h.detach(), c.detach()) if t == 3 else (h, c)), (0, "cell", 1)),
        (by_parts(Tensor.detach), (0, "gru", 1)),
        (by_parts(lambda h: h.data), (0, "gru", 1)),
    ],
    ids=[
        *("no_grad at first", "warmed up in no_grad"),
        *("detach at each", ".data at each", "detach in the middle", "detach between parts", ".data between parts"),
    ],
)
def test_a_state_that_is_cut_inside_a_step(step: Step, expected: tuple[int, str, float], tmp_path: Path) -> None:
    assert events_of(tmp_path, step) == [expected]


def test_windows_with_updates_of_their_own_are_no_cut(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Cell()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    state = None
    with graddiag.watch(model, optimizer, run="r", root=tmp_path):
        for _ in range(2 * STEPS):
            optimizer.zero_grad()
            output, state = model.gru(torch.randn(T, N, 3), state)
            output.square().mean().backward()
            optimizer.step()
            state = state.detach()
    events = graddiag.load_run(tmp_path / "r").events
    assert not (events[schema.KIND] == schema.EVENT_STATE_DETACHED).any()


def learned(model: Cell, x: Tensor) -> list[Tensor]:
    first, _ = model.gru(x[:3], model.h0.expand(1, N, H).contiguous())
    second, _ = model.gru(x[3:], model.h0.expand(1, N, H).contiguous())
    return [first.square().mean() + second.square().mean()]


def translated(model: Cell, x: Tensor) -> list[Tensor]:
    _, state = model.gru(x)
    return [model.decoder(x.flip(0), state)[0].square().mean()]


def translated_stepwise(model: Cell, x: Tensor) -> list[Tensor]:
    _, state = model.gru(x)
    total = x.new_zeros(())
    for given in x:
        output, state = model.decoder(given[None], state)
        total = total + output.square().mean()
    return [total]


def fresh(model: Cell, x: Tensor) -> list[Tensor]:
    """Two sequences a step, each from zeros; the zeros of the second may lie where a state was freed."""
    found = []
    for part in (x, x.flip(0)):
        output = model.gru(part, part.new_zeros(1, N, H))[0]
        found.append(output.square().mean())
    return [found[0] + found[1]]


def accumulated(model: Cell, x: Tensor) -> list[Tensor]:
    """Two backward passes a step, each on sequences of their own."""
    model.gru(x)[0].square().mean().backward()
    return [model.gru(x.flip(0))[0].square().mean()]


@pytest.mark.parametrize(
    "step",
    [
        by_cell(lambda h, c, t: (h, c)),
        by_cell(lambda h, c, t: (h * (torch.rand(N, 1) > 0.5), c * (torch.rand(N, 1) > 0.5))),
        by_parts(lambda h: h),
        by_parts(lambda h: h * (torch.rand(1, N, 1) > 0.5)),
        by_parts(torch.zeros_like),
        learned,
        translated,
        translated_stepwise,
        fresh,
        accumulated,
    ],
    ids=[
        *("handed on", "masked", "parts", "masked parts", "zeros_like"),
        *("learned", "encoder and decoder", "decoder step by step", "fresh zeros", "two backward passes"),
    ],
)
def test_states_that_are_not_cut(step: Step, tmp_path: Path) -> None:
    assert events_of(tmp_path, step) == []


def test_an_evaluation_in_between_does_not_count(tmp_path: Path) -> None:
    def step(model: Cell, x: Tensor) -> list[Tensor]:
        with torch.no_grad():
            _, state = model.gru(x)
            model.gru(x, state)
        return [model.gru(x)[0].square().mean()]

    assert events_of(tmp_path, step) == []


def test_a_state_of_its_own_after_an_evaluation_is_not_cut(tmp_path: Path) -> None:
    """A new state may lie where one of the evaluation had been."""

    def step(model: Cell, x: Tensor) -> list[Tensor]:
        with torch.no_grad():
            model.gru(x)
        return [model.gru(x, torch.randn(1, N, H))[0].square().mean()]

    assert events_of(tmp_path, step) == []
