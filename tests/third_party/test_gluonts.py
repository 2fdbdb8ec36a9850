"""GluonTS: the torch DeepAR, trained by Lightning."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from graddiag.integrations.lightning import GraddiagCallback
from tests.third_party.trainings import recorded

pytest.importorskip("gluonts.torch", exc_type=ImportError)
from gluonts.dataset.common import ListDataset
from gluonts.torch import DeepAREstimator

pytestmark = [pytest.mark.third_party, pytest.mark.filterwarnings("ignore")]


def train(root: Path | None) -> tuple[nn.Module, Path | None]:
    import lightning.pytorch as pl

    pl.seed_everything(0)
    series = [float(i % 7) for i in range(80)]
    data = ListDataset([{"start": pd.Period("2020-01-01", freq="D"), "target": series}], freq="D")
    callbacks = [] if root is None else [GraddiagCallback(run="deepar", root=root)]
    estimator = DeepAREstimator(
        freq="D", prediction_length=3, context_length=8, num_layers=1, hidden_size=8, batch_size=4,
        num_batches_per_epoch=4,
        trainer_kwargs={
            "max_epochs": 1, "callbacks": callbacks, "logger": False, "enable_progress_bar": False,
            "accelerator": "cpu", "enable_model_summary": False,
        },
    )  # fmt: skip
    predictor = estimator.train(data)
    return predictor.prediction_net, callbacks[0].path if callbacks else None


def test_deepar_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = recorded(train, tmp_path / "runs")
    assert len(run.steps) == 4
    assert run.timesteps.timestep.nunique() >= 8
    assert run.steps.loss.notna().all()
    assert isinstance(run.steps.loss.iloc[0], float)
    assert torch.isfinite(torch.tensor(run.timesteps.grad_h.dropna().to_numpy())).all()
