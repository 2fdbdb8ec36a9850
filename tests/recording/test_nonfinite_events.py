"""Where NaN or inf began: in the states, in the loss, or in the backward pass; and what is not known is said."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema

AT = 3  # the step that breaks


class Net(nn.Module):
    def __init__(self, nonlinearity: str = "tanh") -> None:
        super().__init__()
        self.rnn = nn.RNN(2, 4, nonlinearity=nonlinearity)
        self.head = nn.Linear(4, 1)


def first_event(root: Path, forward: Callable[[Net, Tensor, bool], Tensor], every: int = 1, log: bool = True) -> list:
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with graddiag.watch(model, optimizer, run="r", root=root, every=every) as recorder:
        for step in range(AT + 1):
            optimizer.zero_grad()
            loss = forward(model, torch.randn(5, 3, 2), step == AT)
            loss.backward()
            if log:
                recorder.log(loss=loss)
            optimizer.step()
    events = graddiag.load_run(root / "r").events
    assert events[schema.KIND].tolist() == [schema.EVENT_NONFINITE]
    return events[[schema.STEP, schema.WHERE, schema.VALUE, schema.MESSAGE]].values.tolist()[0]


def output_of(model: Net, x: Tensor) -> Tensor:
    return model.head(model.rnn(x)[0])


def log_of_0(model: Net, x: Tensor, breaks: bool) -> Tensor:
    size = output_of(model, x).square().mean()
    return -(size * 0).log() if breaks else size


def overflowing_exp(model: Net, x: Tensor, breaks: bool) -> Tensor:
    return (output_of(model, x) + 200 * breaks).exp().mean()


def root_of_0(model: Net, x: Tensor, breaks: bool) -> Tensor:
    y = output_of(model, x)
    return (y - y.detach()).square().sum().sqrt() if breaks else y.square().mean()


def infinite_input(model: Net, x: Tensor, breaks: bool) -> Tensor:
    return output_of(model, x * math.nan if breaks else x).square().mean()


@pytest.mark.parametrize("broken", [log_of_0, overflowing_exp])
@pytest.mark.parametrize("every", [1, 2])
def test_a_loss_that_is_inf_itself(broken: Callable[..., Tensor], every: int, tmp_path: Path) -> None:
    step, where, value, message = first_event(tmp_path, broken, every)
    assert (step, where, value) == (AT, "the loss", math.inf)
    assert message.startswith("The loss is inf")
    assert ("It began after them, in the loss." in message) == (every == 1)
    assert ("no recorded state of this step does" in message) == (every == 2)


def test_a_finite_loss_whose_gradient_is_nan_began_in_the_backward_pass(tmp_path: Path) -> None:
    step, where, value, message = first_event(tmp_path, root_of_0)
    assert (step, where) == (AT, "rnn layer 0 forward timestep 4")
    assert math.isnan(value)
    assert message.startswith("The loss is finite (0). It began in the backward pass. The gradient is nan already")


def test_a_state_that_is_nan_began_in_the_forward_pass(tmp_path: Path) -> None:
    step, where, _, message = first_event(tmp_path, infinite_input)
    assert (step, where) == (AT, "rnn layer 0 forward timestep 0")
    assert message.startswith("It began in the forward pass. The state h is nan")


def test_what_is_not_known_of_the_loss_is_said(tmp_path: Path) -> None:
    assert first_event(tmp_path / "a", root_of_0, log=False)[3].startswith(
        "The loss was not logged. The gradient is nan"
    )
    unrecorded = first_event(tmp_path / "b", root_of_0, every=2)
    assert unrecorded[1] == "all parameters"
    assert unrecorded[3].startswith("The loss is finite (0). The gradient holds NaN or inf; no recorded timestep")
