"""``watch``: records a training as it happens, without changing a bit of it."""

import atexit
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from graddiag import schema
from graddiag.alerts import Callback, FindingChecks, checked_callbacks
from graddiag.clipping.thresholds import ThresholdSweep, counterfactual, own_threshold
from graddiag.deprecation import renamed_attribute
from graddiag.errors import SettingError, StopTraining
from graddiag.goal import with_goal
from graddiag.kinds import Nonlinearity
from graddiag.recording.held_signals import held_signals
from graddiag.recording.manifest import check_intervals, checked_seed, new_manifest, open_writer
from graddiag.recording.ranks import rank
from graddiag.recording.resumption import Resume as Resume
from graddiag.recording.resumption import log_origin, recorder_state, resumption_of
from graddiag.recording.rows import counterfactual_columns
from graddiag.recording.scalars import checked_scalar
from graddiag.recording.shares import check_settings
from graddiag.recording.step_measures import Scalar
from graddiag.recording.step_recorder import StepRecorder
from graddiag.recording.stopping import Stopping, checked_on_nonfinite
from graddiag.recording.unwrapping import WatchedOptimizer, watched_optimizers
from graddiag.representation import notebook_html, one_line
from graddiag.store import RunWriter, ending, load_run
from graddiag.tracing.compiled import uncompiled
from graddiag.tracing.custom import Cells as Cells
from graddiag.tracing.custom import followed_cells
from graddiag.tracing.custom.cell_call import CellForm
from graddiag.tracing.hooks import load_kernels
from graddiag.tracing.support import check_supported, without_compiler

if TYPE_CHECKING:
    from graddiag.analysis import Diagnosis


