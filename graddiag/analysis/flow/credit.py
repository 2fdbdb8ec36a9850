"""The credit matrix: what the loss at one timestep alone sends back to every other, ||dL_s/dh_t||."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.frames import cells
from graddiag.analysis.selection import Selection
from graddiag.analysis.timesteps.snapshots import NO_SNAPSHOTS, rows_nearest
from graddiag.analysis.values import Floats, Ints, Result, Source, States, finite_only, source_of, states_of
from graddiag.analysis.words import number
from graddiag.run import Run, numbers

UNIT: Final = "L2 over batch and units, units of the loss, before clipping"

# credit has faded once it is below this share of what it is at its own loss timestep
_FADED: Final = 0.01


@dataclass(frozen=True)
class CreditMatrix(Result):
    """||dL_s/dh_t|| of one layer, for loss timesteps s [S] and state timesteps t [T].

    L_s is what enters the layer through its output at s alone: in the top layer the loss at s, in a layer below what
    the layer above hands down at s, whichever loss it stems from. values: [S, T], NaN unless states is value or zero;
    states: CellState, missing behind s, where there is nothing. An exact zero is a finding: no loss enters at s, or
    nothing of it gets through. fading: timesteps back from the last loss timestep until its credit is below 1% of what
    it is there; None where it never is. step: of the run, None for a trace.

    Source: Pascanu, Mikolov & Bengio (2013), equation 3, whose temporal components these are.
    """

    source: Source
    selection: Selection
    step: int | None
    loss_timesteps: Ints
    timesteps: Ints
    values: Floats
    states: States
    fading: int | None
    missing: str | None = None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        when = "" if self.step is None else f" at step {self.step}"
        found = f"What each loss timestep sends back{when} in {self.source.label}, {self.selection.short}"
        longest = _longest(self.values, self.loss_timesteps, self.selection.reverse)
        if longest is None:
            return f"{found}: no loss that is finite enters anywhere."
        s, back = longest
        far = len(self.timesteps) - 1 if self.selection.reverse else 0
        fading = "" if self.fading is None else f"; it is below 1% after {self.fading} timesteps"
        share = number(float(back[-1] / back[0]))
        return f"{found}: of what timestep {s} sends, {share} is left at timestep {far}{fading}."

    def to_frame(self) -> pd.DataFrame:
        """A row a cell: the norm of dL_s/dh_t."""
        at = ("loss_timestep", self.loss_timesteps), (schema.TIMESTEP, self.timesteps)
        return cells(*at, "credit", self.values, self.states)


def credit_matrix(run: Run, step: int, selection: Selection) -> CreditMatrix:
    """The credit matrix of one layer, of the snapshot nearest to ``step``."""
    columns = [schema.LOSS_TIMESTEP, schema.TIMESTEP, schema.GRAD_H]
    chosen, rows = rows_nearest(run, schema.TABLE_CREDIT, columns, step, selection)
    if chosen is None:
        nothing = np.zeros((0, 0))
        found = credit_values(source_of(run), selection, None, np.zeros(0, dtype=np.int64), nothing)
        return replace(found, missing=f"No credit matrix of {selection.label}. {NO_SNAPSHOTS}")
    at, s = np.unique(rows[schema.LOSS_TIMESTEP].to_numpy(dtype=np.int64), return_inverse=True)
    t = rows[schema.TIMESTEP].to_numpy(dtype=np.int64)
    values, absent = np.full((len(at), int(t.max()) + 1), np.nan), np.ones((len(at), int(t.max()) + 1), dtype=bool)
    values[s, t], absent[s, t] = numbers(rows[schema.GRAD_H])
    found = credit_values(source_of(run), selection, chosen, at, values, absent)
    why = f"The credit matrix of {selection.label} was not recorded." if absent.all() else None
    return replace(found, missing=why)


def credit_values(
    source: Source,
    selection: Selection,
    step: int | None,
    at: Ints,
    values: Floats,
    absent: NDArray[np.bool_] | None = None,
) -> CreditMatrix:
    """The result of values [S, T] for the loss timesteps ``at`` [S]; ``absent``: [S, T], by default what is behind."""
    timesteps = np.arange(values.shape[1])
    if absent is None:
        behind = np.less if selection.reverse else np.greater
        absent = np.asarray(behind(timesteps[None, :], at[:, None]))
    states = states_of(values, absent)
    known = finite_only(values, states)
    return CreditMatrix(source, selection, step, at, timesteps, known, states, _fading(known, at, selection.reverse))


def _longest(values: Floats, at: Ints, reverse: bool) -> tuple[int, Floats] | None:
    """The loss timestep, of those where anything entered, that is processed last, and its row from there on back."""
    for s, row in list(zip(at, values, strict=True))[:: 1 if reverse else -1]:
        back = row[s:] if reverse else row[s::-1]
        if back[0] > 0:
            return int(s), back
    return None


def _fading(values: Floats, at: Ints, reverse: bool) -> int | None:
    longest = _longest(values, at, reverse)
    if longest is None:
        return None
    below = np.flatnonzero(longest[1] < _FADED * longest[1][0])
    return int(below[0]) if len(below) else None
