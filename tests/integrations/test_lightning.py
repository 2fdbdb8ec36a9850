"""GraddiagCallback with the Trainer of Lightning, the real one."""

import copy
import math
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import graddiag
from graddiag import schema
from graddiag.errors import SettingError
from tests.needs import needs

pl = needs("lightning.pytorch", "lightning")
from graddiag.integrations.lightning import GraddiagCallback

# what Lightning says of workers and loggers, and torch of Lightning; graddiag's own warnings are RuntimeWarnings
OF_LIGHTNING = (UserWarning, FutureWarning, DeprecationWarning)
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind.__name__}") for kind in OF_LIGHTNING]

T, N, BATCHES = 6, 4, 8


class Counting(pl.LightningModule):
    def __init__(self, lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lstm = nn.LSTM(3, 5, num_layers=2, dropout=0.2)
        self.head = nn.Linear(5, 1)
        self.losses: list[float] = []

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        x, y = batch
        loss = nn.functional.mse_loss(self.head(self.lstm(x.transpose(0, 1))[0][-1]), y)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.lstm(batch[0].transpose(0, 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=self.hparams.momentum)


def batches() -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(N * BATCHES, T, 3, generator=generator), torch.randn(N * BATCHES, 1, generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=N)


def fit(module: pl.LightningModule, folder: Path, *callbacks: pl.Callback, **settings: Any) -> pl.Trainer:
    trainer = trainer_with(folder, *callbacks, **{"enable_checkpointing": False, **settings})
    trainer.fit(module, batches(), batches())
    return trainer


def trainer_with(folder: Path, *callbacks: pl.Callback, **settings: Any) -> pl.Trainer:
    settings = {"max_epochs": 1, "logger": False, "enable_progress_bar": False, **settings}
    return pl.Trainer(
        accelerator="cpu", callbacks=list(callbacks), enable_model_summary=False, default_root_dir=folder, **settings
    )


class Half(Counting):
    """With a GRU: torch's LSTM in half precision needs more than every CPU has."""

    def __init__(self, lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__(lr, momentum)
        self.lstm = nn.GRU(3, 5)


def trained(folder: Path, *callbacks: pl.Callback, kind: type[Counting] = Counting, **settings: Any) -> Counting:
    torch.manual_seed(0)
    module = kind()
    fit(module, folder, *callbacks, **settings)
    return module


def recorded(callback: GraddiagCallback) -> graddiag.Run:
    assert callback.path is not None
    return graddiag.load_run(callback.path)


SETTINGS = [
    {},
    {"gradient_clip_val": 0.1},
    {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    {"gradient_clip_val": 0.1, "accumulate_grad_batches": 3},
    {"gradient_clip_val": 0.1, "precision": "bf16-mixed", "kind": Half},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_training_with_the_callback_is_the_same_to_the_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    alone = trained(tmp_path, **settings)
    drawn = torch.rand(1)
    watched = trained(tmp_path, GraddiagCallback(run="r", root=tmp_path), **settings)
    assert torch.rand(1) == drawn
    for name, parameter in alone.state_dict().items():
        assert torch.equal(parameter, watched.state_dict()[name]), name


def test_norms_are_those_before_and_after_the_trainer_clips(tmp_path: Path) -> None:
    norms: list[float] = []

    class Norms(pl.Callback):
        def on_before_optimizer_step(self, trainer: Any, module: nn.Module, optimizer: Any) -> None:
            norms.append(torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in module.parameters()])).item())

    callback = GraddiagCallback(run="r", root=tmp_path, every=2)
    module = trained(tmp_path, callback, Norms(), gradient_clip_val=0.1)
    run = recorded(callback)
    assert run.steps.step.tolist() == list(range(BATCHES))
    assert run.steps.loss.tolist() == module.losses
    assert run.steps.grad_norm.tolist() == pytest.approx(norms, rel=1e-6)
    clipped = [norm * min(1, 0.1 / (norm + 1e-6)) for norm in norms]
    assert run.steps.grad_norm_clipped.tolist() == pytest.approx(clipped, rel=1e-6)
    assert sorted(set(run.timesteps.step)) == [0, 2, 4, 6]
    assert set(run.timesteps.module) == {"lstm"}
    assert set(run.timesteps.call) == {0}  # the passes of the validation are not recorded
    assert run.manifest.status == "finished"


def test_the_run_says_how_the_trainer_was_set(tmp_path: Path) -> None:
    callback = GraddiagCallback(
        run="r", root=tmp_path, experiment="e", arm="a", seed=5, loss_reduction="mean", config={"lr": 9, "x": 1}
    )
    trained(tmp_path, callback, gradient_clip_val=0.25, gradient_clip_algorithm="value", max_steps=1)
    manifest = recorded(callback).manifest
    assert (manifest.experiment, manifest.arm, manifest.seed, manifest.loss_reduction) == ("e", "a", 5, "mean")
    assert manifest.clip == "value:0.25"
    assert manifest.model == "Counting"
    assert manifest.config == {"lr": 9, "x": 1, "momentum": 0.9, "accumulate_grad_batches": 1}


def test_a_step_of_accumulated_batches_is_one_step_with_all_of_them(tmp_path: Path) -> None:
    callback = GraddiagCallback(run="r", root=tmp_path)
    module = trained(tmp_path, callback, accumulate_grad_batches=2)
    run = recorded(callback)
    means = [(one + other) / 2 for one, other in zip(module.losses[::2], module.losses[1::2], strict=True)]
    assert run.steps.loss.tolist() == pytest.approx(means, rel=1e-6)
    assert len(run.steps) == BATCHES // 2
    calls = run.timesteps.groupby("step").call.unique()
    assert [sorted(each) for each in calls] == [[0, 1]] * (BATCHES // 2)


def test_losses_under_mixed_precision_are_unscaled(tmp_path: Path) -> None:
    plugin = pl.plugins.MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))
    callback = GraddiagCallback(run="r", root=tmp_path)
    module = trained(tmp_path, callback, kind=Half, plugins=[plugin], gradient_clip_val=0.05)
    run = recorded(callback)
    assert run.steps.loss.tolist() == pytest.approx(module.losses, rel=1e-3)
    reference = GraddiagCallback(run="reference", root=tmp_path)
    trained(tmp_path, reference, kind=Half, gradient_clip_val=0.05)
    assert run.steps.grad_norm[0] == pytest.approx(recorded(reference).steps.grad_norm[0], rel=0.05)
    assert run.steps.grad_norm_clipped.max() < 0.05


def test_an_optimizer_that_evaluates_its_closure_many_times(tmp_path: Path) -> None:
    class Lbfgs(Counting):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.LBFGS(self.parameters(), max_iter=3)

    module, callback = Lbfgs(), GraddiagCallback(run="r", root=tmp_path)
    fit(module, tmp_path, callback, max_steps=2)
    run = recorded(callback)
    assert len(run.steps) == 2
    assert set(run.timesteps.call) == {0}
    assert run.steps.loss.iloc[-1] == module.losses[-1]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [(ValueError("no more"), "failed", "ValueError: no more"), (KeyboardInterrupt(), "interrupted", None)],
)
def test_an_exception_closes_the_run_and_is_raised(
    error: BaseException, status: str, said: str | None, tmp_path: Path
) -> None:
    class Breaks(Counting):
        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            if index == 3:
                raise error
            return super().training_step(batch, index)

    callback, module = GraddiagCallback(run="r", root=tmp_path), Breaks()
    with pytest.raises((type(error), SystemExit)):
        fit(module, tmp_path, callback)
    run = recorded(callback)
    assert (run.manifest.status, run.manifest.error) == (status, said)
    assert len(run.steps) == 3
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())


