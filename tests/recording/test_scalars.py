"""What recorder.log takes and what it refuses at the call: a refused value ends no recording."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import graddiag
from graddiag.errors import SettingError

REFUSED: list[tuple[Any, str]] = [
    (torch.ones(3), r"a tensor of shape \(3,\)"),
    (torch.zeros(0), r"a tensor of shape \(0,\)"),
    (torch.tensor(1j), "a tensor of dtype torch.complex64"),
    (np.ones(2), r"a ndarray of shape \(2,\)"),
    ([1.0], "a list"),
    ({"a": 1}, "a dict"),
    (1j, "a complex"),
    (np.complex64(1j), "a complex64"),
    ("0.5", "the text '0.5'"),
    (10**400, "a number that is too large for a float"),
]


@pytest.mark.parametrize(("value", "found"), REFUSED, ids=[found for _, found in REFUSED])
def test_what_is_no_number_is_refused_at_the_call_and_the_recording_continues(
    value: Any, found: str, tmp_path: Path
) -> None:
    model = nn.GRU(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        for _ in range(3):
            loss = model(torch.randn(4, 2, 2))[0].square().mean()
            optimizer.zero_grad()
            loss.backward()
            with pytest.raises(SettingError, match=rf"recorder\.log\(odd=\.\.\.\): found {found}"):
                recorder.log(other=1.0, odd=value)
            recorder.log(loss=loss)
            optimizer.step()
    run = graddiag.load_run(recorder.path)
    assert len(run.steps) == 3
    assert run.timesteps.step.nunique() == 3
    assert "odd" not in run.steps
    assert "other" not in run.steps
    assert run.steps.loss.notna().all()


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (torch.tensor([[2.0]]), 2.0),
        (torch.tensor(3), 3.0),
        (torch.tensor(True), 1.0),
        (np.float32(0.5), 0.5),
        (np.array(4), 4.0),
        (np.array([5]), 5.0),
        (True, 1.0),
        (2**70, float(2**70)),
        (float("inf"), float("inf")),
    ],
)
def test_one_number_is_kept(value: Any, kept: float, tmp_path: Path) -> None:
    model = nn.GRU(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        model(torch.randn(4, 2, 2))[0].square().mean().backward()
        recorder.log(value=value)
        optimizer.step()
    assert graddiag.load_run(recorder.path).steps["value"].tolist() == [kept]


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, 2**63, 2**64 - 1, np.int64(7)])
def test_every_seed_of_torch_is_kept_listed_and_compared(seed: int, tmp_path: Path) -> None:
    for arm, given in (("a", seed), ("b", seed), ("c", -5)):
        model = nn.GRU(2, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with graddiag.watch(model, optimizer, run=arm, root=tmp_path, arm=arm, seed=given):
            for _ in range(2):
                model(torch.randn(4, 2, 2))[0].square().mean().backward()
                optimizer.step()
    runs = [graddiag.load_run(tmp_path / name) for name in "abc"]
    assert [run.manifest.seed for run in runs] == [int(seed), int(seed), -5]
    listed = graddiag.list_runs(tmp_path)
    assert sorted(map(int, listed.seed)) == sorted([int(seed), int(seed), -5])
    assert len(graddiag.compare(runs[:2]).pairs) == 1


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, 10**400, 1.5, "x"])
def test_what_no_seed_can_be_is_refused_before_anything_is_made(seed: Any, tmp_path: Path) -> None:
    model = nn.GRU(2, 3)
    with pytest.raises(SettingError, match="seed"):
        graddiag.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), run="r", root=tmp_path, seed=seed)
    assert not list(tmp_path.iterdir())
    assert not any(module._forward_hooks for module in model.modules())


FREE_TEXT = ["norm: max 1", "norm:adaptive", "norm:", "global norm 1", "norm:1:inf", "value:x", ""]


@pytest.mark.parametrize("clip", FREE_TEXT)
def test_free_text_is_a_label_for_the_clip_policy(clip: str, tmp_path: Path) -> None:
    model = nn.LSTM(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, clip=clip) as recorder:
        for _ in range(3):
            loss = model(torch.randn(4, 2, 2))[0].square().mean()
            optimizer.zero_grad()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    run = graddiag.load_run(recorder.path)
    assert (len(run.steps), len(run.timesteps), run.manifest.clip) == (3, 12, clip)
    assert not (run.events.kind == "recording_stopped").any()
    assert str(graddiag.diagnose(run))
