"""Whether outcomes have two modes, e.g. the final losses of runs that solved a task and of runs that did not."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from graddiag.analysis.values import Floats

_GAP: Final = 4.0  # between the modes, in widths of the wider one
_FEWEST: Final = 2  # runs of a mode: a single one is an outlier


def mode_boundary(arms: Sequence[Floats]) -> float | None:
    """The middle of the gap between two modes of the values of all ``arms``, [runs] each; None where there are not two.

    There are two if a gap between neighbouring values is four times as wide as the values on either side of it, at
    least two runs lie on each, and the runs of at least one arm lie on both. The last rule tells two modes from two
    arms that differ by a constant. Values that are not finite are left out.
    """
    finite = [values[np.isfinite(values)] for values in arms]
    ordered = np.sort(np.concatenate(finite)) if finite else np.zeros(0)
    at = _widest(ordered)
    if at is None:
        return None
    boundary = float((ordered[at] + ordered[at + 1]) / 2)
    mixed = any(len(np.unique(values <= boundary)) == 2 for values in finite)
    return boundary if mixed else None


def _widest(ordered: Floats) -> int | None:
    """The index of the last value below the gap between two modes."""
    if len(ordered) < 2 * _FEWEST:
        return None
    last = np.arange(_FEWEST - 1, len(ordered) - _FEWEST)
    gaps = ordered[last + 1] - ordered[last]
    widths = np.maximum(ordered[last] - ordered[0], ordered[-1] - ordered[last + 1])
    best = int(np.argmax(gaps - _GAP * widths))
    return int(last[best]) if gaps[best] > 0 and gaps[best] >= _GAP * widths[best] else None
