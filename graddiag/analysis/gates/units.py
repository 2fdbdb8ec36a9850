"""Saturation unit by unit: which units of a gate are open or shut, and Karpathy's plot of the two shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captions import Caption
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.selection import Selection
from graddiag.analysis.timesteps.means import UnitMeans
from graddiag.analysis.timesteps.snapshots import snapshot_parts
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import gate_name, gate_title, plural, span
from graddiag.kinds import GATES
from graddiag.run import Run, numbers

# a unit is stuck where at least this share of all its activations is saturated on one side
STUCK: Final = 0.99

_SIDES: Final = (schema.SATURATED_LOW, schema.SATURATED_HIGH)


@dataclass(frozen=True)
class UnitSaturation:
    """One gate, unit by unit [U]: low (left-saturated) and high (right-saturated) share of its activations over batch,
    timesteps and snapshots; NaN where not known. shut, open: units with at least STUCK of them on that side (of a tanh:
    at -1 and at 1)."""

    gate: str
    title: str
    low: Floats
    high: Floats

    @property
    def shut(self) -> Ints:
        return np.flatnonzero(self.low >= STUCK)

    @property
    def open(self) -> Ints:
        return np.flatnonzero(self.high >= STUCK)


@dataclass(frozen=True)
class GateUnits(Result):
    """The gates of one layer, unit by unit, by all its snapshots. An activation is saturated below .1 or above .9 of a
    sigmoid, below -.9 or above .9 of a tanh; a relu is low at 0 and has no high side.

    The snapshot uses each activation of each sample: a unit that is low for half of the samples
    and high for the others is saturated here, although its mean over the batch is not.
    """

    source: Source
    selection: Selection
    steps: Ints
    units: int
    gates: tuple[UnitSaturation, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        stuck = {
            f"{gate_name(gate.gate)}:": f"{len(gate.open)} open, {len(gate.shut)} shut"
            for gate in self.gates
            if len(gate.open) or len(gate.shut)
        }
        when = f"{plural(len(self.steps), 'snapshot')} of {span(int(self.steps[0]), int(self.steps[-1]))}"
        of = f"Stuck units of {self.selection.short}, of {self.units:,}, by {when}"
        return Caption(of, stuck or {"": "none"})

    def to_frame(self) -> pd.DataFrame:
        """A row a unit of a gate: the shares of its activations that are saturated low and high."""
        parts = [
            indexed(
                {"gate": np.repeat(each.gate, len(each.low)), schema.UNIT: np.arange(len(each.low))},
                saturated_low=each.low,
                saturated_high=each.high,
            )
            for each in self.gates
        ]
        return stacked(*parts) if parts else pd.DataFrame()


def gate_units(run: Run, selection: Selection) -> GateUnits:
    """Saturation by unit, over all snapshots of one layer.

    Source: Karpathy, Johnson & Li (2016), section 4.2, figure 4.
    """
    names = [schema.gate_column(side, gate) for gate in GATES for side in _SIDES]
    sums, taken = {name: UnitMeans() for name in names}, []
    for frame in snapshot_parts(run, selection, [schema.UNIT, *names]):
        taken.append(frame[schema.STEP].unique())
        units = frame[schema.UNIT].to_numpy(dtype=np.int64)
        for name, shares in sums.items():
            shares.add(units, numbers(frame[name])[0])
    steps = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *taken]))
    count = max((len(shares.count) for shares in sums.values()), default=0)
    gates = tuple(each for gate in GATES if (each := _gate(gate, sums)) is not None)
    return GateUnits(source_of(run), selection, steps, count, gates, _what_is_missing(steps, gates, selection))


def _gate(gate: str, sums: Mapping[str, UnitMeans]) -> UnitSaturation | None:
    low, high = (sums[schema.gate_column(side, gate)].mean() for side in _SIDES)
    if not (np.isfinite(low).any() or np.isfinite(high).any()):
        return None
    return UnitSaturation(gate, gate_title(gate), low, high)


def _what_is_missing(steps: Ints, gates: tuple[UnitSaturation, ...], selection: Selection) -> str | None:
    if not len(steps):
        return f"No snapshot was taken of {selection.label}: watch(..., snapshot_every=...) takes them."
    if not gates:
        return f"The snapshots of {selection.label} hold no saturation of any gate."
    return None
