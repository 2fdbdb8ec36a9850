"""neuralforecast: its models are modules of pytorch_lightning, and it copies the callbacks that it is given."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

from graddiag.integrations.lightning import GraddiagCallback
from tests.third_party.trainings import recorded

neuralforecast = pytest.importorskip("neuralforecast", exc_type=ImportError)
from neuralforecast.models import GRU

pytestmark = [pytest.mark.third_party, pytest.mark.filterwarnings("ignore")]


def train(root: Path | None) -> tuple[nn.Module, Path | None]:
    days = pd.date_range("2020-01-01", periods=60, freq="D")
    frame = pd.DataFrame({"unique_id": "a", "ds": days, "y": np.sin(np.arange(60) / 3)})
    callbacks = [] if root is None else [GraddiagCallback(run="gru", root=root)]
    model = GRU(
        h=3, input_size=10, max_steps=5, encoder_hidden_size=8, decoder_hidden_size=8, batch_size=4, random_seed=0,
        scaler_type="standard", callbacks=callbacks, logger=False, enable_progress_bar=False, accelerator="cpu",
        enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    forecast = neuralforecast.NeuralForecast(models=[model], freq="D")
    forecast.fit(frame)
    return forecast.models[0], callbacks[0].path if callbacks else None


def test_a_model_is_recorded_through_the_trainers_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = recorded(train, tmp_path / "runs")
    assert len(run.steps) == 5
    assert run.timesteps.timestep.nunique() >= 10
    assert run.steps.loss.notna().all()