class Ordered(Counting):
    """Without dropout, whose random numbers would have to be restored too."""

    def __init__(self, lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__(lr, momentum)
        self.lstm = nn.LSTM(3, 5)


class BreaksLater(Ordered):
    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        if self.current_epoch == 1 and index == 3:
            raise ValueError("preempted")
        return super().training_step(batch, index)


def saved(folder: Path, run: str = "r", kind: type[Counting] = Ordered, **settings: Any) -> GraddiagCallback:
    """Two epochs, with a checkpoint after the first."""
    callback = GraddiagCallback(run=run, root=folder, every=2)
    keeping = pl.callbacks.ModelCheckpoint(folder, filename="{step}", every_n_train_steps=BATCHES, save_top_k=-1)
    torch.manual_seed(0)
    module, trainer = kind(), trainer_with(folder, callback, keeping, max_epochs=2)
    with pytest.raises(ValueError, match="preempted") if kind is BreaksLater else nullcontext():
        trainer.fit(module, batches(), batches(), **settings)
    return callback


def test_a_fit_from_a_checkpoint_continues_its_run(tmp_path: Path) -> None:
    whole = recorded(saved(tmp_path / "whole"))
    broken = saved(tmp_path / "parts", kind=BreaksLater)
    (checkpoint,) = (tmp_path / "parts").glob("*.ckpt")
    resumed = saved(tmp_path / "parts", ckpt_path=checkpoint, weights_only=False)
    assert resumed.path == broken.path
    run = recorded(resumed)
    assert run.steps[schema.LOSS].tolist() == whole.steps[schema.LOSS].tolist()
    assert run.timesteps.equals(whole.timesteps)
    assert run.events[run.events[schema.KIND] == schema.EVENT_RESUMED][schema.STEP].tolist() == [BATCHES]
    assert [(each.status, each.first_step) for each in run.manifest.earlier] == [("failed", 0)]
    other = saved(tmp_path / "parts", "fine-tuned", ckpt_path=checkpoint, weights_only=False)
    assert recorded(other).steps[schema.STEP].tolist() == list(range(BATCHES, 2 * BATCHES))


def test_each_fit_is_a_run(tmp_path: Path) -> None:
    callback = GraddiagCallback(run="r", root=tmp_path)
    paths = []
    for again in (False, True):
        with pytest.warns(RuntimeWarning, match="There is a run 'r' already") if again else nullcontext():
            trained(tmp_path, callback, max_steps=1)
        paths.append(callback.path)
    assert [path.name for path in paths] == ["r", "r-2"]


def test_a_module_that_clips_by_itself_has_no_policy_of_the_trainer(tmp_path: Path) -> None:
    class Own(Counting):
        def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any, **_: Any) -> None:
            self.clip_gradients(optimizer, gradient_clip_val=0.01, gradient_clip_algorithm="norm")

    callback = GraddiagCallback(run="r", root=tmp_path)
    fit(Own(), tmp_path, callback, max_steps=2)
    run = recorded(callback)
    assert run.manifest.clip is None
    assert math.isclose(run.steps.grad_norm_clipped.iloc[0], 0.01, rel_tol=1e-2)


