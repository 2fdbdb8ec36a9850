"""Signals and snapshots of the recurrent layers of one step, and of tapped tensors, in units of the loss."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from graddiag.errors import SettingError
from graddiag.tracing.hooks import Guard, ModuleHooks, recurrent_modules
from graddiag.tracing.signals import Signals, signals, unscaled
from graddiag.tracing.snapshots import Snapshot, snapshot, unscaled_snapshot
from graddiag.tracing.taps import Taps
from graddiag.tracing.trace import Trace


class LayerMeter:
    """Observes the recurrent modules of a model between ``start`` and ``stop``, and measures their traces."""

    def __init__(self, module: nn.Module, guard: Guard, stale: Callable[[], bool]) -> None:
        self.hooks = ModuleHooks(module, guard, stale=stale)
        self._modules = set(recurrent_modules(module))
        self._taps = Taps()

    def start(self, *, own_weights: bool) -> None:
        """From here on layers are observed and tensors tapped; see ``ModuleHooks.start`` for ``own_weights``."""
        self.hooks.start(own_weights=own_weights)
        self._taps.start()

    def stop(self) -> None:
        self.hooks.stop()
        self._taps.stop()

    def forget(self) -> None:
        """Lets go of what was observed, and observes nothing until the next ``start``."""
        self.start(own_weights=False)
        self.stop()

    def close(self) -> None:
        """Takes every hook off."""
        self.hooks.close()

    def tap(self, name: str, tensor: Tensor) -> Tensor:
        """Notes ``tensor`` as the next timestep of ``name`` and returns it; SettingError for the name of a module."""
        if name in self._modules:
            raise SettingError(f"tap({name!r}): the model has a recurrent module of that name; choose another name.")
        return self._taps.tap(name, tensor)

    def take(self) -> list[Trace]:
        """The traces of the step that have a timestep at least."""
        with torch.no_grad():
            return [trace for trace in self.hooks.take() if trace.h.numel()]

    def signals(self, traces: Sequence[Trace], scale: Tensor | None) -> list[Signals]:
        """The signals of traces, and of what was tapped. ``scale``: what the loss was multiplied by, 0-dim."""
        with torch.no_grad():
            measured = [signals(trace) for trace in traces] + self._taps.take()
        return measured if scale is None else [unscaled(each, scale) for each in measured]


@torch.no_grad()
def snapshots_of(traces: Sequence[Trace], scale: Tensor | None) -> list[Snapshot]:
    """The snapshots of traces. ``scale``: what the loss was multiplied by, 0-dim."""
    taken = [snapshot(trace) for trace in traces]
    return taken if scale is None else [unscaled_snapshot(each, scale) for each in taken]
