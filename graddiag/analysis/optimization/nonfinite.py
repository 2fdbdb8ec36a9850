"""Where NaN and inf came from: the event that the recorder left, and the steps that held them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.optimization.norms import NormHistory, norm_history
from graddiag.analysis.selection import Selection, selections
from graddiag.analysis.values import Ints, Result, Source, is_nonfinite, source_of, states_of
from graddiag.analysis.words import number, plural
from graddiag.run import Run, numbers

Pass = Literal["forward", "backward"]


@dataclass(frozen=True)
class NonfiniteOrigin(Result):
    """The first NaN or inf of a run.

    step, where, message, value: of the first event of that kind; step alone where no event was recorded but the loss
    or the norms are NaN or inf. events: how many such events; steps: how many steps hold a NaN or inf in the loss,
    the gradient or its norm, and last_step the last of them.
    during, module, layer, direction, timestep: in which pass and at which timestep of which layer it began, following
    the computation; None where that step's timesteps were not recorded, or were all finite (then it began in the loss,
    or outside the recurrent layers).
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
    during: Pass | None = None
    module: str | None = None
    layer: int | None = None
    direction: str | None = None
    timestep: int | None = None

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
    """Where the first NaN or inf of a run began, as far as it was recorded.

    Source: definition above, none other: first by step, then in the order in which the step computes.
    """
    names = [schema.STEP, schema.WHERE, schema.VALUE, schema.MESSAGE]
    events = run.read(schema.TABLE_EVENTS, columns=names, where={schema.KIND: schema.EVENT_NONFINITE})
    history = norm_history(run)
    bad = _nonfinite_of(run, history)
    source = source_of(run)
    if not len(events) and not len(bad):
        missing = None if len(history.steps) else "No step was recorded."
        return NonfiniteOrigin(source, False, None, None, None, None, 0, 0, None, missing)
    steps = events[schema.STEP].to_numpy(dtype=np.int64)
    seen = np.union1d(bad, steps)
    step, last = int(seen[0]), int(seen[-1])
    where, message, value = _told(events[steps == step])
    began = _began(run, step)
    return NonfiniteOrigin(source, True, step, where, message, value, len(events), len(seen), last, None, *began)


def _told(events: pd.DataFrame) -> tuple[str | None, str | None, float | None]:
    """Where, message and value of the first of ``events``, None where there is none."""
    if not len(events):
        return None, None, None
    values, absent = numbers(events[schema.VALUE])
    where, message = (_text(events[name].iloc[0]) for name in (schema.WHERE, schema.MESSAGE))
    return where, message, None if absent[0] else float(values[0])


def _began(run: Run, step: int) -> tuple[Pass | None, str | None, int | None, str | None, int | None]:
    """Pass, module, layer, direction and timestep of the first NaN or inf of a step: the forward pass is searched
    first, in the order in which the layers ran and along time, then the backward pass, the other way round."""
    columns = [*schema.TRACE_KEYS, schema.TIMESTEP, schema.H_RMS, schema.GRAD_H]
    rows = run.read(schema.TABLE_TIMESTEPS, columns=columns, where={schema.STEP: step})
    layers = selections(run) if len(rows) else ()
    searched: tuple[tuple[Pass, str, tuple[Selection, ...]], ...] = (
        ("forward", schema.H_RMS, layers),
        ("backward", schema.GRAD_H, layers[::-1]),
    )
    for during, column, order in searched:
        values, missing = numbers(rows[column])
        bad = rows[~np.isfinite(values) & ~missing]
        for layer in order if len(bad) else ():
            times = bad[schema.TIMESTEP][(bad[list(schema.TRACE_KEYS)] == pd.Series(layer.where)).all(axis=1)]
            if len(times):
                along = (during == "forward") is not layer.reverse
                at = int(times.min() if along else times.max())
                return during, layer.module, layer.layer, layer.direction, at
    return None, None, None, None, None


def nonfinite_steps(run: Run) -> Ints:
    """The steps whose loss or gradient norm is NaN or inf, or whose gradient held such entries; ascending."""
    return _nonfinite_of(run, norm_history(run))


def _nonfinite_of(run: Run, history: NormHistory) -> Ints:
    bad = (history.nonfinite > 0) | is_nonfinite(history.before.states)
    loss = run.read(schema.TABLE_STEPS, columns=[schema.LOSS])[schema.LOSS]
    return history.steps[bad | is_nonfinite(states_of(*numbers(loss)))]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
