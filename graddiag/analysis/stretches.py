"""The signals of one layer, a stretch of recorded steps at a time, so that memory does not grow with the training."""

from collections.abc import Iterator, Sequence
from typing import Final

from graddiag.analysis.grid import Grid, read_grid
from graddiag.analysis.selection import Selection, recorded_steps
from graddiag.run import Run

# recorded steps at once: some 10 MB a column where sequences have a thousand timesteps
_AT_ONCE: Final = 1_000


def stretches(run: Run, selection: Selection, columns: Sequence[str]) -> Iterator[Grid]:
    """The ``columns`` of one layer, stretch by stretch in the order of the steps; at least one, if only an empty one.

    The timesteps of a grid are those of the longest sequence in its stretch.
    """
    steps = recorded_steps(run, selection)
    if not len(steps):
        yield read_grid(run, selection, columns)
    for start in range(0, len(steps), _AT_ONCE):
        part = steps[start : start + _AT_ONCE]
        yield read_grid(run, selection, columns, steps=(int(part[0]), int(part[-1])))
