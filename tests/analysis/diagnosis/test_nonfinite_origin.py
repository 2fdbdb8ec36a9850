"""Where NaN began, of trainings: in an input, or in the backward pass of an operation."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag.analysis import Diagnosis

BAD = 30  # the step


class OfNumbers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.head = nn.LSTM(2, 6), nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][-1])


def trained(root: Path, *, entry: float = 0.0, at_zero: bool = False) -> Diagnosis:
    """At step BAD an entry of the input is this one, or the loss holds the root of a 0."""
    torch.manual_seed(0)
    model = OfNumbers()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    with graddiag.watch(model, optimizer, run="r", root=root) as recorder:
        for step in range(BAD + 10):
            x = torch.randn(9, 8, 2)
            y = x[-1, :, :1].clone()
            if step == BAD and entry:
                x[4, 3, 1] = entry
            optimizer.zero_grad()
            z = model(x)
            loss = (z - y).square().mean()
            if step == BAD and at_zero:
                loss = loss + (z * 0).abs().sqrt().sum()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    return graddiag.diagnose(graddiag.load_run(root / "r"))


@pytest.mark.parametrize("entry", [torch.inf, -torch.inf])
def test_an_input_that_is_inf(entry: float, tmp_path: Path) -> None:
    """Gates saturate at inf, so that states and loss stay finite; 0 times inf is NaN in the input weights alone."""
    found = trained(tmp_path, entry=entry)
    assert (found.outcome.name, found.cause) == ("broken", "non-finite")
    assert found.do_first is not None
    assert found.do_first.action == "check-batch"
    assert "in the gradient of recurrent.weight_ih_l0" in found.causes[0].sentence
    assert "the input of that layer holds inf or NaN" in found.causes[0].sentence


def test_an_operation_whose_derivative_is_infinite(tmp_path: Path) -> None:
    found = trained(tmp_path, at_zero=True)
    assert (found.outcome.name, found.cause) == ("broken", "non-finite")
    assert found.do_first is not None
    assert found.do_first.action == "guard-operation"
    assert "weight_ih" not in found.causes[0].sentence
