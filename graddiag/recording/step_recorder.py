"""One step after another of a watched training: what is measured when, from the forward pass to the update."""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graddiag import schema
from graddiag.recording.events import Event, skipped_event
from graddiag.recording.faults import Faults
from graddiag.recording.following import Following, warn_of
from graddiag.recording.grad_cosine import GradientCosine
from graddiag.recording.guard import Part, PartGuard
from graddiag.recording.interception import Handle, Interception
from graddiag.recording.layers import LayerMeter
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
from graddiag.recording.rows import spectra_columns
from graddiag.recording.scaling import Scale, calling_scaler
from graddiag.recording.step_buffer import Scalar, StepBuffer, StepMeasures
from graddiag.store import RunWriter
from graddiag.tracing.custom.cell_call import CellForm
from graddiag.tracing.device_transfer import Tree
from graddiag.tracing.signals import Signals
from graddiag.tracing.snapshots import Snapshot
from graddiag.tracing.spectra import full_spectra
from graddiag.tracing.trace import Trace

# a spectrum costs a decomposition and W_hh moves slowly: it is taken at recorded steps this far apart
SPECTRUM_EVERY = 100


class StepRecorder:
    """Measures the steps of one training and hands them to the writer of its run; owns every hook until ``close``.

    layers: the recurrent modules and tapped tensors; gradients: the meter of the parameters' gradients.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer | None,
        writer: RunWriter,
        every: int,
        scaler: torch.amp.GradScaler | None = None,
        cells: Mapping[str, CellForm] | None = None,
    ) -> None:
        self._module = module
        self._optimizer = optimizer
        self._writer = writer
        self._buffer = StepBuffer(writer)
        self._every = every
        self._step = 0
        self._guard = PartGuard(writer, lambda: self._step, lambda part: self.layers.mute(part))
        self._started = time.monotonic()
        self._logged: dict[str, Scalar] = {}
        self._weights: WeightCopy | None = None
        self._norms: GradientNorms | None = None
        self._gradient_cosine = GradientCosine(module)
        self._cosine: Tensor | None = None
        self._signals: list[Signals] = []
        self._snapshots: list[Snapshot] = []
        self._faults = Faults(module)
        self._on_cpu = all(parameter.is_cpu for parameter in module.parameters())
        self._scaled = scaler is not None
        scale = Scale(scaler, optimizer)
        self.gradients = GradientMeter(module, partial(self._guard, Part.PARAMETERS), scale)
        self.layers = LayerMeter(module, self._guard, scale.detect_skip, cells)
        self._following = Following(module, self.layers, silent=cells is not None and not cells)
        self._outputs = OutputMeter(module)
        self._output_sums: Tree = {}
        self._warnings: list[Event] = []
        self._handles: list[Handle] = []
        if optimizer is not None:
            self._handles.append(optimizer.register_step_pre_hook(self._on_step))
            self._handles.append(optimizer.register_step_post_hook(lambda *_: self._after_update()))
            self._handles.append(Interception(optimizer, "zero_grad", self._zeroing))
        if scaler is not None:
            self._handles.append(Interception(scaler, "unscale_", self._unscaling))
        self._log_events(self._following.at_attach(0), warn=True)
        self._begin()

    @property
    def step(self) -> int:
        """The step that is under way."""
        return self._step

    def log(self, scalars: Mapping[str, Scalar]) -> None:
        """Keeps scalars of the step that the next update ends."""
        self._logged |= scalars

    def end_step(self) -> None:
        """Ends a step of a loop without an optimizer object."""
        self._before_update()
        self._after_update()

    def warn(self) -> None:
        """Warns of the events that wait for it."""
        waiting, self._warnings = self._warnings, []
        for event in waiting:
            warn_of(event)

    def close(self, status: schema.Status, error: str | None) -> None:
        """Takes every hook off, writes what waits and closes the writer; no error of either is raised."""
        for handle in self._handles:
            handle.remove()
        self.layers.close()
        self._outputs.close()
        self.gradients.close()
        self._weights = self._norms = None
        self._gradient_cosine.forget()
        self._signals, self._snapshots = [], []
        self._guard(Part.STEPS, self._buffer.write)
        self._guard(Part.STEPS, self._log_totals)
        self._guard(Part.END, partial(self._writer.close, status, error))

    def _log_totals(self) -> None:
        left_out = self.gradients.left_out()
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
        self._guard(Part.FOLLOWING, lambda: self._log_events(self._following.found(self._step)))
        # without an optimizer the update comes before the traces are taken
        own_weights = self._snapshotting and self._optimizer is None
        self.layers.start(own_weights=own_weights, credit=self._snapshotting)
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
            self.layers.stop()
            self._outputs.stop()
            self._guard(Part.OUTPUTS, self._take_outputs)
            self._guard(Part.FOLLOWING, lambda: self._log_events(self._following.of_step(self._step), warn=True))
            self._guard(Part.SIGNALS, self._take_signals)
            if self._optimizer is not None:
                self._guard(Part.PARAMETERS, self._copy_weights)
            self._guard(Part.PARAMETERS, lambda: self._writer.amend(**not_updated(self._module, self._optimizer)))

    def _zeroing(self, *_: Any, **__: Any) -> None:
        self._guard(Part.PARAMETERS, self.gradients.check_used)

    def _unscaling(self, optimizer: torch.optim.Optimizer) -> None:
        if optimizer is self._optimizer:
            self._guard(Part.PARAMETERS, self.gradients.unscaling)

    def _recognize_scaler(self) -> None:
        """A scaler that ``watch`` was not given, at the first update that comes through it."""
        scaler = calling_scaler()
        if scaler is not None and scaler.is_enabled():
            self.gradients.follow_scaler(scaler)
            self._handles.append(Interception(scaler, "unscale_", self._unscaling))

    def _take_norms(self) -> None:
        self._norms = self.gradients.take()
        for event in self._faults.of_step(self._step, self._norms, self.layers.hooks.calls):
            self._buffer.log_event(event)

    def _take_outputs(self) -> None:
        self._output_sums = self._outputs.take(None if self._norms is None else self._norms.scale)
        if self._outputs.half:
            self._writer.note(outputs=", ".join(sorted(self._outputs.half)))

    def _take_signals(self) -> None:
        traces, scale = self.layers.take(), None if self._norms is None else self._norms.scale
        measured = self.layers.signals(traces, scale)
        self._log_events(self._faults.of_states(self._step, self.layers.detached))
        self._log_events(self._following.of_gains(self._step))
        if dtypes := self.layers.dtypes(traces):
            self._writer.note(activations=dtypes)
        self._signals = measured
        if self._snapshotting:
            self._guard(Part.SNAPSHOTS, partial(self._take_snapshots, traces, scale))

    def _log_events(self, events: Iterable[Event], *, warn: bool = False) -> None:
        for event in events:
            self._buffer.log_event(event)
            if warn:
                self._warnings.append(event)

    def _take_snapshots(self, traces: Sequence[Trace], scale: Tensor | None) -> None:
        self._snapshots = self.layers.snapshots(traces, scale)

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
        self._guard(Part.PARAMETERS, self.gradients.updated)
        self._weights, self._norms, self._signals, self._snapshots, self._logged = None, None, [], [], {}
        self._output_sums = {}
        self.layers.hooks.calls.clear()
        self._step += 1
        self._begin()
        self.warn()  # last, where an error that a filter makes of a warning interrupts nothing

    def _keep_step(self) -> None:
        row: dict[str, Scalar] = {schema.STEP: self._step, **self._logged}
        row[schema.WALL_TIME] = time.monotonic() - self._started
        row[schema.LR] = self._logged.get(schema.LR, learning_rate(self._optimizer))
        parameters: Tree = {}
        row |= self._faults.columns(self.layers.hooks.calls, self._logged)
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
