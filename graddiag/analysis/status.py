"""How a layer does now: its gradient through time and its gates over the last recorded steps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.flow.reach import reach
from graddiag.analysis.gates.history import GateSeries, gate_profile
from graddiag.analysis.selection import Selection, recorded_steps
from graddiag.analysis.timesteps.profile import profile
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import number, recorded_span
from graddiag.run import Run

LAST = 20


@dataclass(frozen=True)
class LayerStatus(Result):
    """One layer over the last recorded ``steps`` [S].

    length: T, timesteps of a sequence. share: ||dL/dh|| at the far end of the sequence over that at the end where the
    loss is, the median over steps; above 1 the gradient grows on its way back. gain: the geometric mean of the
    transport gain, over timesteps and steps. horizon: timesteps after which a share of 1/e is left, inf where the gain
    is not below 1. saturated: by gate the share of activations that are saturated, low or high, the mean over timesteps
    and steps. norms: ||dL/dh_t||, L2 over batch and units, the geometric mean over steps, [T] in the order of the data.
    What was not measured is None.
    """

    source: Source
    selection: Selection
    steps: Ints
    length: int
    share: float | None
    gain: float | None
    horizon: float | None
    saturated: Mapping[str, float]
    norms: Floats
    missing: str | None = None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        shares = {"reaches the far end": self.share, "mean gain": self.gain, "memory horizon": self.horizon}
        known = ", ".join(f"{name} {number(value)}" for name, value in shares.items() if value is not None)
        at = recorded_span(int(self.steps[0]), int(self.steps[-1]))
        return f"{self.selection.label} of {self.source.label} at {at}: {known or 'no gain was measured'}."

    def to_frame(self) -> pd.DataFrame:
        """One row per timestep."""
        return pd.DataFrame({schema.TIMESTEP: np.arange(len(self.norms)), schema.GRAD_H: self.norms})


def layer_status(run: Run, selection: Selection, *, last: int = LAST) -> LayerStatus:
    """One layer over the ``last`` recorded steps of a run, or all there are; no more of the run than these is read.

    Source: ``reach`` for share, gain and horizon; ``gate_profile`` for saturation.
    """
    steps = recorded_steps(run, selection)[-last:]
    if not len(steps):
        missing = f"No timestep of {selection.label} was recorded."
        return LayerStatus(source_of(run), selection, steps, 0, None, None, None, {}, np.zeros(0), missing)
    ends = int(steps[0]), int(steps[-1])
    part = run.between(*ends)
    found, norms = reach(part, selection), profile(part, ends, selection)
    gates = {each.gate: _saturated(each) for each in gate_profile(part, ends, selection).gates}
    return LayerStatus(
        source_of(run),
        selection,
        steps,
        found.length,
        found.ratio,
        None if found.exponent is None else math.exp(found.exponent),
        found.horizon,
        {name: share for name, share in gates.items() if share is not None},
        norms.series[0].values if norms.series else np.zeros(0),
        norms.missing,
    )


def _saturated(gate: GateSeries) -> float | None:
    """The share of saturated activations, over timesteps."""
    shares = gate.low.values + gate.high.values
    known = shares[np.isfinite(shares)]
    return float(known.mean()) if len(known) else None
