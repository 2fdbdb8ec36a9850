"""A Lightning training with graddiag beside it: the callback, and nothing else.

The Trainer clips; the run has the norm of every step before and after it, under the policy that the Trainer was given.
Run it: python examples/lightning_loop.py (pip install 'graddiag[lightning]')
"""

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import graddiag
from graddiag.integrations.lightning import GraddiagCallback

LENGTH, BATCH = 40, 25


class Adding(pl.LightningModule):
    """The adding problem: the sum of the two numbers of a sequence that are marked."""

    def __init__(self, hidden: int = 32, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.gru = nn.GRU(2, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        sequences, sums = batch
        return nn.functional.mse_loss(self.head(self.gru(sequences)[0][:, -1]), sums)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def sequences(count: int = 1000) -> TensorDataset:
    """[count, LENGTH, 2], numbers and marks, one in each half; and the sums, [count, 1]."""
    values, marks = torch.rand(count, LENGTH), torch.zeros(count, LENGTH)
    for first in (0, LENGTH // 2):
        marks.scatter_(1, torch.randint(first, first + LENGTH // 2, (count, 1)), 1.0)
    return TensorDataset(torch.stack([values, marks], dim=-1), (values * marks).sum(1, keepdim=True))


def main() -> None:
    pl.seed_everything(0)
    watching = GraddiagCallback(run="gru", root="runs", experiment="adding", every=5, seed=0, loss_reduction="mean")
    trainer = pl.Trainer(
        max_epochs=2,
        gradient_clip_val=0.5,
        callbacks=[watching],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(Adding(), DataLoader(sequences(), batch_size=BATCH, shuffle=True))

    run = graddiag.load_run(watching.path)
    clipped = (run.steps.clip_coefficient < 1).mean()
    print(f"\n{len(run.steps)} steps under {run.manifest.clip}: {clipped:.0%} of them were clipped.")
    print(graddiag.diagnose(run))


if __name__ == "__main__":
    main()
