"""``watch``: records a training as it happens, without changing a bit of it."""

import atexit
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from graddiag import schema
from graddiag.clipping.thresholds import ThresholdSweep, counterfactual, own_threshold
from graddiag.errors import GraddiagError, SettingError
from graddiag.goal import with_goal
from graddiag.recording.events import skipped_event
from graddiag.recording.faults import Faults
from graddiag.recording.grad_cosine import GradientCosine
from graddiag.recording.guard import Part, PartGuard
from graddiag.recording.interception import Handle, Interception
from graddiag.recording.layers import LayerMeter, snapshots_of
from graddiag.recording.manifest import check_every, check_model, new_manifest, open_writer
from graddiag.recording.optimizers import learning_rate, not_updated, with_observed_closure
from graddiag.recording.outputs import OutputMeter
from graddiag.recording.parameters import (
    GradientMeter,
    GradientNorms,
    Spectrum,
    WeightCopy,
    recurrent_spectra,
    update_sizes,
)
from graddiag.recording.rows import counterfactual_columns, spectra_columns
from graddiag.recording.scaling import Scale, calling_scaler
from graddiag.recording.step_buffer import Scalar, StepBuffer, StepMeasures
from graddiag.store import RunWriter, check_scalar_name
from graddiag.tracing.device_transfer import Tree
from graddiag.tracing.signals import Signals
from graddiag.tracing.snapshots import Snapshot
from graddiag.tracing.spectra import full_spectra
from graddiag.tracing.trace import Trace, dtypes_of

# a spectrum costs a decomposition and W_hh moves slowly: it is taken at recorded steps this far apart
SPECTRUM_EVERY = 100


def watch(
    module: nn.Module,
    /,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    run: str,
    root: str | Path = "runs",
    every: int = 1,
    snapshot_every: int | None = None,
    scaler: torch.amp.GradScaler | None = None,
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
) -> "Recorder":
    """Records the training of ``module`` into a run folder; the training loop stays as it is.

    ``optimizer.step()`` ends a step. Of every step the loss you log and the gradient norms before and after clipping
    are kept; of every ``every``-th one also the gradient at each timestep, the gates and each parameter's update.
    Gradients are taken as ``backward()`` leaves them and once more just before the update, so clipping of any kind in
    between is seen. On the CPU the trained parameters are the same bits as without graddiag.

    In a distributed training call it in every rank, or in rank 0 alone: the run is rank 0's folder, and what the others
    measured on their own batches is in ``ranks/rank-R`` inside it.

    Args:
        module: the model; its torch.nn (or graddiag.nn) RNN, LSTM and GRU layers are found by themselves.
        optimizer: ends a step at each ``step()``; without one call ``recorder.step()`` after the update.
        run: name of the run; its folder is ``root/[experiment/]run``, with ``-2``, ``-3`` added when taken.
        every: record the timesteps of every so many steps, from step 0 on.
        snapshot_every: take a snapshot at every so many steps, a multiple of ``every``: each unit's gradient and gates
            at each timestep, the credit matrix, the leading Lyapunov exponents of the state, and the whole spectrum of
            W_hh. None takes none. A snapshot of a layer has T x H rows (T = 100, H = 256: 0.2 to 0.4 MB on the disk),
            and its step takes three to five times as long as a recorded one. Between 25% and 33% of what it adds are
            the exponents, of eight directions and four samples at most.
        scaler: the GradScaler of a mixed-precision loop; gradients are then recorded unscaled, and its scale as the
            scalar ``amp_scale``. An update that it skips is no step, and is counted in ``updates_skipped``. A scaler
            that is not given is recognized at the first update.
        experiment, arm, seed, task, model, clip, config: what the run is, for lists, comparisons and reports.
        loss_reduction: how the loss is reduced ("mean over batch and timesteps", say); a clip threshold means nothing
            without it.
        goal: name of the logged scalar that the training is judged by (``val_loss``, ``accuracy``); better: which way
            it improves; chance: the value that guessing reaches.
        chance_loss: the loss of guessing, as a number or as text (``ln 4``). These four are kept in ``config``.

    Raises:
        SettingError: ``every`` below 1, ``snapshot_every`` not a multiple of it, a goal that ``config`` contradicts, or
            an optimizer that holds none of the model's parameters.
        UnsupportedError: a part of the model cannot be measured exactly (compiled, scripted, sharded); it is named.
        InputError: ``root`` cannot be written.
    """
    check_every(every, snapshot_every)
    settings = with_goal(config, goal=goal, better=better, chance=chance, chance_loss=chance_loss)
    check_model(module, optimizer)
    about = {
        "experiment": experiment,
        "arm": arm,
        "seed": seed,
        "task": task,
        "model": model or type(module).__name__,
        "clip": clip,
        "loss_reduction": loss_reduction,
        "snapshot_every": snapshot_every,
        "config": settings,
    }
    writer = open_writer(root, new_manifest(module, optimizer, run, every, about))
    return Recorder(module, optimizer, writer, every, scaler)


