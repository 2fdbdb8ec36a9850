"""What a run has recorded: which modules, layers and directions, at which steps, by which signals and scalars."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.values import Floats, Ints
from graddiag.errors import SettingError
from graddiag.run import Run, numbers, remembered

_KEYS: Final = [schema.MODULE, schema.LAYER, schema.DIRECTION, schema.CALL]

# steps that are looked at to find the layers of a long run; a module that ran at none of them is not found
_LOOKED_AT: Final = 64

_DIRECTIONS: Final = get_args(schema.Direction)


@dataclass(frozen=True)
class Selection:
    """One recurrent layer in one direction, at one call of its module within a step."""

    module: str
    layer: int
    direction: str
    call: int = 0

    @property
    def label(self) -> str:
        """In words: ``encoder.lstm, layer 0, forward``."""
        call = f", call {self.call}" if self.call else ""
        return f"{self.module or '(model)'}, layer {self.layer}, {self.direction}{call}"

    @property
    def short(self) -> str:
        """As a caption calls it, forward and the only call unsaid: ``encoder.lstm layer 0``."""
        turned = "" if self.direction == "forward" else f", {self.direction}"
        call = f", call {self.call}" if self.call else ""
        return f"{self.module or '(model)'} layer {self.layer}{turned}{call}"

    @property
    def key(self) -> str:
        """In one word, for a link; ``from_key`` reads it back."""
        return f"{self.module}/{self.layer}/{self.direction}/{self.call}"

    @property
    def where(self) -> dict[str, str | int]:
        """The equalities that read this layer's rows."""
        return dict(zip(_KEYS, (self.module, self.layer, self.direction, self.call), strict=True))

    @property
    def reverse(self) -> bool:
        return self.direction == "reverse"

    @classmethod
    def from_key(cls, key: str) -> "Selection":
        """The selection that ``key`` names.

        Raises:
            SettingError: the text is not module/layer/direction/call.
        """
        parts = key.rsplit("/", 3)
        if len(parts) != 4 or not (parts[1].isdecimal() and parts[2] in _DIRECTIONS and parts[3].isdecimal()):
            raise SettingError(
                f"layer {key!r}: this is not a layer; write module/layer/direction/call, lstm/0/forward/0 say."
            )
        return cls(parts[0], int(parts[1]), parts[2], int(parts[3]))


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
            rows = run.read(table, columns=_KEYS, where={schema.STEP: [int(step) for step in looked_at(steps)]})
            return _ordered(rows.drop_duplicates())
    return ()


def looked_at(steps: Ints) -> Ints:
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
        Selection(str(module), int(layer), str(direction), int(call))
        for module, layer, direction, call in rows[_KEYS].itertuples(index=False, name=None)
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
