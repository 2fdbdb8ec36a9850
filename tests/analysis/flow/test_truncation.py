"""Back-propagation that is cut short: by hand, and as recorded from nets that do it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import graddiag
from graddiag import schema
from graddiag.analysis import Selection, Truncation, truncation
from graddiag.run import Run
from tests.analysis.runs import LAYER, manifest, net, timesteps_frame

REVERSE = Selection("lstm", 0, "reverse")


def run_of(total: object, layer: Selection = LAYER, config: object = None, **columns: object) -> Run:
    frame = timesteps_frame({schema.GRAD_H: total, **columns}, layer)
    return Run.from_frames(manifest(config=config or {}), timesteps=frame)


def test_a_gradient_that_is_large_until_it_is_gone_was_cut() -> None:
    found = truncation(run_of([[0.0, 0.0, 0.5, 0.7, 1.0]] * 3), LAYER)
    assert (found.cut_timestep, found.cut_share, found.faded_share, found.judged) == (2, 1.0, 0.0, 3)
    assert found.caption.startswith(
        "Back-propagation in lstm layer 0 (clip off, seed 0): ends early. No gradient goes back beyond timestep 2"
    )


def test_a_reverse_direction_is_cut_at_its_own_end() -> None:
    assert truncation(run_of([[1.0, 0.7, 0.5, 0.0, 0.0]], REVERSE), REVERSE).cut_timestep == 2


def test_a_gradient_that_faded_to_zero_was_not_cut() -> None:
    found = truncation(run_of([[0.0, 1e-44, 1e-20, 1.0]]), LAYER)
    assert (found.cut, found.cut_share, found.faded_share) == (False, 0.0, 1.0)


def test_nor_one_that_dead_units_swallowed() -> None:
    found = truncation(run_of([[0.0, 0.9, 1.0]], **{schema.TRANSPORT_GAIN: [[0.0, 0.0, 0.9]]}), LAYER)
    assert (found.cut, found.faded_share) == (False, 1.0)


def test_zeros_behind_the_last_loss_are_no_cut() -> None:
    assert not truncation(run_of([[0.5, 1.0, 0.0, 0.0]]), LAYER).cut


def test_fewer_than_half_of_the_steps_make_no_finding() -> None:
    found = truncation(run_of([[0.0, 1.0]] + [[1.0, 1.0]] * 2), LAYER)
    assert (found.cut_share, found.cut_timestep) == (pytest.approx(1 / 3), None)


@pytest.mark.parametrize(("distance", "short"), [(None, None), (99, False), (100, True), (250, True)])
def test_a_window_shorter_than_the_tasks_distance(distance: int | None, short: bool | None) -> None:
    config = {} if distance is None else {"distance": distance}
    found = truncation(net(0.99, timesteps=100, config=config), LAYER)
    assert found.window_short is short
    assert ("the task looks back" in found.caption) is bool(short)


@pytest.mark.parametrize(
    ("total", "words"),
    [
        (np.zeros((1, 3)), "At no recorded step did a finite gradient above 0 reach"),
        (np.full((1, 3), np.nan), "At no recorded step did a finite gradient above 0 reach"),
        (np.array([[None, None]], dtype=object), "The total gradient was not recorded"),
    ],
)
def test_what_cannot_be_known_is_said(total: np.ndarray, words: str) -> None:
    found = truncation(run_of(total), LAYER)
    assert words in (found.missing or "")
    assert (found.cut_share, found.carried_share, found.cut) == (None, None, False)


Loop = Callable[[torch.nn.RNN, torch.Tensor, torch.Tensor | None], tuple[torch.Tensor, torch.Tensor | None]]


def whole(rnn: torch.nn.RNN, x: torch.Tensor, carried: torch.Tensor | None) -> tuple[torch.Tensor, None]:
    return rnn(x)[0], None


def stateful(
    rnn: torch.nn.RNN, x: torch.Tensor, carried: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    out, h = rnn(x, carried)
    return out, h.detach()


def in_two(rnn: torch.nn.RNN, x: torch.Tensor, carried: torch.Tensor | None) -> tuple[torch.Tensor, None]:
    first, h = rnn(x[:4])
    second, _ = rnn(x[4:], h.detach())
    return torch.cat((first, second)), None


def joined(rnn: torch.nn.RNN, x: torch.Tensor, carried: torch.Tensor | None) -> tuple[torch.Tensor, None]:
    first, h = rnn(x[:4])
    second, _ = rnn(x[4:], h)
    return torch.cat((first, second)), None


def recorded(loop: Loop, root: Path, call: int = 0) -> Truncation:
    torch.manual_seed(0)
    rnn = torch.nn.RNN(2, 4)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.01)
    carried = None
    with graddiag.watch(rnn, optimizer, run="run", root=root) as recorder:
        for _ in range(3):
            out, carried = loop(rnn, torch.randn(8, 3, 2), carried)
            optimizer.zero_grad()
            out.square().mean().backward()
            optimizer.step()
    return truncation(graddiag.load_run(recorder.path), Selection("", 0, "forward", call))


@pytest.mark.parametrize(
    ("loop", "call", "window", "calls", "carried"),
    [(whole, 0, 8, 1, 0.0), (joined, 0, 8, 1, 0.0), (in_two, 0, 4, 2, 0.0), (in_two, 1, 4, 2, 1.0)],
    ids=["whole", "joined", "first half", "second half"],
)
def test_a_state_that_is_detached_between_calls(
    loop: Loop, call: int, window: int, calls: int, carried: float, tmp_path: Path
) -> None:
    found = recorded(loop, tmp_path, call)
    assert (found.window, found.calls, found.carried_share) == (window, calls, carried)
    assert found.carried is (carried == 1.0)


def test_a_state_that_is_carried_from_step_to_step(tmp_path: Path) -> None:
    found = recorded(stateful, tmp_path)
    assert found.carried_share == pytest.approx(2 / 3)  # the first step begins from 0
    assert "began from a state that was not 0 at 66.7% of the steps" in found.caption


def test_a_detach_inside_a_loop_of_ones_own(tmp_path: Path) -> None:
    """Back-propagation cut at timestep 3: dL/dh is 0 there and before, exactly."""
    torch.manual_seed(0)
    cell = torch.nn.Linear(6, 4)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    with graddiag.watch(cell, optimizer, run="run", root=tmp_path) as recorder:
        for _ in range(3):
            h = torch.zeros(5, 4)
            for t in range(8):
                h = recorder.tap("own", torch.tanh(cell(torch.cat((torch.randn(5, 2), h), dim=1))))
                h = h.detach() if t == 3 else h
            optimizer.zero_grad()
            h.square().sum().backward()
            optimizer.step()
    found = truncation(graddiag.load_run(recorder.path), Selection("own", 0, "forward"))
    assert (found.cut_timestep, found.cut_share) == (4, 1.0)
