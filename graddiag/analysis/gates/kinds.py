"""What kind of cell a layer is and how far it keeps its state, by the gates recorded of it: a name may say anything."""

from dataclasses import dataclass

import numpy as np

from graddiag import schema
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Ints
from graddiag.kinds import CellType, type_by_gates
from graddiag.run import Run, numbers


@dataclass(frozen=True)
class RecordedCell:
    """type: None where no gate was recorded, or gates of no known cell; is_relu: it is an RNN whose activation has no
    high side. carried: mean activation of the gate that keeps the state. saturated: share of a plain RNN's activations
    that are saturated. Both are means over the timesteps of the later half of the recorded steps, None where the cell
    has no such number."""

    type: CellType | None = None
    is_relu: bool = False
    carried: float | None = None
    saturated: float | None = None


def cell_of(run: Run, selection: Selection, steps: Ints) -> RecordedCell:
    """The cell of one layer, by its gates at ``steps``."""
    columns = [schema.STEP, schema.GATE, schema.MEAN, schema.SATURATED_LOW, schema.SATURATED_HIGH]
    where = {**selection.where, schema.STEP: [int(step) for step in steps]}
    rows = run.read(schema.TABLE_GATES, columns=columns, where=where) if len(steps) else None
    if rows is None or not len(rows):
        return RecordedCell()
    kind = type_by_gates(set(rows[schema.GATE]))
    late = rows[rows[schema.STEP] >= int(steps[len(steps) // 2])]
    if kind is None:
        return RecordedCell()
    if kind.keeping is None:
        (low, no_low), (high, no_high) = (numbers(late[name]) for name in columns[3:])
        relu = len(late) > 0 and bool(no_high.all()) and not bool(no_low.all())
        return RecordedCell(kind, relu, saturated=None if relu else _mean(low + high))
    keeping = late[late[schema.GATE] == kind.keeping.name]
    return RecordedCell(kind, carried=_mean(numbers(keeping[schema.MEAN])[0]))


def _mean(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None
