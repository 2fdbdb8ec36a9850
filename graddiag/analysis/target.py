"""How many steps each run takes to a loss that the arms have in common: a target, chosen by a rule."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.values import Floats, Ints
from graddiag.run import Run, numbers

_WINDOW_SHARE: Final = 0.05


def smoothed_loss(run: Run) -> tuple[Ints, Floats]:
    """The mean of the loss over the last 5% of the run's logged steps (at least one) up to each step that ends such a
    window, and those steps, [n] each; a window that holds a NaN or inf is not finite, the others are as they would be
    without it."""
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LOSS])
    values, missing = numbers(frame[schema.LOSS])
    steps, values = frame[schema.STEP].to_numpy(dtype=np.int64)[~missing], values[~missing]
    if not len(values):
        return steps, values
    width = max(1, math.ceil(len(values) * _WINDOW_SHARE))
    finite = np.isfinite(values)
    held, bad = (_window_sums(each, width) for each in (np.where(finite, values, 0.0), (~finite).astype(float)))
    return steps[width - 1 :], np.where(bad > 0, np.nan, held / width)


def target_loss(arms: Sequence[Sequence[Run]]) -> float | None:
    """The loss that the worst arm comes to at its best; None where no arm has a finite one.

    Of each run the smallest smoothed loss; of an arm their median over its runs (of two in the middle the higher, so
    that at least half of its runs reach it); of the arms the highest. A run whose loss is never finite counts as one
    that came to nothing, and an arm with such a median sets no target: it never reaches that of the others.
    """
    best = [np.quantile([_best(run) for run in arm], 0.5, method="higher") for arm in arms if len(arm)]
    finite = [float(each) for each in best if math.isfinite(each)]
    return max(finite) if finite else None


def steps_to(run: Run, target: float) -> float | None:
    """The first step at which the smoothed loss is at most ``target``; None if it never is."""
    steps, smooth = smoothed_loss(run)
    reached = np.flatnonzero(smooth <= target)
    return float(steps[reached[0]]) if len(reached) else None


def _best(run: Run) -> float:
    smooth = smoothed_loss(run)[1]
    finite = smooth[np.isfinite(smooth)]
    return float(finite.min()) if len(finite) else math.inf


def _window_sums(values: Floats, width: int) -> Floats:
    """The sum of each ``width`` values in a row, [n] to [n - width + 1]."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    return sums[width:] - sums[:-width]