def watch(
    module: nn.Module,
    /,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    *,
    run: str,
    root: str | Path = "runs",
    every: int = 1,
    snapshot_every: int | None = None,
    scaler: torch.amp.GradScaler | None = None,
    cells: Cells | None = None,
    experiment: str | None = None,
    arm: str | None = None,
    seed: int | None = None,
    task: str | None = None,
    model: str | None = None,
    clip: str | None = None,
    loss_reduction: str | None = None,
    goal: str | None = None,
    better: Literal["lower", "higher"] | None = None,
    chance: float | None = None,
    chance_loss: float | str | None = None,
    config: Mapping[str, Any] | None = None,
    resume: Resume = None,
    on_nonfinite: schema.OnNonfinite = "continue",
    on_finding: Callback | Sequence[Callback] | None = None,
    check_every: int = 200,
) -> "Recorder":
    """Records the training of ``module`` into a run folder; the training loop stays as it is.

    ``optimizer.step()`` ends a step. Of every step the loss you log and the gradient norms before and after clipping
    are kept; of every ``every``-th one also the gradient at each timestep, the gates and each parameter's update.
    Gradients are taken as ``backward()`` leaves them and once more just before the update, so clipping of any kind in
    between is seen. On the CPU the trained parameters are the same bits as without graddiag.

    In a distributed training call it in every rank, or in rank 0 alone: the run is rank 0's folder, and what the others
    measured on their own batches is in ``ranks/rank-R`` inside it. Under FSDP2 (``fully_shard``, before or after it)
    call it in every rank: ``load_run`` puts the ranks together, and its norms are those of the whole gradient.

    Args:
        module: the model; its torch.nn (or graddiag.nn) RNN, LSTM and GRU layers are found by themselves.
        optimizer: ends a step at each ``step()``; without one call ``recorder.step()`` after the update. Wrappers of
            accelerate, Lightning and fastai, schedules, and SAM's kind are opened. Of a list a step is a round: it ends
            when each optimizer has made an update, and of several updates by one the last is recorded.
        run: name of the run; its folder is ``root/[experiment/]run``, with ``-2``, ``-3`` added when taken (a warning).
        root: the folder of the runs, or a URL of fsspec (``s3://bucket/prefix``): the run is recorded on this machine
            and uploaded by a thread meanwhile; a network that fails stops nothing.
        every: record the timesteps of every so many steps, from step 0 on.
        snapshot_every: take a snapshot at every so many steps, a multiple of ``every``: each unit's gradient and gates
            at each timestep, the credit matrix, the leading Lyapunov exponents of the state, and the whole spectrum of
            W_hh. None takes none. A snapshot of a layer has T x H rows (T = 100, H = 256: 0.2 to 0.4 MB on the disk),
            and its step takes three to five times as long as a recorded one. Between 25% and 33% of what it adds are
            the exponents, of eight directions and four samples at most.
        cells: further modules to follow, whose call takes a state and gives the next one: a module of the model, its
            name, its class, several of these, or a mapping of them to ``graddiag.CellCall`` or to the argument that
            holds the state. ``()``: there are none, and no warning that nothing is followed.
        scaler: the GradScaler of a mixed-precision loop; gradients are then recorded unscaled, and its scale as the
            scalar ``amp_scale``. An update that it skips is no step, and is counted in ``updates_skipped``. A scaler
            that is not given is recognized at the first update.
        experiment, arm, seed, task, model, clip, config: what the run is, for lists, comparisons and reports.
        loss_reduction: how the loss is reduced (e.g. "mean over batch and timesteps"); a clip threshold means nothing
            without it.
        goal: name of the logged scalar that the training is judged by (``val_loss``, ``accuracy``); better: which way
            it improves; chance: the value that guessing reaches.
        chance_loss: the loss of guessing, as a number or as text (``ln 4``). These four are kept in ``config``.
        resume: continues the run of this name in its folder. What ``recorder.state_dict()`` gave at a checkpoint: from
            there on; a number of steps: from that step on; True: after its last step. Recorded steps from there on are
            replaced. Where there is no such run, or it cannot be continued, a new one begins at that step, and a
            warning says why. None begins a new run; False too, with no warning where the name is taken.
        on_nonfinite: what to do with an update whose gradient, after clipping, has NaN or inf. ``continue``: it is
            made. ``skip``: it is left out, and weights and the optimizer's state stay as they are; it is no step, and
            is counted in ``updates_skipped``. ``stop``: ``StopTraining`` is raised before it. In a distributed training
            set it in every rank. A GradScaler leaves such updates out by itself.
        on_finding: a function, or several, called with a ``graddiag.alerts.Alert`` when a cause or an outcome that is
            a failure appears in the diagnosis of the running training, and when it clears; ready-made ones are in
            ``graddiag.alerts``. An error in it is a warning; ``StopTraining`` ends the training. In rank 0 alone.
        check_every: diagnose after so many steps; later, where it would take more than 2% of the time. And once when
            the run ends, finished or failed.

    Raises:
        SettingError: ``every`` below 1, ``snapshot_every`` not a multiple of it, a goal that ``config`` contradicts, or
            an optimizer that holds none of the model's parameters, ``cells`` that the model does not hold, or a
            ``resume`` that is no state and no step.
        UnsupportedError: a part of the model cannot be measured exactly (a compiled cell, scripted, FSDP1), by name.
        InputError: ``root`` cannot be written, or at a URL refuses.
        MissingLibraryError: ``root`` is a URL, and the library for it is not installed.
    """
    check_intervals(every, snapshot_every)
    settings = with_goal(config, goal=goal, better=better, chance=chance, chance_loss=chance_loss)
    check_supported(module)
    module = without_compiler(module)
    watched = watched_optimizers(module, optimizer)
    stopping = Stopping(checked_on_nonfinite(on_nonfinite, has_optimizer=bool(watched)))
    callbacks = checked_callbacks(on_finding, check_every) if rank() == 0 else ()
    followed = None if cells is None else followed_cells(module, cells)
    check_settings(module, on_nonfinite, followed or ())
    about = {
        "experiment": experiment,
        "arm": arm,
        "seed": checked_seed(seed),
        "task": task,
        "model": model or type(module).__name__,
        "clip": clip,
        "loss_reduction": loss_reduction,
        "snapshot_every": snapshot_every,
        "config": settings,
    }
    resumption = resumption_of(resume, run, experiment)
    load_kernels(module)  # while there is no run yet that an interruption would leave behind
    manifest = new_manifest(module, watched, run, every, about)
    writer = open_writer(root, manifest, None if resumption is None else resumption.point)
    try:
        log_origin(writer, resumption, expected=resume is False)
        counts = resumption.counts if resumption is not None and writer.origin.continues else None
        recorder = Recorder(module, watched, writer, every, scaler, followed, counts, stopping)
    except BaseException:
        writer.discard()
        raise
    if callbacks:
        recorder.call_back(callbacks, check_every)
    return recorder


