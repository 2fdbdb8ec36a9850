"""A callback for the Trainer of Lightning: ``Trainer(callbacks=[GraddiagCallback(run="my-run")])``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graddiag.errors import SettingError
from graddiag.integrations.libraries import missing
from graddiag.integrations.settings import RunSettings, plain_values
from graddiag.recorder import Cells, Recorder

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise missing("lightning", error) from error

if TYPE_CHECKING:
    import torch


class GraddiagCallback(Callback):
    """Records a run for each ``Trainer.fit``; the arguments are those of ``graddiag.watch``.

    A step is an optimizer update: with ``accumulate_grad_batches`` its gradient is the accumulated one, and its
    ``loss`` the mean over those batches, which is what Lightning goes back from. The Trainer's
    ``gradient_clip_val`` becomes the run's clip policy, the module's hyperparameters its configuration. Under mixed
    precision gradients and losses are the unscaled ones. An exception closes the run as failed, Ctrl-C as interrupted.
    With several processes each records its own share of the batch: the run is that of rank 0, the others are inside it.

    Raises:
        SettingError: ``every`` below 1, or a goal that cannot be meant; when training begins, a module with several
            optimizers.
    """

    def __init__(
        self,
        *,
        run: str,
        root: str | Path = "runs",
        every: int = 1,
        experiment: str | None = None,
        arm: str | None = None,
        seed: int | None = None,
        task: str | None = None,
        loss_reduction: str | None = None,
        goal: str | None = None,
        better: Literal["lower", "higher"] | None = None,
        chance: float | None = None,
        chance_loss: float | str | None = None,
        cells: Cells | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        about = (run, root, every, experiment, arm, seed, task, loss_reduction, config)
        self._settings = RunSettings(*about, goal, better, chance, chance_loss, cells)
        self._losses: list[torch.Tensor] = []
        self.recorder: Recorder | None = None

    @property
    def path(self) -> Path | None:
        """The folder of the run; None before training begins."""
        return None if self.recorder is None else self.recorder.path

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._losses = []
        self.recorder = self._settings.watch(
            pl_module,
            _only_optimizer(trainer, pl_module),
            clip=_clip(trainer, pl_module),
            scaler=_scaler(trainer),
            config=plain_values(pl_module.hparams) | {"accumulate_grad_batches": trainer.accumulate_grad_batches},
        )

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: "torch.Tensor") -> None:
        if self.recorder is not None:
            scaler, loss = _scaler(trainer), loss.detach()
            # the scale as a tensor on the device of the loss, with no wait for it
            self._losses.append(loss if scaler is None else loss / scaler.scale(loss.new_ones(())))

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: "torch.optim.Optimizer"
    ) -> None:
        if self.recorder is not None and self._losses:
            self.recorder.log(loss=sum(self._losses[1:], self._losses[0]))
            self._losses = []

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self.recorder is not None:
            self.recorder.__exit__(type(exception), exception, exception.__traceback__)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.recorder is not None:
            self.recorder.close()


def _only_optimizer(trainer: Trainer, module: LightningModule) -> "torch.optim.Optimizer":
    if len(trainer.optimizers) == 1:
        return trainer.optimizers[0]
    raise SettingError(
        f"GraddiagCallback: {type(module).__name__} has {len(trainer.optimizers)} optimizers, and a step of a run ends "
        "with one. Watch each part by itself: graddiag.watch(self.generator, optimizer, run=...) in on_train_start."
    )


def _clip(trainer: Trainer, module: LightningModule) -> str | None:
    """What the Trainer does to gradients, as a clip policy; None where the module clips by itself."""
    own = type(module).configure_gradient_clipping is not LightningModule.configure_gradient_clipping
    if own or not module.automatic_optimization:
        return None
    if not trainer.gradient_clip_val:
        return "none"
    algorithm = trainer.gradient_clip_algorithm
    return f"{'norm' if algorithm is None else algorithm.value}:{trainer.gradient_clip_val:g}"


def _scaler(trainer: Trainer) -> "torch.amp.GradScaler | None":
    return getattr(trainer.precision_plugin, "scaler", None)
