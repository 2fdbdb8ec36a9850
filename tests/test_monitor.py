"""A run as it stands: from its folder alone, while it runs, after its end, and when it is damaged."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

import graddiag
from graddiag import schema
from graddiag.analysis import Selection
from graddiag.monitor import bars, layer_name, run_status

NAN, INF = float("nan"), float("inf")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 4, num_layers=2), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][-1])


def train(recorder: graddiag.Recorder, net: Net, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = net(torch.ones(6, 3, 2)).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
        recorder.log(loss=loss)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.fixture
def training(tmp_path: Path) -> tuple[graddiag.Recorder, Net, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return graddiag.watch(net, optimizer, run="r", root=tmp_path, clip="norm:0.001"), net, optimizer


def test_from_the_first_moment_to_the_end(
    training: tuple[graddiag.Recorder, Net, torch.optim.Optimizer],
) -> None:
    recorder, net, optimizer = training
    begun = run_status(recorder.path)
    assert (begun.status, begun.step, begun.loss, begun.layers, begun.ended) == ("running", None, None, (), False)
    losses = train(recorder, net, optimizer, 5)
    recorder.close()
    found = run_status(recorder.path)
    assert (found.status, found.step, found.ended, found.clip) == ("finished", 4, True, "norm:0.001")
    assert found.loss == pytest.approx(losses[-1])
    assert found.best == pytest.approx(min(losses))
    assert found.clipped_share == 1.0
    assert [each.selection.layer for each in found.layers] == [0, 1]
    assert all({"i", "f", "o"} <= set(each.saturated) and each.length == 6 for each in found.layers)
    assert found.outcome is not None
    assert schema.EVENT_FIRST_CLIP in [each.kind for each in found.events]
    assert found.to_dict()["layers"][0]["selection"]["module"] == "lstm"


def test_a_damaged_run_says_so_and_raises_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "manifest.json").write_text("[")
    found = run_status(folder)
    assert found.status == "damaged"
    assert found.missing is not None
    assert "manifest" in found.missing


def test_a_run_that_has_ended_is_read_once_until_its_files_change(
    training: tuple[graddiag.Recorder, Net, torch.optim.Optimizer],
) -> None:
    recorder, net, optimizer = training
    train(recorder, net, optimizer, 3)
    assert run_status(recorder.path) is not run_status(recorder.path)
    recorder.close()
    assert run_status(recorder.path) is run_status(recorder.path)
    assert run_status(recorder.path).ended


def test_bars_are_of_a_log_scale() -> None:
    assert bars([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0], 20) == "▁▂▃▄▅▆▇█"
    assert bars([5.0, 5.0], 20) == "██"
    assert bars([0.0, NAN, INF, 1.0], 20) == " xx█"
    assert bars([], 20) == ""
    assert bars([0.0], 20) == " "
    assert len(bars([math.exp(t / 10) for t in range(1000)], 24)) == 24
    assert bars([1.0, 1.0, 1.0, 1e9], 2)[-1] == "█"


def test_layers_are_named_as_far_as_they_have_to_be_told_apart() -> None:
    one, two = Selection("lstm", 0, "forward"), Selection("lstm", 0, "reverse")
    assert layer_name(one, [one]) == "lstm.0"
    assert [layer_name(each, [one, two]) for each in (one, two)] == ["lstm.0.forward", "lstm.0.reverse"]
    calls = [Selection("", 0, "forward", call) for call in (0, 1)]
    assert [layer_name(each, calls) for each in calls] == ["(model).0#0", "(model).0#1"]
