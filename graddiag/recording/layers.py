"""Signals and snapshots of the recurrent layers of one step, and of tapped tensors, in units of the loss."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from graddiag.errors import SettingError
from graddiag.kinds import NONLINEARITIES, Nonlinearity
from graddiag.tracing.custom import CellHooks, CellTrace, cell_signals, cell_snapshot, is_replaying
from graddiag.tracing.custom.cell_call import CellForm
from graddiag.tracing.hooks import COMPILED, Guard, ModuleHooks, recurrent_modules
from graddiag.tracing.model_hook import is_transformed
from graddiag.tracing.signals import Signals, signals, unscaled
from graddiag.tracing.snapshots import Snapshot, snapshot, unscaled_snapshot
from graddiag.tracing.taps import Taps
from graddiag.tracing.trace import Trace, dtypes_of


class LayerMeter:
    """Observes the recurrent modules of a model, and the cells named, between ``start`` and ``stop``, and measures
    their traces."""

    def __init__(
        self, module: nn.Module, guard: Guard, stale: Callable[[], bool], cells: Mapping[str, CellForm] | None = None
    ) -> None:
        forms = cells or {}
        self.hooks = ModuleHooks(module, guard, stale=stale, without=forms)
        self._cells = CellHooks(module, forms, guard, self.hooks.calls, stale)
        self._cell_traces: list[CellTrace] = []
        self._modules = {*recurrent_modules(module), *forms}
        self._taps = Taps()

    @property
    def detached(self) -> Mapping[str, int]:
        """Of the step taken last: states cut off between calls, by module."""
        return {**self.hooks.detached, **self._cells.detached}

    @property
    def cells(self) -> tuple[str, ...]:
        """The names of the cells that are followed."""
        return self._cells.names

    @property
    def nothing_ran(self) -> bool:
        """Whether no layer and no cell ran with gradients, and nothing was tapped, since ``start``."""
        return not self.hooks.heard and not self._cells.ran and not self._taps.names

    @property
    def unheard(self) -> dict[str, str]:
        """Recurrent modules that ran since ``start`` and of which nothing was observed, with the reason."""
        return {**self.hooks.unheard, **dict.fromkeys(self._cells.traced, COMPILED)}

    @property
    def reasons(self) -> Mapping[str, str]:
        """Of the step taken last: why the transport gain is missing somewhere, by layer or cell."""
        return {**self._cells.reasons, **self.hooks.reasons}

    def start(self, *, own_weights: bool, credit: bool = False) -> None:
        """From here on layers are observed and tensors tapped; see ``ModuleHooks.start`` for ``own_weights``.
        ``credit``: with the credit matrices of followed cells."""
        self.hooks.start(own_weights=own_weights)
        self._cells.start(credit=credit)
        self._taps.start()

    def copy_weights(self) -> None:
        """See ``ModuleHooks.copy_weights``."""
        self.hooks.copy_weights()

    def find(self) -> list[str]:
        """Follows recurrent modules that the model has got since; their names."""
        new = self.hooks.find()
        self._modules.update(new)
        return new

    def stop(self) -> None:
        self.hooks.stop()
        self._cells.stop()
        self._taps.stop()

    def forget(self) -> None:
        """Lets go of what was observed, and observes nothing until the next ``start``."""
        self.start(own_weights=False)
        self.stop()

    def used(self) -> None:
        """An update has used the gradients of the backward passes so far."""
        self.hooks.used()
        self._cells.used()

    def mute(self, part: str) -> None:
        """Observes the module ``part`` no longer."""
        self.hooks.mute(part)
        self._cells.mute(part)

    def close(self) -> None:
        """Takes every hook off."""
        self.hooks.close()
        self._cells.close()
        self._cell_traces = []

    def tap(self, name: str, tensor: Tensor) -> Tensor:
        """Notes ``tensor`` as the next timestep of ``name`` and returns it; SettingError for the name of a module."""
        if name in self._modules:
            raise SettingError(f"tap({name!r}): the model has a recurrent module of that name; choose another name.")
        if torch.compiler.is_dynamo_compiling() or is_transformed() or is_replaying():
            return tensor
        return self._taps.tap(name, tensor)

    def gate(self, name: str, values: Tensor, activation: Nonlinearity, of: str | None) -> Tensor:
        """Notes the activations of a gate of the last call of a followed cell, or of the last tap, and returns them.

        Raises:
            SettingError: ``of`` is neither a followed cell nor a tapped name, or the activation has no such name.
        """
        if is_replaying():
            return values
        if activation not in NONLINEARITIES:
            raise SettingError(f"gate({name!r}, activation={activation!r}): choose one of {list(NONLINEARITIES)}.")
        if of is not None and of not in self._cells.names and of not in self._taps.names and self._taps.is_active:
            known = [*self._cells.names, *self._taps.names]
            there = ", ".join(map(repr, known)) or "none"
            raise SettingError(f"gate({name!r}, of={of!r}): no cell or tap has that name. There are: {there}.")
        if self._taps.is_active and not self._cells.gate(name, values, activation, of):
            self._taps.gate(name, values, activation, of)
        return values

    def take(self) -> list[Trace]:
        """The traces of the step that have a timestep at least."""
        with torch.no_grad():
            self._cell_traces = self._cells.take()
            return [trace for trace in self.hooks.take() if trace.h.numel()]

    def dtypes(self, traces: Sequence[Trace]) -> str:
        """The dtypes that layers and cells ran in, by name; empty where none ran."""
        return dtypes_of([*traces, *self._cell_traces])

    def signals(self, traces: Sequence[Trace], scale: Tensor | None) -> list[Signals]:
        """The signals of traces, of followed cells, and of what was tapped. ``scale``: what the loss was multiplied by,
        0-dim."""
        with torch.no_grad():
            measured = [signals(trace) for trace in traces]
            measured += [cell_signals(trace) for trace in self._cell_traces] + self._taps.take()
        return measured if scale is None else [unscaled(each, scale) for each in measured]

    @torch.no_grad()
    def snapshots(self, traces: Sequence[Trace], scale: Tensor | None) -> list[Snapshot]:
        """The snapshots of traces and of followed cells. ``scale``: what the loss was multiplied by, 0-dim."""
        taken = [snapshot(trace) for trace in traces]
        taken += [each for each in map(cell_snapshot, self._cell_traces) if each is not None]
        return taken if scale is None else [unscaled_snapshot(each, scale) for each in taken]
