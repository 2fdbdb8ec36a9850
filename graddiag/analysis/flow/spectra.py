"""Spectra as results: of a recurrent weight, over training, and of the state's Jacobians (Lyapunov exponents).

What makes them of a run is here. What makes them of a trace or of a module needs torch: ``analysis.spectrum``.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed, stacked
from graddiag.analysis.selection import Selection
from graddiag.analysis.timesteps.snapshots import NO_SNAPSHOTS, nearest, snapshot_steps
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, known, series, source_of
from graddiag.analysis.words import gate_name, gate_title, number, plural, span
from graddiag.kinds import GATES
from graddiag.run import Run, numbers

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class WeightBlock:
    """One gate's block of a W_hh: singular values, the largest first; eigenvalues as real and imaginary parts, the
    largest in size first, empty where the block is not square (a projection)."""

    gate: str
    title: str
    singular: Floats
    real: Floats
    imag: Floats

    @property
    def norm(self) -> float:
        """The largest singular value: the most that one product with it can stretch."""
        return float(self.singular[0])

    @property
    def radius(self) -> float | None:
        """The largest eigenvalue in size; None where there is none."""
        return float(np.hypot(self.real[0], self.imag[0])) if len(self.real) else None


@dataclass(frozen=True)
class WeightSpectrum(Result):
    """Singular values and eigenvalues of one recurrent weight, gate by gate; ``step`` is None outside a run.

    Neither says how the gradient travels, for which the slopes and the gates count as well. The spectral radius is no
    bound over a finite time either: [[.9, 5], [0, .9]] has radius .9, and its ninth power stretches by 19.
    """

    source: Source
    parameter: str
    step: int | None
    blocks: tuple[WeightBlock, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        found = {gate_name(block.gate): _sizes(block) for block in self.blocks}
        when = "" if self.step is None else f" at step {self.step}"
        return Caption(f"Largest singular value and spectral radius of {self.parameter}{when}", found)

    def to_frame(self) -> pd.DataFrame:
        """A row an eigenvalue and singular value of a gate, by index."""
        parts = [
            indexed(
                {
                    "parameter": np.repeat(self.parameter, len(each.real)),
                    "gate": np.repeat(each.gate, len(each.real)),
                    "index": np.arange(len(each.real)),
                },
                real=each.real,
                imag=each.imag,
                singular=each.singular,
            )
            for each in self.blocks
        ]
        return stacked(*parts) if parts else pd.DataFrame()


@dataclass(frozen=True)
class WeightSeries:
    """One recurrent weight over training: spectral radius and largest singular value, each the largest over gates."""

    parameter: str
    radius: Series
    norm: Series


@dataclass(frozen=True)
class SpectrumHistory(Result):
    """Spectral radius and largest singular value of every W_hh at the steps [S] at which they were taken."""

    source: Source
    steps: Ints
    weights: tuple[WeightSeries, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        found = {}
        for each in self.weights:
            found[f"{each.parameter} largest singular value"] = _ends(each.norm)
            found[f"{each.parameter} spectral radius"] = _ends(each.radius)
        when = span(int(self.steps[0]), int(self.steps[-1]))
        alone = " alone" if len(self.steps) == 1 else ""
        return Caption(f"Recurrent weights, {when}{alone}", found)

    def to_frame(self) -> pd.DataFrame:
        """A row a step of a weight."""
        parts = [
            indexed(
                {schema.STEP: self.steps, "parameter": np.repeat(each.parameter, len(self.steps))},
                each.norm,
                each.radius,
            )
            for each in self.weights
        ]
        return stacked(*parts) if parts else pd.DataFrame()


@dataclass(frozen=True)
class Lyapunov(Result):
    """Finite-time Lyapunov exponents of one layer's state along real data, in nats per timestep, the largest first.

    lambda_i is the mean of ln |R_ii| over the timesteps after ``transient``, with Q R = J_t Q and J_t = d s_t/d s_{t-1}
    on the full state, (h, c) in an LSTM, the layer's input held as it was. A positive one stretches, a negative one
    contracts; -inf is a direction that one timestep takes to 0, as far as float64 can tell.

    Attributes:
        exponents: [k], the mean over samples, NaN where one of them has NaN; by_sample: [N, k].
        windows: [W, k], the mean over samples in W windows of about equal length, one after the other.
        state: entries of the state; k of them were asked for. The sum of all is the mean of ln|det J_t|.
        timesteps: how many counted, of the longest sequence; transient: how many before them did not.

    Source: Benettin et al. (1980); for trained recurrent nets Engelken, Wolf & Abbott (2023).
    """

    source: Source
    selection: Selection
    exponents: Floats
    by_sample: Floats
    windows: Floats
    state: int
    timesteps: int
    transient: int
    missing: str | None = None

    @property
    def horizon(self) -> float | None:
        """-1 / the largest exponent, in timesteps: after so many the slowest direction is down to 1/e. None where it
        is not negative, or not known."""
        largest = self.exponents[0] if len(self.exponents) else np.nan
        return float(-1 / largest) if np.isfinite(largest) and largest < 0 else None

    @property
    def spread(self) -> tuple[Floats, Floats]:
        """The smallest and the largest exponent over the samples, [k] each; those with NaN are left out, NaN where
        there is no other."""
        known_ones = self.by_sample[~self._unknown]
        if not len(known_ones):
            return np.full(len(self.exponents), np.nan), np.full(len(self.exponents), np.nan)
        return known_ones.min(axis=0), known_ones.max(axis=0)

    @property
    def _unknown(self) -> Flags:
        """Which samples met NaN or inf on their way, [N]."""
        return np.asarray(np.isnan(self.by_sample).any(axis=1))

    @property
    def total(self) -> float | None:
        """The sum of all exponents, the mean of ln|det J_t|; None where not all were asked for."""
        return float(self.exponents.sum()) if len(self.exponents) == self.state else None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        low, high = self.spread
        if lost := int(self._unknown.sum()):
            return (
                f"Lyapunov exponents of {self.source.label}, {self.selection.label}: {plural(lost, 'sample')} of "
                f"{len(self.by_sample)} met NaN or inf, so there is no mean; of the others the largest lies between "
                f"{number(float(low[0]))} and {number(float(high[0]))} a timestep."
            )
        largest = float(self.exponents[0])
        words = f"the largest of {len(self.exponents)} is {number(largest)} a timestep"
        if len(self.by_sample) > 1:
            words += f", from {number(float(low[0]))} to {number(float(high[0]))} over {len(self.by_sample)} samples"
        after = (
            f", so the slowest direction is down to 1/e after {number(self.horizon)} timesteps" if self.horizon else ""
        )
        zero = int(np.isneginf(self.exponents).sum())
        gone = f"; {zero} of them are -inf, directions that a single timestep takes to 0" if zero else ""
        return f"Lyapunov exponents of {self.source.label}, {self.selection.label}: {words}{after}{gone}."

    def to_frame(self) -> pd.DataFrame:
        """A row an exponent, the largest first."""
        return indexed({"index": np.arange(len(self.exponents))}, exponent=self.exponents)


def _sizes(block: WeightBlock) -> str:
    radius = np.nan if block.radius is None else block.radius
    return " and ".join(number(known(size)) for size in (block.norm, radius))


def _ends(line: Series) -> str:
    """The first and the last number of a course, once where it has one."""
    first, last = (number(known(float(line.values[place]))) for place in (0, -1))
    return first if len(line.values) == 1 else f"{first} to {last}"


_KEYS: Final = (schema.STEP, schema.PARAMETER)
_ABSENT: Final = "absent"  # where a weight has no eigenvalues


def spectrum_history(run: Run) -> SpectrumHistory:
    """The course of every recurrent weight's spectral radius and largest singular value: as recorded every so many
    steps, and by the spectra of the snapshots between.

    Source: Pascanu, Mikolov & Bengio (2013), section 2.1, for what the two say of vanishing and exploding gradients:
    a bound below 1 suffices to vanish, one above 1 is needed to explode.
    """
    rows = pd.concat([_recorded(run), _of_snapshots(run)], ignore_index=True).drop_duplicates(list(_KEYS))
    rows = rows.sort_values(schema.STEP, kind="stable", ignore_index=True)
    steps, at = np.unique(rows[schema.STEP].to_numpy(dtype=np.int64), return_inverse=True)
    weights = []
    for name in rows[schema.PARAMETER].unique():
        mine = (rows[schema.PARAMETER] == name).to_numpy()
        found, none = rows[mine], np.zeros(int(mine.sum()), dtype=bool)
        absent = found[_ABSENT].to_numpy(dtype=bool)
        radius = _on_steps(found[schema.SPECTRAL_RADIUS].to_numpy(), absent, at[mine], len(steps))
        norm = _on_steps(found[schema.SPECTRAL_NORM].to_numpy(), none, at[mine], len(steps))
        weights.append(
            WeightSeries(
                str(name),
                series(schema.SPECTRAL_RADIUS, "spectral radius", "1", *radius),
                series(schema.SPECTRAL_NORM, "largest singular value", "1", *norm),
            )
        )
    missing = None if weights else "No spectrum of a recurrent weight was recorded in this run."
    return SpectrumHistory(source_of(run), steps, tuple(weights), missing)


def _recorded(run: Run) -> pd.DataFrame:
    """Radius and norm of each weight at the steps at which they were taken."""
    rows = run.read(schema.TABLE_PARAMETERS, columns=[*_KEYS, schema.SPECTRAL_RADIUS, schema.SPECTRAL_NORM])
    (radius, absent), (norm, untaken) = numbers(rows[schema.SPECTRAL_RADIUS]), numbers(rows[schema.SPECTRAL_NORM])
    return _course(rows, radius, norm, absent)[~untaken]


def _of_snapshots(run: Run) -> pd.DataFrame:
    """The same out of the whole spectra of the snapshots: the largest over the gates of each weight."""
    names = [schema.SINGULAR_VALUE, schema.EIGENVALUE_REAL, schema.EIGENVALUE_IMAG]
    rows = run.read(schema.TABLE_SPECTRA, columns=[*_KEYS, *names], where={schema.INDEX: 0})
    (singular, untaken), (real, absent), (imag, _) = (numbers(rows[name]) for name in names)
    every = _course(rows, np.where(absent, np.nan, np.hypot(real, imag)), singular, absent)[~untaken]
    largest = every.groupby(list(_KEYS), sort=False, as_index=False)
    return largest.agg({schema.SPECTRAL_RADIUS: "max", schema.SPECTRAL_NORM: "max", _ABSENT: "all"})


def _course(rows: pd.DataFrame, radius: Floats, norm: Floats, absent: Flags) -> pd.DataFrame:
    keys = {
        schema.STEP: rows[schema.STEP].to_numpy(dtype=np.int64),
        schema.PARAMETER: rows[schema.PARAMETER].astype(str),
    }
    return pd.DataFrame({**keys, schema.SPECTRAL_RADIUS: radius, schema.SPECTRAL_NORM: norm, _ABSENT: absent})


def weight_spectra(run: Run, step: int, selection: Selection | None = None) -> tuple[WeightSpectrum, ...]:
    """The spectrum of every recurrent weight, or of one layer's alone, of the snapshot nearest to ``step``; where there
    is none, a result that says why.

    Source: as ``spectrum_history``; the matrix whose radius is .9 and whose powers grow is a fact of non-normal
    matrices, Trefethen & Embree (2005), spectra and pseudospectra.
    """
    steps = snapshot_steps(run, table=schema.TABLE_SPECTRA)
    if not len(steps):
        why = f"No whole spectrum of a recurrent weight. {NO_SNAPSHOTS}"
        return (WeightSpectrum(source_of(run), "", None, (), why),)
    chosen = nearest(steps, step)
    rows = run.read(schema.TABLE_SPECTRA, where={schema.STEP: chosen})
    rows = rows[~numbers(rows[schema.SINGULAR_VALUE])[1]]
    names = [name for name in dict.fromkeys(rows[schema.PARAMETER]) if selection is None or _is_of(name, selection)]
    if not names:
        whose = "a recurrent weight" if selection is None else "this layer's weight"
        why = f"At step {chosen} there is no spectrum of {whose}: it held NaN or inf, or was not recorded."
        return (WeightSpectrum(source_of(run), "", chosen, (), why),)
    by_weight = {name: rows[rows[schema.PARAMETER] == name] for name in names}
    return tuple(WeightSpectrum(source_of(run), name, chosen, _blocks(mine)) for name, mine in by_weight.items())


def _is_of(parameter: str, selection: Selection) -> bool:
    """Whether ``parameter`` is the recurrent weight of a layer; a cell's has no number."""
    module, _, name = parameter.rpartition(".")
    own = f"weight_hh_l{selection.layer}{'_reverse' if selection.reverse else ''}"
    return module == selection.module and name in (own, "weight_hh")


def _blocks(rows: pd.DataFrame) -> tuple[WeightBlock, ...]:
    """The blocks of one weight, gates in torch's order."""
    return tuple(_block(gate, rows[rows[schema.GATE] == gate]) for gate in GATES if (rows[schema.GATE] == gate).any())


def _block(gate: str, rows: pd.DataFrame) -> WeightBlock:
    rows = rows.sort_values(schema.INDEX)
    real, absent = numbers(rows[schema.EIGENVALUE_REAL])
    imag, _ = numbers(rows[schema.EIGENVALUE_IMAG])
    return WeightBlock(gate, gate_title(gate), numbers(rows[schema.SINGULAR_VALUE])[0], real[~absent], imag[~absent])


def _on_steps(values: Floats, absent: Flags, at: Ints, count: int) -> tuple[Floats, Flags]:
    placed, missing = np.full(count, np.nan), np.ones(count, dtype=bool)
    placed[at], missing[at] = values, absent
    return placed, missing