class Recorder:
    """One training under observation; made by ``watch``. Leave its ``with``, or call ``close()``, to end the run."""

    def __init__(
        self,
        module: nn.Module,
        watched: Sequence[WatchedOptimizer],
        writer: RunWriter,
        every: int,
        scaler: torch.amp.GradScaler | None = None,
        cells: Mapping[str, CellForm] | None = None,
        counts: Mapping[str, Any] | None = None,
        stopping: Stopping | None = None,
    ) -> None:
        self._module = module
        self._stopping = stopping or Stopping()
        self._writer = writer
        self._closed = False
        self._checks: FindingChecks | None = None
        self._steps = StepRecorder(module, watched, writer, every, scaler, cells, counts, self._stopping)
        atexit.register(self._abandon)
        try:
            self._steps.warn()
        except RuntimeWarning as refused:  # a filter makes errors of warnings
            self.close("failed", str(refused))
            raise

    def __repr__(self) -> str:
        return one_line(self, f"{self.url or self.path}: {self._writer.manifest.status}", f"step {self._steps.step}")

    def _repr_html_(self) -> str:
        return notebook_html(self)

    @property
    def path(self) -> Path:
        """The run's folder; of a run whose root is a URL the one on this machine that it is uploaded from."""
        return self._writer.path

    @property
    def url(self) -> str | None:
        """Where the run is uploaded to; None where its root is a folder."""
        return self._writer.url

    @uncompiled
    def log(self, **scalars: Scalar) -> None:
        """Keeps scalars of the step that the next update ends: ``log(loss=loss, ppl=ppl)``. A tensor is not waited for.

        Raises:
            SettingError: a name that the steps table keeps for itself (``grad_norm``, ``step``, ...), or a value
                that is no number: text, a vector, a complex number, or one that no float holds; nothing is kept then.
        """
        self._steps.log({name: checked_scalar(name, value) for name, value in scalars.items()})

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs for ``watch(..., resume=...)``: the run, the step, and what is counted over the run.

        Call it between two steps, where the model and the optimizer are saved. It waits until all that was recorded so
        far is on the disk. It holds numbers, text and small tensors (of the loss: a sum for each output of the model).
        """
        return recorder_state(self._writer.manifest, self._steps.step, self._steps.counts())

    def diagnose(self) -> "Diagnosis":
        """The diagnosis of what has been recorded so far, as ``graddiag.diagnose`` gives it of the run's folder.

        It waits until all steps that have ended are on the disk, and changes nothing of the training. It reads every
        table of the run: of a long one that takes seconds.
        """
        from graddiag.analysis import diagnose  # when it is first asked for: it takes a while to load

        if not self._closed:
            self._steps.flush()
        return diagnose(load_run(self.path))

    @uncompiled
    def tap(self, name: str, tensor: Tensor) -> Tensor:
        """Records the total gradient of ``tensor`` [N, ...], and returns it: ``h = recorder.tap("cell", h)``.

        For a loop over time without a module: call it once per timestep, in their order, on the state. What comes out
        of ``backward()`` for that tensor, through every path, is the column ``grad_h`` of the module ``name``; what it
        sends to the tensor tapped before, through all that lies between, gives the transport gain and the immediate
        gradient. These two are missing where a custom autograd function or a checkpoint lies between, or more than
        2,000 operations.

        Raises:
            SettingError: ``name`` is a recurrent module of the model.
        """
        return self._steps.layers.tap(name, tensor)

    @uncompiled
    def gate(self, name: str, values: Tensor, *, activation: Nonlinearity = "sigmoid", of: str | None = None) -> Tensor:
        """Records a gate of a cell that graddiag has no equations of, and returns it: ``recorder.gate("forget", f)``.

        Call it inside the cell's forward or right after the call, once for each timestep; with ``tap`` after it.

        Args:
            values: the activations, [N, ...]; activation: what they went through, which decides what is saturated.
            of: the cell (its name in the model) or the tapped name; None: the call that is running, or the last one.

        Raises:
            SettingError: no cell or tap of the name ``of`` ran, or there is no such activation.
        """
        return self._steps.layers.gate(name, values, activation, of)

    def try_thresholds(
        self, loss: Callable[[], Tensor | float], thresholds: Sequence[float] | None = None
    ) -> ThresholdSweep:
        """Tries several clip thresholds on the gradient at hand, and records the loss on the same batch after each.

        Call it after ``backward()`` and before clipping: ``recorder.try_thresholds(lambda: loss_fn(model(x), y))``. It
        changes nothing, and its passes are not recorded; see ``graddiag.clipping.counterfactual``. The threshold of
        the run's own policy ``norm:C`` is tried too.

        Raises:
            SettingError: no optimizer is watched, its gradients are scaled, they were changed since ``backward()``, or
                what ``counterfactual`` refuses.
        """
        if len(self._steps.optimizers) != 1:
            raise SettingError(
                "try_thresholds(): it tries the update of one optimizer, and this run watches "
                f"{len(self._steps.optimizers) or 'none'}; give it to watch(model, optimizer, ...)."
            )
        if self._steps.shares.sharded:
            raise SettingError(
                "try_thresholds(): it calls the model, whose parameters are sharded, in this rank alone."
            )
        self._steps.gradients.check_as_left()
        own = own_threshold(self._writer.manifest.clip)
        sweep = counterfactual(self._module, self._steps.optimizers[0], loss, thresholds, own=own)
        columns = counterfactual_columns(self._steps.step, sweep.norm, sweep.loss_before, sweep.tried)
        self._writer.append(schema.TABLE_COUNTERFACTUALS, columns)
        return sweep

    look = renamed_attribute("look", "try_thresholds")

    @uncompiled
    def step(self) -> None:
        """Ends a step in a loop without an optimizer object: call it after clipping and the update.

        Raises:
            SettingError: the run watches an optimizer, whose ``step()`` does this.
        """
        if self._steps.optimizers:
            raise SettingError("recorder.step(): this run watches an optimizer, and optimizer.step() ends its steps.")
        self._steps.end_step()

    def call_back(self, callbacks: Sequence[Callback], every: int) -> None:
        """Diagnoses the run after ``every`` steps from here on and at its end, as ``watch(..., on_finding=...)``."""
        import graddiag.analysis  # noqa: F401 - it takes a while to load, which is no part of a check

        self._checks = FindingChecks(callbacks, every, self.path, self.diagnose, self._stopping)
        self._steps.after_step = self._checks

    def stop_by(self, handler: Callable[[StopTraining], None]) -> None:
        """Lets ``handler`` end the training where ``StopTraining`` would be raised: for trainers that stop another way.
        The update that led to it is left out all the same."""
        self._stopping.handler = handler

    def close(self, status: schema.Status = "finished", error: str | None = None) -> None:
        """Takes every hook off and closes the run's files; safe to call twice."""
        self._close(status, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._close(*ending(error), raising=error is not None)

    def _close(self, status: schema.Status, error: str | None, *, raising: bool = False) -> None:
        if self._closed:
            return
        self._closed = True
        self._steps.after_step = None
        atexit.unregister(self._abandon)
        with held_signals(raising=raising):
            self._steps.close(status, error)
        # one that is interrupted waits for nothing; a forked child closes nothing
        if self._checks is not None and status != "interrupted" and self._writer.is_closed:
            self._checks.at_end()

    def _abandon(self) -> None:
        self.close("interrupted", "The process ended before close() was called.")
