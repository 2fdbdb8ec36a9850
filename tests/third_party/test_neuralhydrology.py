"""neuralhydrology: the LSTM for runoff, in a loop as its trainer has it."""

from pathlib import Path

import pytest
import torch
from torch import nn

import graddiag
from tests.third_party.trainings import reaches_every_timestep, recorded

pytest.importorskip("neuralhydrology", exc_type=ImportError)
from neuralhydrology.modelzoo import get_model
from neuralhydrology.utils.config import Config

pytestmark = [pytest.mark.third_party, pytest.mark.filterwarnings("ignore")]
T = 12
SETTINGS = {
    "model": "cudalstm",
    "head": "regression",
    "hidden_size": 6,
    "initial_forget_bias": 3,
    "output_dropout": 0.0,
    "dynamic_inputs": ["rain", "temperature"],
    "static_attributes": [],
    "target_variables": ["runoff"],
    "seq_length": T,
    "predict_last_n": 1,
    "use_frequencies": [],
    "output_activation": "linear",
}


def train(root: Path | None) -> tuple[nn.Module, Path | None]:
    torch.manual_seed(0)
    model = get_model(Config(SETTINGS))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    recorder = None if root is None else graddiag.watch(model, optimizer, run="runoff", root=root, clip="norm:1.0")
    for step in range(5):
        x = torch.rand(4, T, 2, generator=torch.Generator().manual_seed(step))
        given = {"x_d": {"rain": x[..., :1], "temperature": x[..., 1:]}}
        loss = (model(given)["y_hat"][:, -1, 0] - x[..., 0].sum(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if recorder is not None:
            recorder.log(loss=loss)
        optimizer.step()
    if recorder is not None:
        recorder.close()
    return model, None if recorder is None else recorder.path


def test_the_runoff_model_is_recorded(tmp_path: Path) -> None:
    run = recorded(train, tmp_path)
    assert len(run.steps) == 5
    reaches_every_timestep(run, T)
