"""The signals of one layer, a chunk of recorded steps at a time, so that memory does not grow with the training."""

from collections.abc import Iterator, Sequence
from typing import Final

from graddiag.analysis.selection import Selection, recorded_steps
from graddiag.analysis.timesteps.grid import Grid, read_grid
from graddiag.analysis.values import Ints
from graddiag.run import Run

# recorded steps at once: some 10 MB a column where sequences have a thousand timesteps
_AT_ONCE: Final = 1_000

NO_STEP: Final = (-1, -1)


def chunks(
    run: Run, selection: Selection, columns: Sequence[str], *, steps: Ints | None = None, multiple: int = 1
) -> Iterator[Grid]:
    """The ``columns`` of one layer, chunk by chunk in the order of the steps; at least one, if only an empty one.

    The timesteps of a grid are those of the longest sequence in its chunk.

    Args:
        steps: of the recorded steps those that are wanted, ascending; all by default.
        multiple: every chunk but the last has a multiple of so many steps, so that no bin of them is torn apart.
    """
    steps = recorded_steps(run, selection) if steps is None else steps
    if not len(steps):
        yield read_grid(run, selection, columns, steps=NO_STEP)
    for first, last in ends_of(steps, multiple):
        yield read_grid(run, selection, columns, steps=(first, last))


def ends_of(steps: Ints, multiple: int = 1) -> Iterator[tuple[int, int]]:
    """The first and the last step of each chunk."""
    at_once = max(multiple, _AT_ONCE // multiple * multiple)
    for start in range(0, len(steps), at_once):
        part = steps[start : start + at_once]
        yield int(part[0]), int(part[-1])