class InTurn(Counting):
    """Manual optimization: two losses and two optimizers a batch, as of adversaries."""

    def __init__(self, lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__(lr, momentum)
        self.automatic_optimization = False

    def training_step(self, batch: Any, index: int) -> None:
        x, y = batch
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(self.head(self.lstm(x.transpose(0, 1))[0][-1]), y)
            self.manual_backward(loss)
            self.losses.append(loss.item())
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.lstm, self.head)]


def test_manual_optimization_with_several_optimizers_is_a_step_a_round(tmp_path: Path) -> None:
    alone = trained(tmp_path, kind=InTurn)
    callback = GraddiagCallback(run="r", root=tmp_path)
    watched = trained(tmp_path, callback, kind=InTurn)
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), watched.parameters(), strict=True))
    run = recorded(callback)
    assert len(run.steps) == BATCHES
    assert run.steps.loss_0.tolist() == pytest.approx(watched.losses[::2])
    assert run.steps.loss_1.tolist() == pytest.approx(watched.losses[1::2])
    assert (run.steps[["updates_0", "updates_1"]] == 1).all(axis=None)
    assert (run.parameters.update_ratio > 0).all()
    assert run.manifest.clip is None


def test_the_path_is_known_after_the_trainer_has_copied_the_callback(tmp_path: Path) -> None:
    callback = GraddiagCallback(run="r", root=tmp_path)
    trained(tmp_path, copy.deepcopy(callback))
    assert len(recorded(callback).steps) == BATCHES


def test_the_other_package_of_the_same_library_is_as_good(tmp_path: Path) -> None:
    """pytorch_lightning: its classes are not those of lightning.pytorch."""
    other = needs("pytorch_lightning", "lightning")

    class Model(other.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(3, 5)

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return self.gru(batch[0].transpose(0, 1))[0].square().mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.1)

    callback = GraddiagCallback(run="r", root=tmp_path)
    assert isinstance(callback, other.Callback)
    assert isinstance(callback, pl.Callback)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    found = []
    for callbacks in ([], [callback]):
        torch.manual_seed(0)
        model = Model()
        trainer = other.Trainer(
            accelerator="cpu", max_epochs=1, gradient_clip_val=0.5, callbacks=callbacks, default_root_dir=tmp_path,
            enable_model_summary=False, **quiet,
        )  # fmt: skip
        trainer.fit(model, batches())
        found.append(list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    run = recorded(callback)
    assert run.manifest.clip == "norm:0.5"
    assert len(run.steps) == BATCHES
    assert run.timesteps.timestep.nunique() == T


def test_every_below_one_is_refused_at_once() -> None:
    with pytest.raises(SettingError, match=r"every=0: it cannot be below 1"):
        GraddiagCallback(run="r", every=0)


@pytest.mark.slow
def test_two_processes_record_one_run(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.integrations.test_lightning import *\n"
        "folder = Path(sys.argv[1])\n"
        "callback = GraddiagCallback(run='r', root=folder)\n"
        "trained(folder, callback, strategy='ddp', devices=2, gradient_clip_val=0.1)\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NCCL_SOCKET_IFNAME": "lo", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    first = graddiag.load_run(tmp_path / "r")
    second = graddiag.load_run(tmp_path / "r" / "ranks" / "rank-1")
    assert len(first.steps) == len(second.steps) == BATCHES // 2
    assert first.steps.grad_norm.tolist() == second.steps.grad_norm.tolist()
    assert first.timesteps.grad_h.tolist() != second.timesteps.grad_h.tolist()
    assert [run.manifest.status for run in (first, second)] == ["finished"] * 2
