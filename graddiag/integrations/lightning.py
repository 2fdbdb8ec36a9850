"""A callback for the Trainer of Lightning: ``Trainer(callbacks=[GraddiagCallback(run="my-run")])``.

It is a callback of ``lightning.pytorch`` and of ``pytorch_lightning``, of those that are installed: two packages with
separate classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from graddiag.alerts import Callback
from graddiag.errors import StopTraining
from graddiag.integrations.libraries import missing
from graddiag.integrations.settings import RunSettings, plain_values
from graddiag.recorder import Cells, Recorder
from graddiag.schema import OnNonfinite


def _installed() -> list[Any]:
    """lightning.pytorch and pytorch_lightning, as far as they are installed; one of them at least."""
    names = [name for name in ("lightning", "pytorch_lightning") if find_spec(name) is not None] or ["lightning"]
    try:
        return [import_module("lightning.pytorch" if name == "lightning" else name) for name in names]
    except ImportError as error:
        raise missing("lightning", error) from error


_LIBRARIES: Final = _installed()

if TYPE_CHECKING:
    import torch
    from lightning.pytorch import Callback as _Base
    from lightning.pytorch import LightningModule, Trainer
else:
    _Base = type("_Base", tuple(library.Callback for library in _LIBRARIES), {})


@dataclass
class _Watched:
    """What the copies of one callback share: the recorder of the last training, why that was stopped, and the state of
    the recorder in the checkpoint that the next one continues from."""

    recorder: Recorder | None = None
    stopped: StopTraining | None = None
    checkpoint: Mapping[str, Any] | None = None

    def __deepcopy__(self, memo: Any) -> "_Watched":
        return self


class GraddiagCallback(_Base):
    """Records a run for each ``Trainer.fit``; the arguments are those of ``graddiag.watch``.

    A step is an optimizer update: with ``accumulate_grad_batches`` its gradient is the accumulated one, and its
    ``loss`` the mean over those batches, which is what Lightning goes back from. The Trainer's
    ``gradient_clip_val`` becomes the run's clip policy, the module's hyperparameters its configuration. Under mixed
    precision gradients and losses are the unscaled ones. An exception closes the run as failed, Ctrl-C as interrupted.
    With several processes each records its own share of the batch: the run is that of rank 0, the others are inside it.

    Several optimizers (manual optimization) are watched together: a step ends when each has made an update, see
    ``graddiag.watch``. The losses between two updates are then logged as ``loss_0``, ``loss_1`` and so on, after the
    optimizer that makes the update. A trainer may copy the callback: ``path`` of the original is that of the copy.

    Checkpoints of the Trainer hold the state of the recorder: ``fit(..., ckpt_path=...)`` continues the run in its
    folder, where it has the name ``run``; of another name it is a new run that begins at the step of the checkpoint.

    ``StopTraining``, of ``on_nonfinite="stop"`` or of a callback of ``on_finding``, sets ``trainer.should_stop``:
    ``fit`` returns, and the run is closed as failed with the reason.

    Raises:
        SettingError: ``every`` below 1, or a goal that cannot be meant.
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
        on_nonfinite: OnNonfinite = "continue",
        on_finding: Callback | Sequence[Callback] | None = None,
        check_every: int = 200,
    ) -> None:
        about = (run, root, every, experiment, arm, seed, task, loss_reduction, config)
        asked = (on_nonfinite, on_finding, check_every)
        self._settings = RunSettings(*about, goal, better, chance, chance_loss, cells, *asked)
        self._losses: list[torch.Tensor] = []
        self._watched = _Watched()

    @property
    def recorder(self) -> Recorder | None:
        """The recorder of the training that began last; None before one has begun."""
        return self._watched.recorder

    @property
    def path(self) -> Path | None:
        """The folder of the run; None before training begins."""
        return None if self.recorder is None else self.recorder.path

    def state_dict(self) -> dict[str, Any]:
        """The state of the recorder, for a checkpoint; empty before training begins."""
        return {} if self.recorder is None else self.recorder.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """The next training continues the run from there."""
        self._watched.checkpoint = state_dict

    def on_train_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        self._losses = []
        checkpoint, self._watched.checkpoint = self._watched.checkpoint, None
        recorder = self._settings.watch(
            pl_module,
            list(trainer.optimizers),
            clip=_clip(trainer, pl_module),
            scaler=_scaler(trainer),
            config=plain_values(pl_module.hparams) | {"accumulate_grad_batches": trainer.accumulate_grad_batches},
            resume=checkpoint or None,
        )
        recorder.stop_by(partial(self._stop, trainer))
        self._watched.recorder, self._watched.stopped = recorder, None

    def _stop(self, trainer: "Trainer", reason: StopTraining) -> None:
        """``fit`` ends as Lightning ends it: after this batch, with its checkpoints and ``on_train_end``."""
        self._watched.stopped = self._watched.stopped or reason
        trainer.should_stop = True

    def on_before_backward(self, trainer: "Trainer", pl_module: "LightningModule", loss: "torch.Tensor") -> None:
        if self.recorder is not None:
            scaler, loss = _scaler(trainer), loss.detach()
            # the scale as a tensor on the device of the loss, with no wait for it
            self._losses.append(loss if scaler is None else loss / scaler.scale(loss.new_ones(())))

    def on_before_optimizer_step(
        self, trainer: "Trainer", pl_module: "LightningModule", optimizer: "torch.optim.Optimizer"
    ) -> None:
        if self.recorder is not None and self._losses:
            self.recorder.log(**{_loss_name(trainer, optimizer): sum(self._losses[1:], self._losses[0])})
            self._losses = []

    def on_exception(self, trainer: "Trainer", pl_module: "LightningModule", exception: BaseException) -> None:
        if self.recorder is not None:
            self.recorder.__exit__(type(exception), exception, exception.__traceback__)

    def on_train_end(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        if self.recorder is not None:
            stopped = self._watched.stopped
            self.recorder.close(*(("finished", None) if stopped is None else ("failed", f"StopTraining: {stopped}")))


def _loss_name(trainer: "Trainer", optimizer: "torch.optim.Optimizer") -> str:
    """The scalar of a loss: of several optimizers each has one of its own."""
    if len(trainer.optimizers) == 1:
        return "loss"
    raw = getattr(optimizer, "optimizer", optimizer)
    return next((f"loss_{i}" for i, each in enumerate(trainer.optimizers) if each is raw), "loss")


def _clip(trainer: "Trainer", module: "LightningModule") -> str | None:
    """What the Trainer does to gradients, as a clip policy; None where the module clips by itself."""
    plain = [library.LightningModule.configure_gradient_clipping for library in _LIBRARIES]
    own = type(module).configure_gradient_clipping
    if own not in plain or not module.automatic_optimization:
        return None
    if not trainer.gradient_clip_val:
        return "none"
    algorithm = trainer.gradient_clip_algorithm
    return f"{'norm' if algorithm is None else algorithm.value}:{trainer.gradient_clip_val:g}"


def _scaler(trainer: "Trainer") -> "torch.amp.GradScaler | None":
    return getattr(trainer.precision_plugin, "scaler", None)
