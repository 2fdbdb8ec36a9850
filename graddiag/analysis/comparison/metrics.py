"""One run in a few numbers, by which runs are compared, and the number of steps it takes to a loss."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.context import diagnostic_context
from graddiag.analysis.diagnosis.verdict import diagnosis_of
from graddiag.analysis.flow.reach import Reach
from graddiag.analysis.optimization.norms import find_spikes
from graddiag.analysis.selection import Selection, recorded_steps
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints, Source, source_of
from graddiag.analysis.words import number
from graddiag.run import Run, numbers

_WINDOW_SHARE: Final = 0.05
_SHARE_OF_BEST: Final = 0.25  # of the fall of the best run: what an arm has to reach to be timed against the others
_MAD_TO_STD: Final = 1.4826  # of a normal distribution; a spike does not change it
_NOISE: Final = 5.0  # standard deviations of the smoothed loss: less is no fall


@dataclass(frozen=True)
class Target:
    """The loss to count steps to, None where no loss is fit for it; note: where it comes from, or why there is none."""

    loss: float | None
    note: str


def smoothed_loss(run: Run) -> tuple[Ints, Floats]:
    """The mean of the loss over the last 5% of the run's logged steps (at least one) up to each step that ends such a
    window, and those steps, [n] each; a window that holds a NaN or inf is not finite, the others are as they would be
    without it."""
    steps, values = _logged(run)
    if not len(values):
        return steps, values
    width = _width(values)
    finite = np.isfinite(values)
    held, bad = (_window_sums(each, width) for each in (np.where(finite, values, 0.0), (~finite).astype(float)))
    return steps[width - 1 :], np.where(bad > 0, np.nan, held / width)


def target_loss(arms: Mapping[str, Sequence[Run]], given: float | None = None) -> Target:
    """The loss to count steps to: ``given``, else halfway between the start and the best loss that every arm reached.

    The start is the median first loss of all runs. The best loss that every arm reached is the highest, over arms, of
    the smallest smoothed loss of its runs. There is no target where an arm has no run with a finite loss, or where the
    loss of an arm fell by less than a quarter of the fall of the best run, or by less than five standard deviations of
    its noise: every loss that such an arm reached lies at the start.
    """
    if given is not None:
        return Target(given, "given")
    start = _start([run for runs in arms.values() for run in runs])
    best = {arm: min(map(_best, runs), default=math.inf) for arm, runs in arms.items()}
    if start is None or not best:
        return Target(None, "no run has a finite loss")
    least = max(_SHARE_OF_BEST * (start - min(best.values())), _NOISE * _noise(arms))
    unmoved = [arm for arm, loss in best.items() if not start - loss > least]
    if unmoved:
        return Target(None, _why_none(unmoved, best, start))
    reached = max(best.values())
    note = f"halfway between the start, {number(start)}, and the best loss that every arm reached, {number(reached)}"
    return Target((start + reached) / 2, note)


def steps_to(run: Run, target: float) -> float | None:
    """The first step at which the smoothed loss is at most ``target``; None if it never is."""
    steps, smooth = smoothed_loss(run)
    reached = np.flatnonzero(smooth <= target)
    return float(steps[reached[0]]) if len(reached) else None


def _why_none(unmoved: Sequence[str], best: Mapping[str, float], start: float) -> str:
    arm = unmoved[0]
    if not math.isfinite(best[arm]):
        return f"no run of {arm} has a finite loss"
    return f"no run of {arm} got far below the loss at the start: best {number(best[arm])}, start {number(start)}"


def _logged(run: Run) -> tuple[Ints, Floats]:
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LOSS])
    values, missing = numbers(frame[schema.LOSS])
    return frame[schema.STEP].to_numpy(dtype=np.int64)[~missing], values[~missing]


def _start(runs: Sequence[Run]) -> float | None:
    firsts = [float(finite[0]) for run in runs if len(finite := _finite(run))]
    return float(np.median(firsts)) if firsts else None


def _noise(arms: Mapping[str, Sequence[Run]]) -> float:
    """Of the smoothed loss at the end: the standard deviation of one batch's loss, over the root of the window."""
    found = []
    for run in (run for runs in arms.values() for run in runs):
        values = _finite(run)
        late = np.diff(values[len(values) // 2 :])
        if len(late) > 1:
            spread = float(np.median(np.abs(late - np.median(late)))) * _MAD_TO_STD
            found.append(spread / math.sqrt(2 * _width(values)))
    return float(np.median(found)) if found else 0.0


def _finite(run: Run) -> Floats:
    values = _logged(run)[1]
    return values[np.isfinite(values)]


def _width(values: Floats) -> int:
    return max(1, math.ceil(len(values) * _WINDOW_SHARE))


def _best(run: Run) -> float:
    smooth = smoothed_loss(run)[1]
    finite = smooth[np.isfinite(smooth)]
    return float(finite.min()) if len(finite) else math.inf


def _window_sums(values: Floats, width: int) -> Floats:
    """The sum of each ``width`` values in a row, [n] to [n - width + 1]."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    return sums[width:] - sums[:-width]


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
