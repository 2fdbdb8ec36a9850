"""One run in a few numbers, those by which runs are compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.context import diagnostic_context
from graddiag.analysis.diagnosis.verdict import diagnosis_of
from graddiag.analysis.flow.reach import Reach
from graddiag.analysis.optimization.spikes import find_spikes
from graddiag.analysis.selection import Selection, recorded_steps
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Source, source_of
from graddiag.run import Run, numbers

FINAL_LOSS: Final = "final_loss"
STEPS_TO_TARGET: Final = "steps_to_target"
NORM_MAX: Final = "norm_max"
SPIKES: Final = "spikes"
CLIPPED_SHARE: Final = "clipped_share"
NONFINITE_STEPS: Final = "nonfinite_steps"
EXPONENT: Final = "exponent"
HORIZON: Final = "horizon"
SATURATION: Final = "saturation"

# title, unit
METRICS: Final[Mapping[str, tuple[str, str]]] = {
    FINAL_LOSS: ("Final loss", "mean of the last 5% of the steps"),
    STEPS_TO_TARGET: ("Steps to the target loss", "steps"),
    NORM_MAX: ("Largest gradient norm before clipping", "L2 over all parameters"),
    SPIKES: ("Spikes of the norm before clipping", "steps at which it jumps"),
    CLIPPED_SHARE: ("Clipped steps", "share of all steps"),
    NONFINITE_STEPS: ("Steps with NaN or inf", "steps"),
    EXPONENT: ("Growth rate of the gradient", "mean of ln gain per timestep, in the layer where it is lowest"),
    HORIZON: ("Memory horizon", "timesteps, in the layer where it is shortest"),
    SATURATION: ("Saturated activations", "share, last recorded step"),
}

_FINAL_SHARE: Final = 0.05


@dataclass(frozen=True)
class RunSummary:
    """One run in numbers: verdict, steps, and a value for each of METRICS, None where it could not be known.

    steps_to_target: the step at which the smoothed loss comes to a target that all runs compared have in common; known
    in a comparison alone, and there None for a run that never comes to it. exponent, horizon: of the layer with
    the lowest exponent; horizon is inf where nothing fades. final_loss may be NaN or inf, as it was logged.
    """

    source: Source
    verdict: str
    steps: int
    metrics: Mapping[str, float | None]


def summary_of(run: Run, thresholds: Thresholds) -> RunSummary:
    """``run`` in the numbers of METRICS."""
    measured = diagnostic_context(run, thresholds)
    history, clip, found = measured.history, measured.clipping, measured.selections
    counted = history.before.measured
    weakest = _weakest(measured.reaches)
    return RunSummary(
        source_of(run),
        diagnosis_of(measured).verdict,
        len(history.steps),
        {
            FINAL_LOSS: final_loss(run),
            STEPS_TO_TARGET: None,
            NORM_MAX: clip.norm_max,
            SPIKES: float(len(find_spikes(history.steps, history.before.values, thresholds).steps))
            if counted
            else None,
            CLIPPED_SHARE: clip.clipped_share,
            NONFINITE_STEPS: float(clip.nonfinite_steps) if len(history.steps) else None,
            EXPONENT: weakest.exponent if weakest else None,
            HORIZON: weakest.horizon if weakest else None,
            SATURATION: _saturation(run, found),
        },
    )


def final_loss(run: Run) -> float | None:
    """The mean of the loss over the last 5% of the steps that have one, at least one step; NaN and inf are kept."""
    values, missing = numbers(run.read(schema.TABLE_STEPS, columns=[schema.LOSS])[schema.LOSS])
    logged = values[~missing]
    return float(logged[-max(1, math.ceil(len(logged) * _FINAL_SHARE)) :].mean()) if len(logged) else None


def _weakest(reaches: Sequence[Reach]) -> Reach | None:
    measured = [(each.exponent, each) for each in reaches if each.exponent is not None]
    return min(measured, key=lambda pair: pair[0])[1] if measured else None


def _saturation(run: Run, found: tuple[Selection, ...]) -> float | None:
    """Mean over all layers, gates and timesteps of the last recorded step of the share saturated low or high."""
    steps = recorded_steps(run)
    if not found or not len(steps):
        return None
    columns = [schema.SATURATED_LOW, schema.SATURATED_HIGH]
    rows = run.read(schema.TABLE_GATES, columns=columns, where={schema.STEP: int(steps[-1])})
    shares: Floats = np.stack([numbers(rows[name])[0] for name in columns])
    known = np.isfinite(shares).any(axis=0)
    return float(np.nansum(shares[:, known], axis=0).mean()) if known.any() else None
