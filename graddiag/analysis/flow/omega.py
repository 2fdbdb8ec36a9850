"""Omega, the regulariser against vanishing gradients, as a measure: what it would have charged a run at each step.

Legend: T timesteps, S recorded steps; gain_t = ||J_t^T lambda_t|| / ||lambda_t|| takes the gradient from t to t-1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.flow import transport
from graddiag.analysis.flow.gains import Gains, gains
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.selection import Selection
from graddiag.analysis.timesteps.grid import StepMeans
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, percent
from graddiag.errors import SettingError
from graddiag.run import Run

OmegaForm = Literal["squared", "norm"]

_POWER: Final = {"squared": 2, "norm": 1}
_WORDS: Final = {"squared": "squared norms, equation 10", "norm": "norms, equation 9"}


@dataclass(frozen=True)
class Omega(Result):
    """Omega of one layer at each recorded step: 0 where every step back through time keeps the gradient's size.

    Form ``norm``: sum_t (gain_t - 1)^2; ``squared``: sum_t (gain_t^2 - 1)^2. The two are not alike: a gain of .9
    throughout costs .01 a timestep in the one and .0361 in the other. No weight is in it.

    The norms in a gain are over the batch as a whole, and over (h, c) in an LSTM; the paper's are of one sample's h, so
    with more than one sample this is not the mean of theirs. The terms are those between timesteps: the gain of the
    first timestep, which leads to the initial state, has none, nor has a timestep that no gradient reaches or at
    which it underflows (``underflowed_gains`` of them): then ``total`` is of the others, and ``per_timestep`` holds.
    The gains are the network's own, before bptt:C, tbptt:K or h-detach. A gain of exactly 0 costs 1. A step with a NaN
    or inf gain is non-finite.

    Attributes:
        total: by step [S], the sum over timesteps, as the equations have it; it grows with the length.
        per_timestep: by step [S], the mean over those terms, which compares between lengths.
        by_timestep: [T], in the order of the data, the mean over steps of each timestep's term, finite ones alone.
        usual: the median of ``per_timestep`` over the steps at which it is finite.
        from_growth: the share of all finite terms' sum that gains above 1 make; the rest comes from gains below 1.
            None where every term is 0.
        n_terms: finite terms; nonfinite_gains: those that are NaN or inf.
    """

    source: Source
    selection: Selection
    form: OmegaForm
    steps: Ints
    timesteps: Ints
    total: Series
    per_timestep: Series
    by_timestep: Series
    usual: float | None
    from_growth: float | None
    n_terms: int
    nonfinite_gains: int
    missing: str | None = None
    underflowed_gains: int = 0

    @property
    def words(self) -> str:
        """The form in words."""
        return _WORDS[self.form]

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        known = self.per_timestep.values[np.isfinite(self.per_timestep.values)]
        found = {"median": number(self.usual)}
        if len(known) > 1:
            found["first to last"] = f"{number(float(known[0]))} to {number(float(known[-1]))}"
        if self.from_growth is not None:
            found["{} due to gains above 1"] = percent(self.from_growth)
        if self.nonfinite_gains:
            found["{} of the gains NaN or inf"] = f"{self.nonfinite_gains:,}"
        if self.underflowed_gains:
            found["{} of the gains left out, since the gradient underflows"] = f"{self.underflowed_gains:,}"
        return Caption(f"Omega per timestep, by {self.words}, {self.selection.short}", found)

    def to_frame(self) -> pd.DataFrame:
        """One row per step, then one row per timestep."""
        over = indexed({schema.STEP: self.steps}, self.total, self.per_timestep)
        along = indexed({schema.TIMESTEP: self.timesteps}, self.by_timestep)
        return stacked(over, along, names=(schema.STEP, schema.TIMESTEP))


def omega(run: Run, selection: Selection, *, form: OmegaForm = "squared") -> Omega:
    """What the regulariser Omega comes to in one layer at every recorded step, measured, not trained with.

    Raises:
        SettingError: a form that is neither ``squared`` nor ``norm``.

    Source: Pascanu, Mikolov & Bengio (2013), equations 9 (norm) and 10 (squared, as in the authors' code, whose mean
    over timesteps and samples ``per_timestep`` is for a batch of one).
    """
    if form not in _POWER:
        raise SettingError(f"omega(form={form!r}): the form is one of {', '.join(get_args(OmegaForm))}.")
    charged, parts = StepMeans(), []
    for found in gains(run, selection):
        part, terms = _terms(found, _POWER[form])
        charged.add(terms, np.isnan(terms))
        parts.append(part)
    steps, total, count = (np.concatenate([p[at] for p in map(_by_step, parts)]) for at in range(3))
    per_timestep, unmeasured = total / np.maximum(count, 1), count == 0
    by_timestep, no_term = charged.mean(charged.length)
    finite = per_timestep[np.isfinite(total) & ~unmeasured]
    grown, all_terms = sum(part.grown for part in parts), sum(part.charged for part in parts)
    title = f"Ω a timestep ({_WORDS[form]})"
    return Omega(
        source_of(run),
        selection,
        form,
        steps.astype(np.int64),
        np.arange(charged.length),
        series("omega", f"Ω ({_WORDS[form]})", "1, sum over timesteps", total, unmeasured),
        series("omega_per_timestep", title, "1, mean over timesteps", per_timestep, unmeasured),
        series("omega_by_timestep", title, "1, mean over steps", by_timestep, no_term),
        float(np.median(finite)) if len(finite) else None,
        grown / all_terms if 0 < all_terms < np.inf else None,
        sum(part.n_terms for part in parts),
        sum(part.nonfinite for part in parts),
        _what_is_missing(parts, charged.length, selection, len(finite)),
        sum(part.underflowed for part in parts),
    )


@dataclass(frozen=True)
class _Charged:
    """Of a chunk of steps: by step [S] the sum over terms, NaN or inf where a gain is, and how many terms it has;
    what all finite terms come to, and those of gains above 1; how many are finite and how many gains are not."""

    steps: Ints
    total: Floats
    count: Ints
    charged: float
    grown: float
    n_terms: int
    nonfinite: int
    measured: bool
    underflowed: int


def _terms(found: Gains, power: int) -> tuple[_Charged, Floats]:
    """The stretch summed up, and its terms [S, T] in the order of the data, NaN where there is none that is finite."""
    gain, unmeasured = found.network, found.unmeasured
    # the first timestep's gain leads out of the sequence; where it is missing, so is this mark
    first = np.isnan(transport.between_timesteps(np.zeros(gain.shape), found.present))
    counted = ~unmeasured & ~first & ~(found.cut & np.isnan(gain))
    with np.errstate(over="ignore", invalid="ignore"):
        terms = np.square(gain**power - 1)
        total = np.where(counted, terms, 0.0).sum(axis=1)
    finite = np.where(counted & np.isfinite(terms), terms, 0.0)
    part = _Charged(
        found.grid.steps,
        total,
        counted.sum(axis=1),
        float(finite.sum()),
        float(np.where(gain > 1, finite, 0.0).sum()),
        int((counted & np.isfinite(terms)).sum()),
        int((counted & ~np.isfinite(gain)).sum()),
        not unmeasured.all(),
        int(found.underflowed.sum()),
    )
    return part, np.where(counted & np.isfinite(terms), terms, np.nan)[:, found.order]


def _by_step(part: _Charged) -> tuple[Ints, Floats, Ints]:
    return part.steps, part.total, part.count


def _what_is_missing(parts: Sequence[_Charged], length: int, selection: Selection, known: int) -> str | None:
    if not any(len(part.steps) for part in parts):
        return f"No timestep was recorded for {selection.label}."
    if length < 2:
        return f"The sequences of {selection.label} have one timestep: there is no way back through time to charge."
    if not any(part.measured for part in parts):
        return f"The transport gain was not recorded for {selection.label}."
    if not known:
        return f"At no recorded step are the transport gains of {selection.label} between timesteps all finite."
    return None
