"""A loss that does not measure success."""

from typing import Literal

import numpy as np

from graddiag.analysis.diagnosis.outcome import words
from graddiag.analysis.diagnosis.outcome.course import Course
from graddiag.analysis.diagnosis.outcome.measures import scalar
from graddiag.analysis.values import Floats, Ints
from graddiag.run import Run


def no_measure(run: Run, found: Course) -> Literal["not-a-measure"] | None:
    """Why this loss does not measure success: it crosses 0 within its noise, or moves with a weight that was logged."""
    if (found.values > 0).any() and (found.values < 0).any() and np.ptp(found.levels) < 2 * found.noise:
        return "not-a-measure"
    return "not-a-measure" if _weighed(run, found) else None


def _weighed(run: Run, found: Course) -> bool:
    """Whether a logged weight of the loss (beta, temperature, ...) changes and the loss rises with it."""
    if found.last <= found.best + 2 * found.error:
        return False
    for name in words.WEIGHTS:
        steps, values = scalar(run, name)
        if len(values) > 3 and np.ptp(values) > 1e-3 * np.abs(values).max() and _together(found, steps, values):
            return True
    return False


def _together(found: Course, steps: Ints, values: Floats) -> bool:
    along = np.interp(found.block_steps[found.best_block :], steps, values)
    levels = found.levels[found.best_block :]
    if len(levels) < 3 or np.ptp(along) == 0 or np.ptp(levels) == 0:
        return False
    return abs(float(np.corrcoef(along, levels)[0, 1])) > 0.7
