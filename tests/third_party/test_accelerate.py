"""accelerate: what ``prepare`` gives is watched as it is, accumulation and clipping included."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from tests.third_party.trainings import reaches_every_timestep, recorded

accelerate = pytest.importorskip("accelerate", exc_type=ImportError)
pytestmark = [pytest.mark.third_party, pytest.mark.filterwarnings("ignore")]
T, PARTS = 7, 3


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(2, 5)
        self.head = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0])


def train(root: Path | None, *, schedule: bool = False) -> tuple[nn.Module, Path | None]:
    torch.manual_seed(0)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=PARTS)
    plain = Tagger()
    adam = torch.optim.Adam(plain.parameters(), 0.01)
    model, optimizer, scheduler = accelerator.prepare(plain, adam, torch.optim.lr_scheduler.ConstantLR(adam))
    given = scheduler if schedule else optimizer
    recorder = None if root is None else graddiag.watch(model, given, run="r", root=root, clip="norm:0.1")
    for step in range(4 * PARTS):
        x = torch.randn(T, 3, 2, generator=torch.Generator().manual_seed(step))
        with accelerator.accumulate(model):
            loss = (model(x) - x.cumsum(0).mean(-1, keepdim=True)).square().mean()
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 0.1)
            if recorder is not None:
                recorder.log(loss=loss)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    if recorder is not None:
        recorder.close()
    return plain, None if recorder is None else recorder.path


@pytest.mark.parametrize("schedule", [False, True])
def test_a_prepared_optimizer_is_opened_and_micro_batches_are_one_step(schedule: bool, tmp_path: Path) -> None:
    run = recorded(lambda root: train(root, schedule=schedule), tmp_path)
    assert len(run.steps) == 4
    assert run.timesteps[run.timesteps.step == 0].call.nunique() == PARTS
    assert (run.steps.grad_norm_clipped <= 0.1 + 1e-6).all()
    assert run.manifest.optimizer["wrapper"] == ("AcceleratedScheduler" if schedule else "AcceleratedOptimizer")
    reaches_every_timestep(run, T)