class Recorder:
    """One training under observation; made by ``watch``. Leave its ``with``, or call ``close()``, to end the run."""

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer | None,
        writer: RunWriter,
        every: int,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self._module = module
        self._optimizer = optimizer
        self._writer = writer
        self._buffer = StepBuffer(writer)
        self._every = every
        self._step = 0
        self._guard = PartGuard(writer, lambda: self._step, lambda part: self._layers.hooks.mute(part))
        self._started = time.monotonic()
        self._logged: dict[str, Scalar] = {}
        self._weights: WeightCopy | None = None
        self._norms: GradientNorms | None = None
        self._gradient_cosine = GradientCosine(module)
        self._cosine: Tensor | None = None
        self._signals: list[Signals] = []
        self._snapshots: list[Snapshot] = []
        self._faults = Faults(module)
        self._closed = False
        self._on_cpu = all(parameter.is_cpu for parameter in module.parameters())
        self._scaled = scaler is not None
        scale = Scale(scaler, optimizer)
        self._meter = GradientMeter(module, partial(self._guard, Part.PARAMETERS), scale)
        self._layers = LayerMeter(module, self._guard, stale=scale.detect_skip)
        self._outputs = OutputMeter(module)
        self._output_sums: Tree = {}
        self._handles: list[Handle] = []
        if optimizer is not None:
            self._handles.append(optimizer.register_step_pre_hook(self._on_step))
            self._handles.append(optimizer.register_step_post_hook(lambda *_: self._after_update()))
            self._handles.append(Interception(optimizer, "zero_grad", self._zeroing))
        if scaler is not None:
            self._handles.append(Interception(scaler, "unscale_", self._unscaling))
        atexit.register(self._abandon)
        self._begin()

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._writer.path

    def log(self, **scalars: Scalar) -> None:
        """Keeps scalars of the step that the next update ends: ``log(loss=loss, ppl=ppl)``. A tensor is not waited for.

        Raises:
            SettingError: a name that the steps table keeps for itself (``grad_norm``, ``step``, ...).
        """
        for name, value in scalars.items():
            check_scalar_name(name)
            self._logged[name] = value.detach().clone() if isinstance(value, Tensor) else value

    def tap(self, name: str, tensor: Tensor) -> Tensor:
        """Records the total gradient of ``tensor`` [N, ...], and returns it: ``h = recorder.tap("cell", h)``.

        For anything that loops over time and is none of torch's recurrent layers: call it once per timestep, in their
        order, on the state. What comes out of ``backward()`` for that tensor, through every path, is the column
        ``grad_h`` of the module ``name``; it gives no transport gain.

        Raises:
            SettingError: ``name`` is a recurrent module of the model.
        """
        return self._layers.tap(name, tensor)

    def look(self, loss: Callable[[], Tensor | float], thresholds: Sequence[float] | None = None) -> ThresholdSweep:
        """Tries several clip thresholds on the gradient at hand, and records the loss on the same batch after each.

        Call it after ``backward()`` and before clipping: ``recorder.look(lambda: loss_fn(model(x), y))``. Nothing is
        changed by looking, and the passes that it takes are not recorded; see ``graddiag.clipping.counterfactual``.
        The threshold of the run's own policy ``norm:C`` is tried too.

        Raises:
            SettingError: no optimizer is watched, its gradients are scaled, they were changed since ``backward()``, or
                what ``counterfactual`` refuses.
        """
        if self._optimizer is None:
            raise SettingError("look(): it tries the optimizer's update; give it to watch(model, optimizer, ...).")
        self._meter.check_as_left()
        own = own_threshold(self._writer.manifest.clip)
        sweep = counterfactual(self._module, self._optimizer, loss, thresholds, own=own)
        columns = counterfactual_columns(self._step, sweep.norm, sweep.loss_before, sweep.tried)
        self._writer.append(schema.TABLE_COUNTERFACTUALS, columns)
        return sweep

    def step(self) -> None:
        """Ends a step in a loop without an optimizer object: call it after clipping and the update.

        Raises:
            SettingError: the run watches an optimizer, whose ``step()`` does this.
        """
        if self._optimizer is not None:
            raise SettingError("recorder.step(): this run watches an optimizer, and optimizer.step() ends its steps.")
        self._before_update()
        self._after_update()

    def close(self, status: schema.Status = "finished", error: str | None = None) -> None:
        """Takes every hook off and closes the run's files; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._abandon)
        for handle in self._handles:
            handle.remove()
        self._layers.close()
        self._outputs.close()
        self._meter.close()
        self._weights = self._norms = None
        self._gradient_cosine.forget()
        self._signals, self._snapshots = [], []
        self._guard(Part.STEPS, self._buffer.write)
        self._guard(Part.STEPS, self._log_totals)
        self._writer.close(status, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            self.close()
            return
        interrupted = isinstance(error, KeyboardInterrupt)
        try:
            self.close(*(("interrupted", None) if interrupted else ("failed", f"{type(error).__name__}: {error}")))
        except GraddiagError as lost:
            error.add_note(f"graddiag could not close the run: {lost}")

    def _log_totals(self) -> None:
        left_out = self._meter.left_out()
        if left_out:
            self._writer.append(schema.TABLE_EVENTS, skipped_event(max(self._step - 1, 0), left_out))
        for event in self._faults.totals(self._step - 1):
            self._writer.append(schema.TABLE_EVENTS, event)

    @property
    def _recording(self) -> bool:
        return self._step % self._every == 0

    @property
    def _snapshotting(self) -> bool:
        each = self._writer.manifest.snapshot_every
        return each is not None and self._step % each == 0

    def _begin(self) -> None:
        if not self._recording:
            return
        # without an optimizer the update comes before the traces are taken
        self._layers.start(own_weights=self._snapshotting and self._optimizer is None)
        self._outputs.start()
        if self._optimizer is None:
            self._guard(Part.PARAMETERS, self._copy_weights)

    def _on_step(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Before ``optimizer.step()``; with a closure each evaluation of it brings gradients."""
        if self._step == 0 and not self._scaled:
            self._guard(Part.PARAMETERS, self._recognize_scaler)
        replaced = with_observed_closure(args, kwargs, self._begin, self._before_update)
        if replaced is None:
            self._before_update()
        return replaced

    def _before_update(self) -> None:
        self._guard(Part.PARAMETERS, self._take_norms)
        if self._recording:
            self._layers.stop()
            self._outputs.stop()
            self._guard(Part.OUTPUTS, self._take_outputs)
            self._guard(Part.SIGNALS, self._take_signals)
            if self._optimizer is not None:
                self._guard(Part.PARAMETERS, self._copy_weights)
            self._guard(Part.PARAMETERS, lambda: self._writer.amend(**not_updated(self._module, self._optimizer)))

    def _zeroing(self, *_: Any, **__: Any) -> None:
        self._guard(Part.PARAMETERS, self._meter.check_used)

    def _unscaling(self, optimizer: torch.optim.Optimizer) -> None:
        if optimizer is self._optimizer:
            self._guard(Part.PARAMETERS, self._meter.unscaling)

    def _recognize_scaler(self) -> None:
        """A scaler that ``watch`` was not given, at the first update that comes through it."""
        scaler = calling_scaler()
        if scaler is not None and scaler.is_enabled():
            self._meter.follow_scaler(scaler)
            self._handles.append(Interception(scaler, "unscale_", self._unscaling))

    def _take_norms(self) -> None:
        self._norms = self._meter.take()
        for event in self._faults.of_step(self._step, self._norms, self._layers.hooks.calls):
            self._buffer.log_event(event)

    def _take_outputs(self) -> None:
        self._output_sums = self._outputs.take(None if self._norms is None else self._norms.scale)
        if self._outputs.half:
            self._writer.note(outputs=", ".join(sorted(self._outputs.half)))

    def _take_signals(self) -> None:
        traces, scale = self._layers.take(), None if self._norms is None else self._norms.scale
        measured = self._layers.signals(traces, scale)
        hooks = self._layers.hooks
        for event in (
            *self._faults.of_states(self._step, hooks.detached),
            *self._faults.of_links(self._step, hooks.not_followed),
        ):
            self._buffer.log_event(event)
        if traces:
            self._writer.note(activations=dtypes_of(traces))
        self._signals = measured
        if self._snapshotting:
            self._guard(Part.SNAPSHOTS, partial(self._take_snapshots, traces, scale))

    def _take_snapshots(self, traces: Sequence[Trace], scale: Tensor | None) -> None:
        self._snapshots = snapshots_of(traces, scale)

    def _copy_weights(self) -> None:
        self._weights = WeightCopy(self._module)

    def _take_cosine(self) -> None:
        """Measured at recorded steps, against the gradient of the step before, which is kept for that alone."""
        self._cosine = self._gradient_cosine.cosine() if self._recording else None
        if (self._step + 1) % self._every == 0:
            self._gradient_cosine.keep()
        else:
            self._gradient_cosine.forget()

    def _after_update(self) -> None:
        self._guard(Part.GRADIENT_COSINE, self._take_cosine)
        self._guard(Part.STEPS, self._keep_step)
        self._guard(Part.PARAMETERS, self._meter.updated)
        self._weights, self._norms, self._signals, self._snapshots, self._logged = None, None, [], [], {}
        self._output_sums = {}
        self._layers.hooks.calls.clear()
        self._step += 1
        self._begin()

    def _keep_step(self) -> None:
        row: dict[str, Scalar] = {schema.STEP: self._step, **self._logged}
        row[schema.WALL_TIME] = time.monotonic() - self._started
        row[schema.LR] = self._logged.get(schema.LR, learning_rate(self._optimizer))
        parameters: Tree = {}
        row |= self._faults.columns(self._layers.hooks.calls, self._logged)
        if self._norms is not None:
            row |= self._norms.totals()
        if self._weights is not None:
            ratio, parameters = update_sizes(self._weights, self._norms)
            row[schema.UPDATE_RATIO] = ratio
        if self._cosine is not None:
            row[schema.GRAD_COSINE] = self._cosine
        self._buffer.add(row)
        if self._recording or self._on_cpu or self._buffer.full:
            self._buffer.write(
                StepMeasures(self._step, self._signals, self._snapshots, parameters, self._output_sums),
                self._spectra,
            )
        if parameters and self._snapshotting:
            self._guard(Part.SPECTRA, self._write_spectra)

    def _write_spectra(self) -> None:
        spectra = full_spectra(self._module)
        if spectra:
            self._writer.append(schema.TABLE_SPECTRA, spectra_columns(self._step, spectra))

    def _spectra(self) -> dict[str, Spectrum]:
        return recurrent_spectra(self._module) if self._step % max(SPECTRUM_EVERY, self._every) == 0 else {}

    def _abandon(self) -> None:
        self.close("interrupted", "The process ended before close() was called.")
