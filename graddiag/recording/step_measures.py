"""What was measured of one step of a training."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from torch import Tensor

from graddiag.recording.events import Event
from graddiag.recording.norms import ByParameter
from graddiag.recording.parameters import Spectrum
from graddiag.tracing.device_transfer import Tree
from graddiag.tracing.signals import Signals
from graddiag.tracing.snapshots import Snapshot

Scalar = Tensor | float | int | None

PARTIAL: Final = "grad_norm_of_shares"
"""Marks a step whose norms are those of shares, on its way to the rows alone."""


class StepMeasures(NamedTuple):
    """Of one step, on its device or on the host. row: its scalars. events: those logged meanwhile. parameters: as
    ``UpdateSizes.columns`` gives them. outputs: as ``OutputMeter.take`` gives them. spectra: of recurrent weights."""

    step: int
    row: Mapping[str, Scalar]
    events: Sequence[Event] = ()
    signals: Sequence[Signals] = ()
    snapshots: Sequence[Snapshot] = ()
    parameters: Mapping[str, ByParameter] = MappingProxyType({})
    outputs: Tree = None
    spectra: Mapping[str, Spectrum] = MappingProxyType({})

    @property
    def nbytes(self) -> int:
        """About how much memory it takes, without its scalars."""
        timesteps = [column for each in self.signals for column in each.timesteps.values()]
        gates = [column for each in self.signals for gate in each.gates.values() for column in gate.values()]
        units = [block for each in self.snapshots for block in (each.grad_h, *each.gates.values())]
        return sum(tensor.nbytes for tensor in timesteps + gates + units)
