"""GraddiagCallback with the Trainer of transformers, the real one, on models written here."""

import copy
import io
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

import graddiag
from graddiag import schema
from graddiag.errors import SettingError
from tests.needs import needs

needs("transformers", "transformers")
needs("accelerate", "transformers")
from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments

from graddiag.integrations.transformers import GraddiagCallback

# what transformers and accelerate say of each other and of torch; graddiag's own warnings are RuntimeWarnings
OF_TRANSFORMERS = (UserWarning, FutureWarning, DeprecationWarning)
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind.__name__}") for kind in OF_TRANSFORMERS]

T, BATCH, BATCHES = 6, 4, 6


class Tagger(nn.Module):
    """A plain module: it takes labels and gives its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.head = nn.Linear(5, 2)
        self.losses: list[float] = []

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.head(self.lstm(x)[0][:, -1])
        loss = nn.functional.cross_entropy(logits, labels)
        if self.training:
            self.losses.append(loss.item())
        return {"loss": loss, "logits": logits}


class Pretrained(PreTrainedModel):
    """A model that divides by the number of items in the whole step, as causal language models do."""

    config_class = PretrainedConfig

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.head = nn.Linear(5, 2)
        self.losses: list[float] = []

    def forward(self, x: torch.Tensor, labels: torch.Tensor, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.head(self.lstm(x)[0][:, -1])
        items = kwargs.get("num_items_in_batch", len(labels))
        loss = nn.functional.cross_entropy(logits, labels, reduction="sum") / items
        self.losses.append(loss.item())
        return loss, logits


class Sequences(Dataset):
    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(2)
        self.x = torch.randn(BATCH * BATCHES, T, 3, generator=generator)
        self.labels = (self.x.sum((1, 2)) > 0).long()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": self.x[index], "labels": self.labels[index]}


def trainer_of(model: nn.Module, folder: Path, *callbacks: GraddiagCallback, **settings: Any) -> Trainer:
    settings = {"max_grad_norm": 0.1, "num_train_epochs": 1, "optim": "sgd", "learning_rate": 0.5, **settings}
    args = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=BATCH,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        logging_steps=1,
        **{"save_strategy": "no", **settings},
    )
    return Trainer(model, args, train_dataset=Sequences(), eval_dataset=Sequences(), callbacks=list(callbacks))


def trained(folder: Path, *callbacks: GraddiagCallback, kind: Any = Tagger, **settings: Any) -> Trainer:
    torch.manual_seed(0)
    model = kind(PretrainedConfig()) if kind is Pretrained else kind()
    trainer = trainer_of(model, folder, *callbacks, **settings)
    trainer.train()
    return trainer


def recorded(callback: GraddiagCallback) -> graddiag.Run:
    assert callback.path is not None
    return graddiag.load_run(callback.path)


SETTINGS = [{}, {"gradient_accumulation_steps": 2}, {"kind": Pretrained, "gradient_accumulation_steps": 3}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_training_with_the_callback_is_the_same_to_the_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    alone = trained(tmp_path, **settings).model.state_dict()
    watched = trained(tmp_path, GraddiagCallback(run="r", root=tmp_path), **settings).model.state_dict()
    for name, parameter in alone.items():
        assert torch.equal(parameter, watched[name]), name


def test_the_numbers_are_those_of_the_trainer(tmp_path: Path) -> None:
    callback = GraddiagCallback(run="r", root=tmp_path, every=2)
    trainer = trained(tmp_path, callback)
    run = recorded(callback)
    assert run.steps.step.tolist() == list(range(BATCHES))
    assert run.steps.loss.tolist() == trainer.model.losses
    # the Trainer logs the norm before it clips
    logged = [float(entry["grad_norm"]) for entry in trainer.state.log_history if "grad_norm" in entry]
    assert run.steps.grad_norm.tolist() == pytest.approx(logged, rel=1e-5)
    clipped = [norm * min(1, 0.1 / (norm + 1e-6)) for norm in logged]
    assert run.steps.grad_norm_clipped.tolist() == pytest.approx(clipped, rel=1e-5)
    assert sorted(set(run.timesteps.step)) == [0, 2, 4]
    assert set(run.timesteps.module) == {"lstm"}
    assert (run.manifest.status, run.manifest.clip) == ("finished", "norm:0.1")
    assert run.manifest.config["learning_rate"] == 0.5


@pytest.mark.parametrize("kind", [Tagger, Pretrained])
def test_a_step_of_accumulated_batches_is_one_step_with_all_of_them(kind: Any, tmp_path: Path) -> None:
    callback = GraddiagCallback(run="r", root=tmp_path)
    trainer = trained(tmp_path, callback, kind=kind, gradient_accumulation_steps=4)
    run = recorded(callback)
    assert len(run.steps) == 2  # of four batches, and of the two that were left
    losses = trainer.model.losses
    each = sum if kind is Pretrained else lambda some: sum(some) / len(some)
    assert run.steps.loss.tolist() == pytest.approx([each(losses[:4]), each(losses[4:])], rel=1e-6)
    logged = [float(entry["loss"]) for entry in trainer.state.log_history if "grad_norm" in entry]
    assert run.steps.loss.tolist() == pytest.approx(logged, rel=1e-3)  # which rounds
    assert [sorted(calls) for calls in run.timesteps.groupby("step").call.unique()] == [[0, 1, 2, 3], [0, 1]]


def test_passes_of_an_evaluation_are_not_recorded(tmp_path: Path) -> None:
    callback = GraddiagCallback(run="r", root=tmp_path)
    trainer = trainer_of(Tagger(), tmp_path, callback, eval_strategy="steps", eval_steps=1)
    trainer.train()
    run = recorded(callback)
    assert set(run.timesteps.call) == {0}
    assert run.steps.loss.tolist() == trainer.model.losses


def test_a_loss_that_the_model_does_not_give_is_missing(tmp_path: Path) -> None:
    class Logits(Tagger):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.head(self.lstm(x)[0][:, -1])}

    callback = GraddiagCallback(run="r", root=tmp_path)
    trainer = trainer_of(Logits(), tmp_path, callback, remove_unused_columns=False)
    trainer.compute_loss_func = lambda outputs, labels, **_: nn.functional.cross_entropy(outputs["logits"], labels)
    trainer.train()
    run = recorded(callback)
    assert len(run.steps) == BATCHES
    assert run.steps.loss.isna().all()
    assert run.steps.grad_norm.gt(0).all()


class Breaks(Tagger):
    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        if len(self.losses) == 3:
            raise ValueError("no more")
        return super().forward(x, labels)


def test_an_exception_inside_of_with_closes_the_run_as_failed(tmp_path: Path) -> None:
    callback = GraddiagCallback(run="r", root=tmp_path)
    trainer = trainer_of(Breaks(), tmp_path, callback)
    with pytest.raises(ValueError, match="no more"), callback:
        trainer.train()
    run = recorded(callback)
    assert (run.manifest.status, run.manifest.error) == ("failed", "ValueError: no more")
    assert len(run.steps) == 3
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in trainer.model.modules())


def test_a_training_that_was_broken_off_is_closed_when_the_next_one_begins(tmp_path: Path) -> None:
    callback = GraddiagCallback(run="r", root=tmp_path)
    trainer = trainer_of(Breaks(), tmp_path, callback)
    with pytest.raises(ValueError, match="no more"):
        trainer.train()
    broken = callback.path
    trainer.model.losses.clear()
    with pytest.raises(ValueError, match="no more"), pytest.warns(RuntimeWarning, match="a run 'r' already"), callback:
        trainer.train()
    assert graddiag.load_run(broken).manifest.status == "interrupted"
    assert callback.path.name == "r-2"


def saving(folder: Path, run: str = "r", kind: type[Tagger] = Tagger, **settings: Any) -> GraddiagCallback:
    """Trains with a checkpoint after every second step."""
    torch.manual_seed(0)
    callback, chosen = GraddiagCallback(run=run, root=folder), {"save_strategy": "steps", "save_steps": 2}
    trainer = trainer_of(kind(), folder, callback, **chosen)
    with pytest.raises(ValueError, match="no more") if kind is Breaks else nullcontext(), callback:
        trainer.train(**settings)
    return callback


def test_a_training_that_is_resumed_from_a_checkpoint_continues_its_run(tmp_path: Path) -> None:
    """It breaks off after a checkpoint and one more step; what is recorded is what one training would have."""
    whole = recorded(saving(tmp_path / "whole"))
    broken = saving(tmp_path / "parts", kind=Breaks)
    resumed = saving(tmp_path / "parts", resume_from_checkpoint=True)
    assert resumed.path == broken.path
    run = recorded(resumed)
    assert run.steps[schema.LOSS].tolist() == whole.steps[schema.LOSS].tolist()
    assert run.timesteps.equals(whole.timesteps)
    assert [(each.status, each.first_step) for each in run.manifest.earlier] == [("failed", 0)]
    assert run.events[run.events[schema.KIND] == schema.EVENT_RESUMED][schema.STEP].tolist() == [2]


def test_a_checkpoint_continued_under_another_name_or_without_a_state_is_a_new_run(tmp_path: Path) -> None:
    saving(tmp_path)
    places = [tmp_path / "trainer" / f"checkpoint-{step}" for step in (2, 4)]
    (places[0] / "graddiag.pt").unlink()
    other = saving(tmp_path, "fine-tuned", resume_from_checkpoint=str(places[1]))
    assert recorded(other).steps[schema.STEP].tolist() == [4, 5]
    without = saving(tmp_path, "without", resume_from_checkpoint=str(places[0]))
    assert recorded(without).steps[schema.STEP].tolist() == list(range(4))


@pytest.mark.slow
def test_an_exception_that_ends_the_process_closes_the_run_as_failed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.integrations.test_transformers import *\n"
        "folder = Path(sys.argv[1])\n"
        "trainer_of(Breaks(), folder, GraddiagCallback(run='r', root=folder)).train()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert "ValueError: no more" in done.stderr
    manifest = graddiag.load_run(tmp_path / "r").manifest
    assert (manifest.status, manifest.error) == ("failed", "ValueError: no more")


def test_a_watched_model_is_copied_and_saved_as_before(tmp_path: Path) -> None:
    class Copies(GraddiagCallback):
        def on_step_end(self, *args: Any, model: nn.Module, **_: Any) -> None:
            copies.append(copy.deepcopy(model))
            torch.save(model, io.BytesIO())

    copies: list[nn.Module] = []
    callback = Copies(run="r", root=tmp_path)
    trainer = trained(tmp_path, callback)
    assert len(copies) == len(recorded(callback).steps) == BATCHES
    assert torch.equal(copies[-1].head.weight, trainer.model.head.weight)


def test_every_below_one_is_refused_at_once() -> None:
    with pytest.raises(SettingError, match=r"every=0: it cannot be below 1"):
        GraddiagCallback(run="r", every=0)
