"""What a run has recorded: which modules, layers and directions, at which steps, by which signals and scalars."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.values import Floats, Ints
from graddiag.run import Run, numbers, remembered
from graddiag.schema import TraceKey

# steps that are looked at to find the layers of a long run; a module that ran at none of them is not found
_LOOKED_AT: Final = 64


# a layer that a result is about
Selection = TraceKey


def selections(run: Run, *, recorded: Ints | None = None) -> tuple[Selection, ...]:
    """The layers of a run: modules in the order in which they ran, layers upwards, forward before reverse, by call.

    Empty where nothing was recorded by timestep. Of a run of very many steps 64 are read.

    Args:
        recorded: what ``recorded_steps(run)`` gives, where it is known already: half of the work.
    """
    for table in (schema.TABLE_TIMESTEPS, schema.TABLE_GATES):
        known = recorded if table == schema.TABLE_TIMESTEPS else None
        steps = steps_of(run, table) if known is None else known
        if len(steps):
            where = {schema.STEP: [int(step) for step in evenly_spaced(steps)]}
            rows = run.read(table, columns=schema.TRACE_KEYS, where=where)
            return _ordered(rows.drop_duplicates())
    return ()


def evenly_spaced(steps: Ints) -> Ints:
    """At most 64 of ``steps``, evenly spread, the first and the last among them."""
    return steps[np.unique(np.linspace(0, len(steps) - 1, _LOOKED_AT).astype(int))] if len(steps) else steps


def common_selections(runs: Sequence[Run]) -> tuple[Selection, ...]:
    """The layers that every one of ``runs`` has, in the order of the first; empty where there is none."""
    if not runs:
        return ()
    first, *others = (selections(run) for run in runs)
    return tuple(each for each in first if all(each in other for other in others))


def recorded_steps(run: Run, selection: Selection | None = None, *, within: tuple[int, int] | None = None) -> Ints:
    """The steps at which timesteps were recorded, ascending, [S]; of one layer, or of any; from the first to the last
    step of ``within`` alone where it is given."""
    return steps_of(run, schema.TABLE_TIMESTEPS, selection, within)


def signals(run: Run, selection: Selection) -> tuple[str, ...]:
    """The columns of ``timesteps`` that hold anything for a layer, in the order of the schema; NaN and inf count."""
    names = [c.name for c in schema.TABLES[schema.TABLE_TIMESTEPS].columns if not c.key]
    steps = recorded_steps(run, selection)
    if not len(steps):
        return ()
    looked = [int(steps[at]) for at in sorted({0, len(steps) // 2, len(steps) - 1})]
    frame = run.read(schema.TABLE_TIMESTEPS, columns=names, where={**selection.where, schema.STEP: looked})
    return tuple(name for name in names if not numbers(frame[name])[1].all())


@remembered
def steps_of(run: Run, table: str, selection: Selection | None = None, within: tuple[int, int] | None = None) -> Ints:
    """The steps of ``table``, by their rows of timestep 0, which every sequence has, or of the first index: of a long
    run all its rows are hundreds of times as many. By all rows where there is none of those."""
    where: dict[str, Any] = {} if selection is None else {**selection.where}
    if within is not None:
        where[schema.STEP] = range(within[0], within[1] + 1)
    first = next(c.name for c in schema.TABLES[table].columns if c.name in (schema.TIMESTEP, schema.INDEX))
    steps = run.read(table, columns=[schema.STEP], where={**where, first: 0})[schema.STEP].to_numpy()
    if not len(steps):
        steps = run.read(table, columns=[schema.STEP], where=where)[schema.STEP].to_numpy()
    changes = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    found = steps[np.concatenate([[0], changes])] if len(steps) else steps
    unique = np.unique(found).astype(np.int64)
    unique.flags.writeable = False
    return unique


def _ordered(rows: pd.DataFrame) -> tuple[Selection, ...]:
    found = [
        TraceKey(str(module), int(layer), direction, int(call))
        for module, layer, direction, call in rows[list(schema.TRACE_KEYS)].itertuples(index=False, name=None)
    ]
    order = {module: place for place, module in enumerate(dict.fromkeys(each.module for each in found))}
    return tuple(sorted(found, key=lambda s: (order[s.module], s.layer, s.reverse, s.call)))


def optional_scalars(run: Run, *names: str) -> tuple[Floats, ...] | None:
    """The columns ``names`` of ``steps``, [S] each, NaN where missing; None where the run lacks one of them."""
    has = run.read(schema.TABLE_STEPS, where={schema.STEP: []}).columns  # no row: the names alone
    if not set(names) <= set(has):
        return None
    frame = run.read(schema.TABLE_STEPS, columns=list(names))
    return tuple(numbers(frame[name])[0] for name in names)
