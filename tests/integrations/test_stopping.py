"""Lightning and the Trainer of transformers: a training is stopped as the trainer stops it, updates are skipped."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import graddiag
from graddiag import alerts, schema
from graddiag.alerts import Alert
from graddiag.errors import SettingError
from tests.needs import needs

needs("lightning.pytorch", "lightning")
needs("transformers", "transformers")
needs("accelerate", "transformers")
from graddiag.integrations import lightning, transformers
from tests.integrations import test_lightning as of_lightning
from tests.integrations import test_transformers as of_transformers

OF_LIBRARIES = (UserWarning, FutureWarning, DeprecationWarning)
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind.__name__}") for kind in OF_LIBRARIES]
BAD = 3


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graddiag.alerts.checks.MOST_SHARE", 1e9)


class SpoiledModule(of_lightning.Counting):
    """Its loss is inf at one batch."""

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss = super().training_step(batch, index)
        return loss * (math.inf if index == BAD else 1.0)


class SpoiledTagger(of_transformers.Tagger):
    """Its loss is inf at one batch."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        found = super().forward(x, labels)
        return {**found, "loss": found["loss"] * (math.inf if len(self.losses) == BAD + 1 else 1.0)}


def fit(folder: Path, *, spoiled: bool = True, **settings: Any) -> tuple[torch.nn.Module, Any, Any]:
    callback = lightning.GraddiagCallback(run="r", root=folder, **settings)
    torch.manual_seed(0)
    module = SpoiledModule() if spoiled else of_lightning.Counting()
    trainer = of_lightning.fit(module, folder, callback, max_epochs=2, gradient_clip_val=1.0)
    return module, callback, trainer


def train(folder: Path, *, spoiled: bool = True, **settings: Any) -> tuple[torch.nn.Module, Any, Any]:
    callback = transformers.GraddiagCallback(run="r", root=folder, **settings)
    kind = SpoiledTagger if spoiled else of_transformers.Tagger
    trainer = of_transformers.trained(folder, callback, kind=kind, num_train_epochs=2)
    return trainer.model, callback, trainer


TRAINERS = pytest.mark.parametrize("trained", [fit, train], ids=["lightning", "transformers"])


def finite(module: torch.nn.Module) -> bool:
    return all(bool(each.isfinite().all()) for each in module.parameters())


@TRAINERS
@pytest.mark.parametrize("on_nonfinite", ["skip", "stop"])
def test_a_finite_training_is_the_same_to_the_bit(trained: Any, on_nonfinite: str, tmp_path: Path) -> None:
    alone, *_ = trained(tmp_path / "a", spoiled=False)
    found, *_ = trained(tmp_path / "b", spoiled=False, on_nonfinite=on_nonfinite, on_finding=[].append, check_every=2)
    for name, parameter in alone.state_dict().items():
        assert torch.equal(parameter, found.state_dict()[name]), name


@TRAINERS
def test_stop_ends_the_training_as_the_trainer_does(trained: Any, tmp_path: Path) -> None:
    module, callback, trainer = trained(tmp_path, on_nonfinite="stop")
    assert finite(module)
    run = graddiag.load_run(callback.path)
    assert (run.manifest.status, len(run.steps)) == ("failed", BAD + 1)
    assert str(run.manifest.error).startswith(f"StopTraining: step {BAD}: the gradient holds NaN or inf")
    assert graddiag.diagnose(run).outcome.name == "broken"
    state = getattr(trainer, "state", None)
    assert getattr(trainer, "global_step", None) == BAD + 1 or state.global_step == BAD + 1


@TRAINERS
def test_skip_leaves_the_update_out(trained: Any, tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="holds NaN or inf"):
        module, callback, _ = trained(tmp_path, on_nonfinite="skip")
    assert finite(module)
    run = graddiag.load_run(callback.path)
    assert run.manifest.status == "finished"
    assert run.steps[schema.UPDATES_SKIPPED].sum() >= 1
    assert run.steps[schema.UPDATES_SKIPPED].tolist()[: BAD + 1] == [0] * BAD + [1]


@TRAINERS
def test_a_finding_is_called_and_stop_ends_the_training(trained: Any, tmp_path: Path) -> None:
    called: list[Alert] = []
    _, callback, _ = trained(tmp_path, on_finding=[called.append, alerts.stop], check_every=1)
    run = graddiag.load_run(callback.path)
    assert "broken" in {each.name for each in called}
    assert run.manifest.status == "failed"
    assert str(run.manifest.error).startswith("StopTraining: r, step ")
    assert BAD < len(run.steps) < 10


@TRAINERS
def test_a_training_shorter_than_check_every_is_checked_when_it_ends(trained: Any, tmp_path: Path) -> None:
    called: list[Alert] = []
    _, callback, _ = trained(tmp_path, on_finding=[called.append, alerts.stop])
    run = graddiag.load_run(callback.path)
    assert {each.step for each in called} == {len(run.steps) - 1}
    assert "broken" in {each.name for each in called}
    assert run.manifest.status == "finished"


@TRAINERS
def test_a_callback_that_raises_ends_no_training(trained: Any, tmp_path: Path) -> None:
    def broken(alert: Alert) -> None:
        raise OSError("no network")

    with pytest.warns(RuntimeWarning, match="on_finding raised at step"):
        _, callback, _ = trained(tmp_path, on_finding=broken, check_every=1)
    assert graddiag.load_run(callback.path).manifest.status == "finished"


@pytest.mark.parametrize("kind", [lightning.GraddiagCallback, transformers.GraddiagCallback])
def test_what_cannot_be_called_is_refused_at_once(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="pass a function that takes an alert"):
        kind(run="r", root=tmp_path, on_finding="print")
