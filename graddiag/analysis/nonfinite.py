"""Where NaN and inf came from: the event that the recorder left, and the steps that held them."""

from dataclasses import dataclass

import numpy as np

from graddiag import schema
from graddiag.analysis.norms import norm_history
from graddiag.analysis.values import CellState, Ints, Result, Source, source_of, states_of
from graddiag.analysis.words import number, plural
from graddiag.run import Run, numbers


@dataclass(frozen=True)
class NonfiniteOrigin(Result):
    """The first NaN or inf of a run.

    step, where, message, value: of the first event of that kind; step alone where no event was recorded but the loss
    or the norms are NaN or inf. events: how many such events; steps: how many steps hold a NaN or inf in the loss,
    the gradient or its norm, and last_step the last of them.
    """

    source: Source
    found: bool
    step: int | None
    where: str | None
    message: str | None
    value: float | None
    events: int
    steps: int
    last_step: int | None
    missing: str | None = None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        if not self.found:
            return f"No NaN or inf was met in {self.source.label}."
        where = f" at {self.where}" if self.where else ""
        value = f" ({number(self.value)})" if self.value is not None else ""
        more = f" {plural(self.steps, 'step')} of {self.source.label} held NaN or inf."
        return f"The first NaN or inf{value} came at step {self.step}{where}. {self.message or ''}".rstrip() + more


def nonfinite_origin(run: Run) -> NonfiniteOrigin:
    """Where the first NaN or inf of a run began, as far as it was recorded."""
    names = [schema.STEP, schema.WHERE, schema.VALUE, schema.MESSAGE]
    events = run.read(schema.TABLE_EVENTS, columns=names, where={schema.KIND: schema.EVENT_NONFINITE})
    bad = nonfinite_steps(run)
    source = source_of(run)
    if not len(events):
        step, last = (int(bad[0]), int(bad[-1])) if len(bad) else (None, None)
        missing = (
            None if len(bad) or len(run.read(schema.TABLE_STEPS, columns=[schema.STEP])) else "No step was recorded."
        )
        return NonfiniteOrigin(source, bool(len(bad)), step, None, None, None, 0, len(bad), last, missing)
    steps = events[schema.STEP].to_numpy(dtype=np.int64)
    first = int(steps.argmin())
    values, absent = numbers(events[schema.VALUE])
    value = None if absent[first] else float(values[first])
    where, message = (_text(events[name].iloc[first]) for name in (schema.WHERE, schema.MESSAGE))
    seen = np.union1d(bad, steps)
    return NonfiniteOrigin(
        source, True, int(steps[first]), where, message, value, len(events), len(seen), int(seen[-1])
    )


def nonfinite_steps(run: Run) -> Ints:
    """The steps whose loss or gradient norm is NaN or inf, or whose gradient held such entries; ascending."""
    history = norm_history(run)
    bad = (history.nonfinite > 0) | (history.before.states == CellState.NONFINITE)
    loss = run.read(schema.TABLE_STEPS, columns=[schema.LOSS])[schema.LOSS]
    return history.steps[bad | (states_of(*numbers(loss)) == CellState.NONFINITE)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
