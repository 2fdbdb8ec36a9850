"""One step after another of a watched training: what is measured when, from the forward pass to the update."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from graddiag import schema
from graddiag.recording.counts import Counting, RunCounts
from graddiag.recording.event_log import EventLog
from graddiag.recording.events import replaced_event
from graddiag.recording.faults import Faults
from graddiag.recording.following import Following, log_no_update
from graddiag.recording.grad_cosine import GradientCosine
from graddiag.recording.group_settings import GroupSettings
from graddiag.recording.guard import Part, PartGuard
from graddiag.recording.layers import LayerMeter
from graddiag.recording.left_out import LeftOutUpdates
from graddiag.recording.model_parameters import ModelParameters
from graddiag.recording.optimizers import held_names, not_updated, updated_by, with_observed_closure
from graddiag.recording.outputs import OutputMeter
from graddiag.recording.parameters import GradientMeter, GradientNorms
from graddiag.recording.scaling import Scale, ScalerHooks
from graddiag.recording.shares import Shares
from graddiag.recording.spectrum_meter import SpectrumMeter
from graddiag.recording.step_buffer import StepBuffer
from graddiag.recording.step_measures import Scalar, StepMeasures
from graddiag.recording.stopping import Stopping
from graddiag.recording.unwrapping import WatchedOptimizer, held_by
from graddiag.recording.update_round import UpdateRound
from graddiag.recording.updates import Arguments, UpdateListener
from graddiag.recording.weights import UpdateMeter
from graddiag.store import RunWriter
from graddiag.tracing.custom import is_replaying
from graddiag.tracing.custom.cell_call import CellForm
from graddiag.tracing.device_transfer import Tree
from graddiag.tracing.signals import Signals
from graddiag.tracing.snapshots import Snapshot


class StepRecorder:
    """Measures the steps of one training and hands them to the writer of its run; owns every hook until ``close``.

    A step ends with the update of the watched optimizer. With several it is a round: it ends when each has made an
    update, whatever their order. What belongs to a parameter is measured at the update of the optimizer that holds it;
    of several updates in one round (of a critic, for example) the last one counts. An optimizer that makes none while
    another makes ten is not waited for until it makes one again.

    step: the one under way. layers: recurrent modules and tapped tensors. after_step: is called with a step's number.
    """

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
        self._spectra = SpectrumMeter(module, writer, every)
        self._stopping = stopping or Stopping()
        self.after_step: Callable[[int], None] | None = None
        self._writer = writer
        self._buffer = StepBuffer(writer, on_host=all(parameter.is_cpu for parameter in module.parameters()))
        self._every = every
        self.step = writer.manifest.first_step
        self._round = UpdateRound(len(watched))
        self._measured = self._given_up = self._recording = False
        self._guard = PartGuard(writer, lambda: self.step, lambda part: self.layers.mute(part))
        self._started = time.monotonic() - writer.origin.seconds
        self._logged: dict[str, Scalar] = {}
        self._parameters = ModelParameters(module)
        self._weights = UpdateMeter(self._parameters)
        self._norms: GradientNorms | None = None
        self._gradient_cosine = GradientCosine(self._parameters)
        self._cosine: Tensor | None = None
        self._signals: list[Signals] = []
        self._snapshots: list[Snapshot] = []
        self._faults = Faults(module, lambda: held_by(self.optimizers))
        self.shares = Shares(module, writer, lambda: self.step, self._guard)
        scaler = scaler or next((each.scaler for each in watched if each.scaler is not None), None)
        self._output_sums: Tree = {}
        self._left_out = LeftOutUpdates()
        self._events = EventLog(writer, self._buffer)
        self._settings = GroupSettings(self._events.add)
        scale = Scale(scaler, lambda: self._updates.optimizers)
        with ExitStack() as attached:  # what is attached comes off again where a later one cannot be
            guard = partial(self._guard, Part.PARAMETERS)
            self.gradients = GradientMeter(
                module, guard, scale, after_pass=self._check_for_updates, by_parameter=self._by_parameter
            )
            attached.callback(self.gradients.close)
            self.layers = LayerMeter(module, self._guard, scale.detect_skip, cells)
            attached.callback(self.layers.close)
            self._outputs = OutputMeter(module, cells or (), always=every == 1)
            attached.callback(self._outputs.close)
            self._updates = UpdateListener(watched, self, self.shares.takes_over, checked=self._stopping.checks)
            attached.callback(self._updates.close)
            self._scaler = ScalerHooks(scaler, self._unscaling)
            attached.pop_all()
        self._guard(Part.PARAMETERS, lambda: self.shares.follow(self.gradients, self.layers, self._begin))
        self._following = Following(module, self.layers, silent=cells is not None and not cells)
        self._guard(Part.FOLLOWING, lambda: self._events.add_at_once(self._following.at_attach(self.step)))
        parts: dict[str, Counting] = {"rows": self._buffer, "faults": self._faults, "outputs": self._outputs}
        self._counts = RunCounts(self.gradients, following=self._following, left_out=self._left_out, **parts)
        if counts:
            self._guard(Part.COUNTS, partial(self._restore, counts))
        self._begin()

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers that are watched."""
        return self._updates.optimizers

    def log(self, scalars: Mapping[str, Scalar]) -> None:
        """Keeps scalars of the step that the next update ends."""
        if not is_replaying():
            self._logged |= scalars

    def counts(self) -> dict[str, Any]:
        """What later rows depend on, of a step that has ended; what was recorded so far is on the disk then."""
        found: dict[str, Any] = {}
        self.flush()
        self._guard(Part.COUNTS, lambda: found.update(self._counts.state(self._logged, self._round.awaited)))
        return found

    def flush(self) -> None:
        """Waits until the steps that have ended are on the disk, or the disk has refused them."""
        self._guard(Part.STEPS, self._buffer.finish)
        self._guard(Part.STEPS, self._writer.flush)

    def end_step(self) -> None:
        """Ends a step of a loop without an optimizer object."""
        self._before(None)
        self._end()

    def warn(self) -> None:
        """Warns of the events that wait for it."""
        self._events.warn()

    def close(self, status: schema.Status, error: str | None) -> None:
        """Takes every hook off, writes what waits and closes the writer; no error of either is raised."""
        self._scaler.remove()
        self._updates.close()
        self.shares.close()
        if self._round.made:
            self._finish()
        self.layers.close()
        self._outputs.close()
        if status == "finished" and self._is_first and self.gradients.passes and not self._given_up:
            passes = self.gradients.passes
            self._guard(Part.STEPS, partial(log_no_update, self._writer, self.step, passes, self.optimizers))
        self.gradients.close()
        self._norms = None
        self._weights.forget()
        self._gradient_cosine.forget()
        self._signals, self._snapshots = [], []
        self._guard(Part.STEPS, self._buffer.finish)
        self._guard(Part.STEPS, self._log_totals)
        self._guard(Part.END, partial(self._writer.close, status, error))

    def before_update(self, index: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        """Before ``optimizer.step()``; with a closure each evaluation of it brings gradients."""
        if self._is_first:
            self._guard(Part.PARAMETERS, self._recognize_scaler)
        replaced = with_observed_closure(args, kwargs, self._begin, partial(self._before, index))
        if replaced is None:
            self._before(index)
        return replaced

    def after_update(self, index: int) -> None:
        """After ``optimizer.step()``."""
        self._guard(Part.PARAMETERS, partial(self._updated, index))
        self._round.add(index)
        if self._round.is_complete:
            self._finish()

    def _updated(self, index: int) -> None:
        self._weights.after()
        self.gradients.updated(self._names_of(index))

    def used_elsewhere(self) -> None:
        """An optimizer that is not watched has updated parameters of a watched one: what led to it is no step."""
        self._guard(Part.PARAMETERS, lambda: self.gradients.updated())
        self._guard(Part.PARAMETERS, self.gradients.next_step)
        if not self._round.made:
            self._begin()

    def replaced(self, index: int, old: Optimizer, new: Optimizer) -> None:
        """An optimizer that was not watched has updated the parameters of the one at ``index`` twice in succession."""
        self._events.add([replaced_event(self.step, type(old).__name__, type(new).__name__)])
        self._before(index, copy=False)
        self.after_update(index)

    def is_finite(self, optimizer: Optimizer) -> bool:
        """Whether the gradient that an update is about to use is finite; True where that cannot be found out."""
        found = [True]
        self._guard(Part.NONFINITE, lambda: found.append(self.shares.has_finite_gradient(optimizer)))
        return found[-1]

    def refused(self, index: int) -> None:
        """In place of an update whose gradient is not finite."""
        step = self.step
        if self._stopping.on_nonfinite == "stop":
            self._before(index, copy=False)
            self.after_update(index)
            self._stopping.at_nonfinite(step, self._writer.path)
            return
        self._guard(Part.PARAMETERS, lambda: self.gradients.updated(self._names_of(index)))
        traced = self.layers if self._recording and not self._round.made else None
        self._guard(Part.NONFINITE, lambda: self._events.warn_later(self._left_out.add(step, traced)))
        if not self._round.made:
            self._guard(Part.PARAMETERS, self.gradients.next_step)
            self._forget()
            self._begin()
        self.warn()

    def before_other(self, optimizer: Optimizer) -> None:
        """Before the update of an optimizer that is not watched and holds other parameters."""
        if self._recording:
            self._guard(Part.PARAMETERS, lambda: self._weights.before(optimizer))

    def after_other(self) -> None:
        self._guard(Part.PARAMETERS, self._weights.after)

    def zeroing(self, *_: Any, **__: Any) -> None:
        """Before ``optimizer.zero_grad()``."""
        self._guard(Part.PARAMETERS, self.gradients.check_used)

    def _unscaling(self, optimizer: Any) -> None:
        index = self._updates.place_of(optimizer)
        if index is not None:
            self._guard(Part.PARAMETERS, lambda: self.gradients.unscaling(self._names_of(index)))

    def _recognize_scaler(self) -> None:
        """A scaler that ``watch`` was not given, at the first update that comes through it."""
        if scaler := self._scaler.recognized():
            self.gradients.follow_scaler(scaler)

    def _begin(self) -> None:
        self._recording = self.step % self._every == 0
        if not self._recording:
            return
        self._guard(Part.PARAMETERS, self._parameters.refresh)
        self._guard(Part.FOLLOWING, lambda: self._events.add(self._following.found(self.step)))
        # without an optimizer the update comes before the traces are taken, with several a part of it does
        own_weights = self._snapshotting and len(self._updates.watched) != 1
        self.layers.start(own_weights=own_weights, credit=self._snapshotting)
        self._outputs.start()
        if not self._updates.watched:
            self._guard(Part.PARAMETERS, self._weights.before)

    def _before(self, index: int | None, *, copy: bool = True) -> None:
        """Before an update of the optimizer at ``index``; None: of all parameters, by hand."""
        self._guard(Part.PARAMETERS, self.shares.refresh)
        names = None if index is None else self._names_of(index)
        self._guard(Part.PARAMETERS, partial(self.gradients.take, names))
        if self._recording:
            self._guard(Part.PARAMETERS, self._parameters.refresh)
            self.layers.used()
        made = self._round.with_update(index)
        if made >= self._round.awaited:
            self._measure_step(made)
        if self._recording and index is not None and copy:
            self._guard(Part.PARAMETERS, lambda: self._weights.before(self.optimizers[index]))

    def _measure_step(self, made: set[int]) -> None:
        """What the updates of a step have used: norms, faults, traces and outputs."""
        self._measured = True
        self._guard(Part.PARAMETERS, partial(self._take_norms, made))
        if not self._recording:
            return
        self.layers.stop()
        self._outputs.stop()
        if not self._given_up:
            self._guard(Part.OUTPUTS, self._take_outputs)
            self._guard(Part.FOLLOWING, self._take_unfollowed)
            self._guard(Part.SIGNALS, self._take_signals)
        self._guard(Part.PARAMETERS, lambda: self._writer.amend(**not_updated(self._parameters, self.optimizers)))

    def _finish(self) -> None:
        """Ends a step whose updates have been measured, and begins the next."""
        if not self._measured:
            self._measure_step(self._round.with_update(None))
        self._end()

    def _end(self) -> None:
        ended = self.step
        self._guard(Part.GRADIENT_COSINE, self._take_cosine)
        self._guard(Part.STEPS, self._keep_step)
        self._guard(Part.PARAMETERS, self.gradients.next_step)
        if not self._updates.watched:
            self._guard(Part.PARAMETERS, self.gradients.updated)
        self._round.clear()
        self._logged = {}
        self._forget()
        self.step += 1
        self._begin()
        self.warn()  # last, where an error that a filter makes of a warning interrupts nothing
        if self.after_step is not None:
            self.after_step(ended)

    def _forget(self) -> None:
        """Lets go of what was measured of a step."""
        self._measured = self._given_up = False
        self._weights.forget()
        self._norms, self._signals, self._snapshots, self._output_sums = None, [], [], {}
        self.layers.hooks.calls.clear()

    def _check_for_updates(self) -> None:
        """After each backward pass: whether one update at least may still come."""
        if not self.gradients.wait_in_vain or self._given_up or self._round.made or not self._updates.watched:
            return
        self._given_up = True
        self.layers.forget()
        self._outputs.forget()
        log_no_update(self._writer, self.step, self.gradients.passes, self.optimizers)

    @property
    def _is_first(self) -> bool:
        return self.step == self._writer.manifest.first_step

    def _restore(self, counts: Mapping[str, Any]) -> None:
        self._logged, self._round.awaited = self._counts.restore(counts)

    @property
    def _snapshotting(self) -> bool:
        each = self._writer.manifest.snapshot_every
        return each is not None and self.step % each == 0

    def _names_of(self, index: int) -> frozenset[str] | None:
        """The parameters that one of several optimizers updates; None where there is one: its step is all there is."""
        return held_names(self._parameters, self.optimizers[index]) if len(self.optimizers) > 1 else None

    def _by_parameter(self) -> bool:
        """Whether norms of each parameter are asked for: by the table of recorded steps, and by several optimizers."""
        return self._recording or len(self._updates.watched) > 1

    def _take_norms(self, made: set[int]) -> None:
        updated, idle = updated_by(self._parameters, self.optimizers, made)
        self._norms = self.gradients.norms(idle)
        self._events.add(self._faults.of_step(self.step, self._norms, self.layers.hooks.calls, updated))

    def _take_outputs(self) -> None:
        self._output_sums = self._outputs.take(None if self._norms is None else self._norms.scale)
        if self._outputs.half:
            self._writer.note(outputs=", ".join(sorted(self._outputs.half)))

    def _take_unfollowed(self) -> None:
        reached = frozenset[int]() if self._norms is None else self._norms.reached
        self._events.add(self._following.of_step(self.step, reached), warn=True)

    def _take_signals(self) -> None:
        traces, scale = self.layers.take(), None if self._norms is None else self._norms.scale
        measured = self.layers.signals(traces, scale)
        self._events.add(self._faults.of_states(self.step, self.layers.detached))
        self._events.add(self._following.of_gains(self.step))
        if dtypes := self.layers.dtypes(traces):
            self._writer.note(activations=dtypes)
        self._signals = measured
        if self._snapshotting:
            self._guard(Part.SNAPSHOTS, lambda: self._snapshots.extend(self.layers.snapshots(traces, scale)))

    def _take_cosine(self) -> None:
        """Missing of shares, and with several optimizers: a step's gradient is of several losses then."""
        if len(self._updates.watched) <= 1 and not self.shares.partial:
            following = (self.step + 1) % self._every == 0
            if following:
                self._parameters.refresh()
            self._cosine = self._gradient_cosine.of_step(recorded=self._recording, next_recorded=following)

    def _keep_step(self) -> None:
        rates, seconds = self._settings.columns(self.step, self.optimizers), time.monotonic() - self._started
        row: dict[str, Scalar] = {schema.STEP: self.step, **rates, **self._logged, schema.WALL_TIME: seconds}
        row |= self._round.columns(len(self._updates.watched))
        row |= self._faults.columns(self.layers.hooks.calls, self._logged)
        row |= self._left_out.column(row)
        self._events.add(self._left_out.events(self.step))
        if self._norms is not None:
            row |= self._norms.totals() | self.shares.mark()
        row[schema.UPDATE_RATIO], parameters = self._weights.columns(self._norms, partial=self.shares.partial)
        row |= {schema.GRAD_COSINE: self._cosine} if self._cosine is not None else {}
        spectra = self._spectra.of_step(self.step) if parameters else {}
        measured = (self._signals, self._snapshots, parameters, self._output_sums, spectra)
        self._buffer.add(StepMeasures(self.step, row, (), *measured))
        if parameters and self._snapshotting:
            self._guard(Part.SPECTRA, partial(self._spectra.write, self.step))

    def _log_totals(self) -> None:
        last, skipped = max(self.step - 1, 0), self.gradients.left_out()
        for event in (*self._faults.totals(last, skipped), *self._left_out.events(last)):
            self._writer.append(schema.TABLE_EVENTS, event)
