"""Cells of libraries that have their own classes, followed by ``cells=``: bits, totals and gains against autograd."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema

pytestmark = [
    pytest.mark.third_party,
    # what the libraries warn of when they are imported is none of graddiag's
    pytest.mark.filterwarnings("ignore"),
]
T, N, I, H = 7, 4, 3, 8


def library(name: str) -> ModuleType:
    return pytest.importorskip(name, exc_type=ImportError)


def cfc() -> nn.Module:
    return library("ncps.torch").CfC(I, H, batch_first=False)


def mixed_cfc() -> nn.Module:
    """With an LSTM in front of each call of the cell, whose c leads to the states before the last one as well."""
    return library("ncps.torch").CfC(I, H, mixed_memory=True, batch_first=False)


def wired_ltc() -> nn.Module:
    ncps = library("ncps.torch")
    return ncps.LTC(I, library("ncps.wirings").AutoNCP(12, 4), batch_first=False)


class Slstm(nn.Module):
    """The cell of xlstm, a timestep at a time; its four states are one tensor [4, N, H]."""

    def __init__(self) -> None:
        super().__init__()
        xlstm = library("xlstm.blocks.slstm.cell")
        self.rnn_cell = xlstm.sLSTMCell(xlstm.sLSTMCellConfig(hidden_size=H, num_heads=2, backend="vanilla"))
        self.gates = nn.Linear(I, 4 * H)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state, outputs = torch.zeros(4, x.shape[1], H), []
        for gates in self.gates(x):
            output, state = self.rnn_cell(gates.unsqueeze(1), state)
            outputs.append(output.flatten(1))
        return torch.stack(outputs), state


MODELS = {"cfc": cfc, "mixed-cfc": mixed_cfc, "ltc": wired_ltc, "slstm": Slstm}
each_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def trained(make: Callable[[], nn.Module], root: Path | None, steps: int = 3) -> tuple[nn.Module, list[Tensor]]:
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watched: Any = nullcontext()
    if root is not None:
        watched = graddiag.watch(model, optimizer, run="r", root=root, cells="rnn_cell")
    with watched:
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.randn(T, N, I))[0][-1].square().sum().backward()
            optimizer.step()
    return model, [parameter.detach().clone() for parameter in model.parameters()]


@each_model
def test_the_same_bits_and_every_timestep(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    (_, alone), (_, watched) = trained(make, None), trained(make, tmp_path)
    assert all(map(torch.equal, alone, watched))
    run = graddiag.load_run(tmp_path / "r")
    rows = run.timesteps[run.timesteps[schema.MODULE] == "rnn_cell"]
    assert rows[schema.TIMESTEP].tolist() == list(range(T)) * 3
    assert rows[schema.CALL].unique().tolist() == [0]
    assert rows[schema.GRAD_H].notna().all()
    # the loss reads the output of the last call, which in xlstm is no function of the state that it returns
    known = rows[rows[schema.TIMESTEP] < T - 1]
    if make is mixed_cfc:
        # its LSTM is a class of ncps too, and is named as one that is not followed
        assert run.events[schema.KIND].tolist() == [schema.EVENT_NOT_FOLLOWED, schema.EVENT_GAIN_MISSING]
        assert "depends on several earlier ones" in run.events[schema.MESSAGE].iloc[1]
    else:
        assert known[[schema.GRAD_H_DIRECT, schema.TRANSPORT_GAIN]].notna().all(axis=None)
        assert not len(run.events)
    graddiag.diagnose(run)


@contextmanager
def aliased(cell: nn.Module) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Gives the cell an alias of its state, whose gradient is what the call sends back: (states, aliases)."""
    states: list[Tensor] = []
    aliases: list[Tensor] = []
    original = cell.forward

    def forward(x: Tensor, state: Tensor, *rest: Any) -> Any:
        alias = state.view_as(state).requires_grad_() if state.grad_fn is None else state.view_as(state)
        alias.retain_grad()
        output, state = original(x, alias, *rest)
        state.retain_grad()
        aliases.append(alias)
        states.append(state)
        return output, state

    cell.forward = forward  # type: ignore[method-assign]
    yield states, aliases
    del cell.forward


@pytest.mark.parametrize("make", [cfc, wired_ltc, Slstm], ids=["cfc", "ltc", "slstm"])
def test_totals_and_gains_are_those_of_autograd(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    """Of CfC the output and the state are one tensor, and only the last is read out."""
    torch.manual_seed(0)
    model = make()
    x = torch.randn(T, N, I)
    with aliased(model.rnn_cell) as (states, aliases):
        model(x)[0][-1].square().sum().backward()
    total, sent = ([0.0 if s.grad is None else s.grad.norm().item() for s in each] for each in (states, aliases))
    model.zero_grad()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells={"rnn_cell": 1}):
        model(x)[0][-1].square().sum().backward()
        optimizer.step()
    rows = graddiag.load_run(tmp_path / "r").timesteps
    assert rows[schema.GRAD_H].tolist() == pytest.approx(total, rel=1e-4)
    gains = [back / at for back, at in zip(sent, total, strict=True) if at]
    assert rows[schema.TRANSPORT_GAIN].dropna().tolist() == pytest.approx(gains, rel=1e-4)


def test_a_library_that_is_not_followed_is_named(tmp_path: Path) -> None:
    model = nn.ModuleDict({"encoder": cfc()})
    with pytest.warns(RuntimeWarning, match=r"'encoder.rnn_cell' \(CfCCell.*cells="):
        graddiag.watch(model, run="r", root=tmp_path).close()
