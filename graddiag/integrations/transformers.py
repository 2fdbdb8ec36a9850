"""A callback for the Trainer of Hugging Face's transformers: ``Trainer(callbacks=[GraddiagCallback(run="mine")])``."""

import atexit
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import torch

from graddiag.alerts import Callback
from graddiag.errors import StopTraining
from graddiag.integrations.libraries import missing
from graddiag.integrations.settings import RunSettings, plain_values
from graddiag.recorder import Cells, Recorder
from graddiag.schema import OnNonfinite, Status

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
except ImportError as error:
    raise missing("transformers", error) from error

_STATE: Final = "graddiag.pt"
_ARGUMENTS = ("max_grad_norm", "gradient_accumulation_steps", "per_device_train_batch_size", "learning_rate", "seed")


class GraddiagCallback(TrainerCallback):
    """Records a run for each ``Trainer.train()``; the arguments are those of ``graddiag.watch``.

    A step is an optimizer update. Its ``loss`` is what the model gives as its loss, over the batches of
    ``gradient_accumulation_steps`` as the Trainer takes them together; a loss that the Trainer computes outside of the
    model (``compute_loss_func``, label smoothing) cannot be seen from a callback and is missing. ``max_grad_norm``
    becomes the clip policy. With several processes each records its own share of the batch: the run is that of rank 0,
    the others are inside it.

    Each checkpoint of the Trainer gets a file ``graddiag.pt`` with the state of the recorder.
    ``train(resume_from_checkpoint=True)`` continues the run in its folder, where it has the name ``run``; of another
    name it is a new run that begins at the step of the checkpoint. A checkpoint outside of ``output_dir`` has to be
    named in the arguments too (``TrainingArguments(resume_from_checkpoint=...)``).

    The Trainer tells a callback nothing of an exception. A run that it broke off is closed as failed when the process
    ends, or as interrupted when the next training begins; ``with callback: trainer.train()`` closes it at once.

    ``StopTraining``, of ``on_nonfinite="stop"`` or of a callback of ``on_finding``, sets
    ``control.should_training_stop``: ``train`` returns, and the run is closed as failed with the reason.

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
        self._losses = _Losses()
        self._open = ExitStack()
        self.recorder: Recorder | None = None
        self._stopped: StopTraining | None = None

    @property
    def path(self) -> Path | None:
        """The folder of the run; None before training begins."""
        return None if self.recorder is None else self.recorder.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.recorder is not None:
            self.recorder.__exit__(kind, error, tb)
        self._open.close()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        **_: Any,
    ) -> None:
        self._close("interrupted", "The training was broken off, and another one began.")
        self._losses.clear()
        saved = _saved(args, state)
        self.recorder = self._settings.watch(
            model, optimizer, clip=_clip(args), scaler=None, config=_config(args), resume=saved
        )
        self._stopped = None
        self.recorder.stop_by(self._stop)
        hook = model.register_forward_hook(self._losses, with_kwargs=True)
        atexit.register(self._at_exit)
        self._open.callback(atexit.unregister, self._at_exit)
        self._open.callback(hook.remove)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        loss = self._losses.take()
        if self.recorder is not None and loss is not None:
            self.recorder.log(loss=loss)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._stopped is not None:
            control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        folder = _checkpoint(args, state)
        if self.recorder is not None and state.is_world_process_zero and folder.is_dir():
            with suppress(OSError):  # of a disk that is full: the Trainer's own files are there
                torch.save(self.recorder.state_dict(), folder / _STATE)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._stopped is None:
            self._close("finished")
        else:
            self._close("failed", f"StopTraining: {self._stopped}")

    def _stop(self, reason: StopTraining) -> None:
        """The Trainer ends after this step, as it ends by itself."""
        self._stopped = self._stopped or reason

    def _close(self, status: Status, error: str | None = None) -> None:
        if self.recorder is not None:
            self.recorder.close(status, error)
        self._open.close()

    def _at_exit(self) -> None:
        """The process ends and the run is open: what Python printed last is why."""
        error = getattr(sys, "last_value", None)
        if self.recorder is not None and error is not None:
            self.recorder.__exit__(type(error), error, error.__traceback__)


class _Losses:
    """A forward hook that keeps the losses of a step's batches, and stays behind when the model is copied or saved."""

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []
        self._whole = False

    def __call__(self, module: torch.nn.Module, args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        loss = _loss_of(output)
        if loss is not None and loss.requires_grad:
            self._losses.append(loss.detach().mean())
            self._whole = kwargs.get("num_items_in_batch") is not None

    def __reduce__(self) -> "tuple[type[_Losses], tuple[()]]":
        return _Losses, ()

    def take(self) -> torch.Tensor | None:
        """The loss of the step: the mean over its batches, or their sum where each is a share of the whole already."""
        losses, whole = self._losses, self._whole
        self.clear()
        if not losses:
            return None
        total = sum(losses[1:], losses[0])
        return total if whole else total / len(losses)

    def clear(self) -> None:
        self._losses, self._whole = [], False


def _loss_of(output: Any) -> torch.Tensor | None:
    """As the Trainer finds it: ``output["loss"]``, or the first of a tuple."""
    if isinstance(output, Mapping):
        return output.get("loss")
    return output[0] if isinstance(output, tuple) else None


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    """Where the Trainer keeps the checkpoint of the present step."""
    return Path(args.output_dir or ".") / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


def _saved(args: TrainingArguments, state: TrainerState) -> Mapping[str, Any] | None:
    """The state of the recorder in the checkpoint that the training continues from; None where there is none."""
    named = args.resume_from_checkpoint
    folders = [_checkpoint(args, state), *([Path(named)] if isinstance(named, str) else [])]
    found = [folder / _STATE for folder in folders if (folder / _STATE).is_file()]
    return torch.load(found[-1], weights_only=True) if state.global_step and found else None


def _clip(args: TrainingArguments) -> str:
    return f"norm:{args.max_grad_norm:g}" if args.max_grad_norm else "none"


def _config(args: TrainingArguments) -> dict[str, Any]:
    return plain_values({name: getattr(args, name) for name in _ARGUMENTS})
