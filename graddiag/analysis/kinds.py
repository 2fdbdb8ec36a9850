"""What kind of cell a layer is and how far it keeps its state, by the gates recorded of it: a name may say anything."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from graddiag import schema
from graddiag.analysis.selection import Selection
from graddiag.analysis.values import Ints
from graddiag.run import Run, numbers

Kind = Literal["rnn", "relu", "lstm", "gru"]

# the gate that carries the state on, of the cells that have one
CARRYING: Final = {"lstm": "f", "gru": "z"}


@dataclass(frozen=True)
class Cell:
    """kind: None where no gate was recorded, or gates of no known cell. carried: mean activation of the gate that
    carries the state on. saturated: share of a plain RNN's activations that are saturated. Both are means over the
    timesteps of the later half of the steps looked at, None where the cell has no such number."""

    kind: Kind | None = None
    carried: float | None = None
    saturated: float | None = None

    @property
    def gated(self) -> bool:
        return self.kind in CARRYING


def cell_of(run: Run, selection: Selection, steps: Ints) -> Cell:
    """The cell of one layer, by its gates at ``steps``."""
    columns = [schema.STEP, schema.GATE, schema.MEAN, schema.SATURATED_LOW, schema.SATURATED_HIGH]
    where = {**selection.where, schema.STEP: [int(step) for step in steps]}
    rows = run.read(schema.TABLE_GATES, columns=columns, where=where) if len(steps) else None
    if rows is None or not len(rows):
        return Cell()
    gates = set(rows[schema.GATE])
    named = next((name for name, own in schema.GATES.items() if gates == set(own)), None)
    late = rows[rows[schema.STEP] >= int(steps[len(steps) // 2])]
    if named == "rnn":
        (low, no_low), (high, no_high) = (numbers(late[name]) for name in columns[3:])
        relu = len(late) > 0 and bool(no_high.all()) and not bool(no_low.all())
        return Cell("relu" if relu else "rnn", None, None if relu else _mean(low + high))
    if named not in CARRYING:
        return Cell()
    carrying = late[late[schema.GATE] == CARRYING[named]]
    return Cell("lstm" if named == "lstm" else "gru", _mean(numbers(carrying[schema.MEAN])[0]))


def _mean(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None
