"""Gates of a followed cell and of a tap by name: ``recorder.gate``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from graddiag.errors import SettingError
from tests.tracing.custom.cells import H, I, N, T


class Gated(nn.Module):
    """An LSTM without equations, whose gates are named."""

    def __init__(self, note: Callable[..., Tensor]) -> None:
        super().__init__()
        self.w, self.note = nn.Linear(I + H, 2 * H), note

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        f, n = self.w(torch.cat((x, h), 1)).chunk(2, 1)
        f = self.note("forget", torch.sigmoid(20 * f))
        n = self.note("candidate", torch.tanh(n), activation="tanh")
        return f * h + (1 - f) * n


@pytest.mark.parametrize("inside", [True, False])
def test_gates_by_name(inside: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    waiting: list[Any] = []

    def note(name: str, values: Tensor, **about: Any) -> Tensor:
        if inside:
            return recorder.gate(name, values, **about)
        waiting.append((name, values, about))
        return values

    cell = Gated(note)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    gates: dict[str, list[Tensor]] = {"forget": [], "candidate": []}
    with graddiag.watch(cell, optimizer, run="r", root=tmp_path, cells=cell) as recorder:
        h = torch.zeros(N, H)
        for x_t in torch.randn(T, N, I):
            f, n = cell.w(torch.cat((x_t, h), 1)).chunk(2, 1)
            gates["forget"].append(torch.sigmoid(20 * f).detach())
            gates["candidate"].append(torch.tanh(n).detach())
            h = cell(x_t, h)
            for name, values, about in waiting:
                recorder.gate(name, values, of="", **about)
            waiting.clear()
        h.sum().backward()
        optimizer.step()
    rows = graddiag.load_run(tmp_path / "r").gates
    for name, low, high in (("forget", 0.1, 0.9), ("candidate", -0.9, 0.9)):
        own, values = rows[rows[schema.GATE] == name], torch.stack(gates[name])
        assert own[schema.TIMESTEP].tolist() == list(range(T))
        assert own[schema.MEAN].tolist() == pytest.approx(values.mean((1, 2)).tolist(), rel=1e-5)
        assert own[schema.SATURATED_LOW].tolist() == pytest.approx((values < low).float().mean((1, 2)).tolist())
        assert own[schema.SATURATED_HIGH].tolist() == pytest.approx((values > high).float().mean((1, 2)).tolist())


def test_gates_of_a_tap_and_what_cannot_be_meant(tmp_path: Path) -> None:
    model = nn.Linear(I + H, H)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        h = torch.zeros(N, H)
        for x_t in torch.randn(T, N, I):
            z = torch.sigmoid(model(torch.cat((x_t, h), 1)))
            h = recorder.tap("loop", 0.5 * h + 0.5 * z)
            recorder.gate("z", z)
        with pytest.raises(
            SettingError, match=r"gate\('z', of='lop'\): no cell or tap has that name. There are: 'loop'"
        ):
            recorder.gate("z", z, of="lop")
        with pytest.raises(SettingError, match=r"gate\('z', activation='softmax'\): choose one of"):
            recorder.gate("z", z, activation="softmax")
        h.sum().backward()
        optimizer.step()
    rows = graddiag.load_run(tmp_path / "r").gates
    assert rows[schema.GATE].tolist() == ["z"] * T
