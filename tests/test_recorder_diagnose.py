"""``recorder.diagnose()``: the diagnosis of what has been recorded so far, at any moment."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import graddiag
from tests.test_recorder import Model, train


def snapshot_of_generators() -> tuple[bytes, bytes]:
    state = np.random.get_state()[1]
    return torch.get_rng_state().numpy().tobytes(), np.asarray(state).tobytes()


@pytest.mark.parametrize("every", [1, 4])
def test_it_is_that_of_the_folder_at_every_moment(every: int, tmp_path: Path) -> None:
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, every=every) as recorder:
        assert recorder.diagnose().basis.steps == 0
        for step in range(8):
            optimizer.zero_grad()
            loss = model(torch.randn(7, 4, 3)).square().mean()
            loss.backward()
            recorder.log(loss=loss)
            if step == 5:  # in the middle of a step: the steps that have ended
                assert recorder.diagnose().basis.steps == 5
            optimizer.step()
            found = recorder.diagnose()
            assert found.basis.steps == step + 1
            assert found.basis.recorded == step // every + 1
            assert "still-running" in [note.name for note in found.notes]
            assert found.to_json() == graddiag.diagnose(graddiag.load_run(recorder.path)).to_json()
    assert recorder.diagnose().to_json() == graddiag.diagnose(graddiag.load_run(recorder.path)).to_json()
    assert "still-running" not in [note.name for note in recorder.diagnose().notes]


def test_it_changes_no_bit_of_the_training(tmp_path: Path) -> None:
    torch.manual_seed(0)
    alone = train(Model(), tmp_path / "alone")
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        for _ in range(20):
            optimizer.zero_grad()
            loss = model(torch.randn(7, 4, 3)).square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.05)
            recorder.log(loss=loss)
            before = snapshot_of_generators()
            recorder.diagnose()
            assert snapshot_of_generators() == before
            optimizer.step()
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()
    assert torch.equal(alone, torch.cat((flat, torch.get_rng_state().float())))
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (dtype, threads)
    asked, plain = graddiag.load_run(tmp_path / "r"), graddiag.load_run(tmp_path / "alone" / "r")
    assert asked.timesteps.equals(plain.timesteps)
    assert asked.steps.drop(columns="wall_time").equals(plain.steps.drop(columns="wall_time"))
