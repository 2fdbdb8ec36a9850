"""pytorch-forecasting: DeepAR and the recurrent network, whose LSTM packs inside of its own forward."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

from graddiag.integrations.lightning import GraddiagCallback
from tests.third_party.trainings import recorded

forecasting = pytest.importorskip("pytorch_forecasting", exc_type=ImportError)
pytestmark = [pytest.mark.third_party, pytest.mark.filterwarnings("ignore")]


def train(kind: str, root: Path | None) -> tuple[nn.Module, Path | None]:
    import lightning.pytorch as pl

    pl.seed_everything(0)
    frame = pd.DataFrame({"t": np.tile(np.arange(40), 2), "group": np.repeat(["a", "b"], 40)})
    frame["y"] = np.sin(frame.t / 3) + (frame.group == "b")
    data = forecasting.TimeSeriesDataSet(
        frame, time_idx="t", target="y", group_ids=["group"], max_encoder_length=8, min_encoder_length=8,
        max_prediction_length=3, time_varying_unknown_reals=["y"], static_categoricals=["group"],
    )  # fmt: skip
    loader = data.to_dataloader(train=True, batch_size=8, num_workers=0)
    model = getattr(forecasting, kind).from_dataset(data, hidden_size=6, rnn_layers=1, learning_rate=0.01, dropout=0.0)
    callbacks = [] if root is None else [GraddiagCallback(run=kind, root=root)]
    trainer = pl.Trainer(
        max_steps=4, accelerator="cpu", callbacks=callbacks, logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, gradient_clip_val=0.1,
    )  # fmt: skip
    trainer.fit(model, loader)
    return model, callbacks[0].path if callbacks else None


@pytest.mark.parametrize("kind", ["DeepAR", "RecurrentNetwork"])
def test_a_network_is_recorded(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = recorded(lambda root: train(kind, root), tmp_path / "runs")
    assert len(run.steps) == 4
    assert run.manifest.clip == "norm:0.1"
    assert run.timesteps.module.unique().tolist() == ["rnn"]
    assert (run.timesteps.grad_h.dropna() > 0).any()
