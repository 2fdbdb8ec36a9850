"""Lightning Fabric: what ``fabric.setup`` gives is watched as it is."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from tests.needs import needs

lightning = needs("lightning.fabric", "lightning")
pytestmark = pytest.mark.filterwarnings("ignore")
T, STEPS, MICRO = 7, 6, 2


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5, num_layers=2)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x)[0])


def train(root: Path | None, micro: int) -> tuple[nn.Module, Path | None]:
    """``micro`` batches a step, whose gradients Fabric adds."""
    torch.manual_seed(0)
    fabric = lightning.Fabric(accelerator="cpu", devices=1)
    inner = Tagger()
    model, optimizer = fabric.setup(inner, torch.optim.AdamW(inner.parameters(), 0.01))
    recorder = None
    if root is not None:
        recorder = graddiag.watch(model, optimizer, run="fabric", root=root, clip="norm:0.5")
    x = torch.randn(STEPS * micro, T, 4, 3)
    for index, batch in enumerate(x):
        last = index % micro == micro - 1
        with fabric.no_backward_sync(model, enabled=not last):
            loss = model(batch).square().mean() / micro
            fabric.backward(loss)
        if last:
            fabric.clip_gradients(model, optimizer, max_norm=0.5)
            if recorder is not None:
                recorder.log(loss=loss)
            optimizer.step()
            optimizer.zero_grad()
    if recorder is not None:
        recorder.close()
    return inner, None if recorder is None else recorder.path


@pytest.mark.parametrize("micro", [1, MICRO])
def test_a_prepared_model_and_optimizer(micro: int, tmp_path: Path) -> None:
    bare, _ = train(None, micro)
    watched, folder = train(tmp_path, micro)
    assert all(torch.equal(a, b) for a, b in zip(bare.parameters(), watched.parameters(), strict=True))
    assert folder is not None
    run = graddiag.load_run(folder)
    assert run.manifest.status == "finished"
    assert run.manifest.optimizer["class"] == "AdamW"
    assert len(run.steps) == STEPS
    assert run.timesteps.timestep.nunique() == T
    assert (run.timesteps.grad_h > 0).all()
    assert (run.steps.grad_norm_clipped <= 0.5 + 1e-6).all()
