"""The gates of one layer, read a chunk of steps at a time: a long run's table of gates does not fit in memory."""

from collections.abc import Iterator, Sequence
from typing import Final

from graddiag import schema
from graddiag.analysis.selection import Selection, steps_of
from graddiag.analysis.timesteps.grid import Grid, grid_of
from graddiag.analysis.values import Ints
from graddiag.kinds import GATES
from graddiag.run import Run

# recorded steps that are read at once: a few million rows where sequences are long
_AT_ONCE: Final = 500


def recorded_gate_steps(run: Run, selection: Selection) -> Ints:
    """The steps at which the gates of a layer were recorded, ascending, [S]."""
    return steps_of(run, schema.TABLE_GATES, selection)


def gate_grids(
    run: Run, selection: Selection, steps: Ints, columns: Sequence[str], gate: str | None = None
) -> Iterator[tuple[slice, dict[str, Grid]]]:
    """Stretch by stretch of ``steps`` [S]: which part of them it is, and a Grid of those steps for each gate found, or
    for ``gate`` alone.

    A step at which a gate was not recorded is a missing row of its grid.
    """
    keys = [schema.STEP, schema.TIMESTEP, schema.GATE]
    for start in range(0, len(steps), _AT_ONCE):
        part = steps[start : start + _AT_ONCE]
        where = {**selection.where, schema.STEP: part.tolist(), **({} if gate is None else {schema.GATE: gate})}
        frame = run.read(schema.TABLE_GATES, columns=[*keys, *columns], where=where)
        gates = frame[schema.GATE].astype("category").cat
        codes = gates.codes.to_numpy()
        found = {str(name): frame[codes == code] for code, name in enumerate(gates.categories)}
        grids = {name: grid_of(rows, columns, part) for name, rows in found.items() if len(rows)}
        yield slice(start, start + len(part)), grids


def gates_in_order(gates: Sequence[str]) -> tuple[str, ...]:
    """Gates in the order of torch's rows, those of no known cell behind them."""
    return (*(gate for gate in GATES if gate in gates), *sorted(set(gates).difference(GATES)))
