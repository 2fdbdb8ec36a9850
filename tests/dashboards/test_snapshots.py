"""The Run page of runs with snapshots, and the one line of those without."""

from pathlib import Path

import pytest
import torch
from torch import nn

import graddiag
from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import Made, write
from tests.dashboards.test_pages import words


def record(root: Path, snapshot_every: int | None) -> str:
    torch.manual_seed(0)
    model = nn.ModuleDict({"lstm": nn.LSTM(3, 6, bidirectional=True)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="snapped", root=root, snapshot_every=snapshot_every) as recorder:
        for _ in range(3):
            optimizer.zero_grad()
            loss = model["lstm"](torch.randn(8, 4, 3))[0].square().mean()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    return "snapped"


def subheaders(page: object) -> list[str]:
    return [element.value for element in page.subheader]


def test_a_run_with_snapshots_shows_units_credit_and_spectrum(open_page: Open, root: Path) -> None:
    page = open_page("run", run=record(root, 2), layer="lstm, layer 0, reverse", step="2", section="weights")
    assert not page.exception
    assert {
        "Recurrent weights over training",
        "Signal by unit and timestep",
        "Credit of each timestep for each loss",
        "Eigenvalues and singular values of the recurrent weights",
        "Lyapunov exponents over training",
    } <= set(subheaders(page))
    assert "lstm.weight_hh_l0_reverse at step 2" in words(page)
    assert "Largest Lyapunov exponent of lstm layer 0, reverse, steps 0 to 2" in words(page)
    (measure,) = [box for box in page.selectbox if box.label == "Signal of the units"]
    page = measure.select("saturated_low_f").run()
    assert not page.exception
    assert "forget gate f saturated low of each unit" in words(page)


def test_without_snapshots_one_line_says_how_to_take_them(open_page: Open, root: Path) -> None:
    for link in (record(root, None), write(root, Made("plain"))):
        page = open_page("run", run=link, section="weights")
        assert not page.exception
        assert "watch(..., snapshot_every=100)" in words(page)
        assert "Signal by unit and timestep" not in subheaders(page)


def test_a_run_whose_snapshots_hold_no_exponents_shows_none(
    open_page: Open, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graddiag.tracing.snapshots.leading_growth", lambda trace: None)
    page = open_page("run", run=record(root, 2), section="weights")
    assert not page.exception
    assert "Eigenvalues and singular values of the recurrent weights" in subheaders(page)
    assert "Lyapunov exponents over training" not in subheaders(page)
