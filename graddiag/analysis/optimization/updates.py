"""The size of the updates: against the weights, with a rule of thumb of a thousandth, and at the edge of stability."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.optimization.loss import SHARPNESS
from graddiag.analysis.selection import optional_scalars
from graddiag.analysis.values import CellState, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, percent, scalar_title
from graddiag.run import Run, numbers

RULE_OF_THUMB: Final = 1e-3

_UNIT: Final = "1, recorded steps alone"


@dataclass(frozen=True)
class ParameterUpdate:
    """The update-to-weight ratio of one parameter: quantiles over the recorded steps where it is finite, share of them
    within a factor of ten of the rule of thumb; from_zero: steps at which its weights were 0 (the ratio is inf)."""

    parameter: str
    low: float
    median: float
    high: float
    near: float
    steps: int
    from_zero: int


@dataclass(frozen=True)
class Updates(Result):
    """||w_{k+1} - w_k|| / ||w_k||, L2, as the optimizer made it: after clipping, with momentum and weight decay.

    steps [S]: the recorded ones; ratio: over all parameters together; median: its median, None where none is finite.
    parameters: the largest median first.

    Source: the rule of thumb of 1e-3 is Karpathy's (CS231n, 2015); it is no law, and a start or an end of training with
    other sizes is no fault.
    """

    source: Source
    steps: Ints
    ratio: Series
    median: float | None
    parameters: tuple[ParameterUpdate, ...]
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        assert self.median is not None
        times = number(self.median / RULE_OF_THUMB)
        found = {
            "median step": number(self.median),
            f"{{}} times the rule of thumb of {number(RULE_OF_THUMB)}": times,
        }
        if self.parameters:
            most, least = self.parameters[0], self.parameters[-1]
            found[f"most in {most.parameter},"] = number(most.median)
            found |= {f"least in {least.parameter},": number(least.median)} if least is not most else {}
        return Caption("Update / weights", found)

    def to_frame(self) -> pd.DataFrame:
        """A row a step."""
        return indexed({schema.STEP: self.steps}, self.ratio)


def updates(run: Run) -> Updates:
    """How large the updates were against the weights: all together over training, and by parameter."""
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.UPDATE_RATIO])
    values, missing = numbers(frame[schema.UPDATE_RATIO])
    steps = frame[schema.STEP].to_numpy(dtype=np.int64)[~missing]
    title = scalar_title(schema.UPDATE_RATIO)
    line = series(schema.UPDATE_RATIO, title, _UNIT, values[~missing], np.zeros(len(steps), dtype=bool))
    finite = values[np.isfinite(values)]
    median = float(np.median(finite)) if len(finite) else None
    lacking = "No update was measured: no recorded step of this run has a ratio." if median is None else None
    return Updates(source_of(run), steps, line, median, _by_parameter(run), lacking)


def _by_parameter(run: Run) -> tuple[ParameterUpdate, ...]:
    rows = run.read(schema.TABLE_PARAMETERS, columns=[schema.PARAMETER, schema.UPDATE_RATIO])
    names, ratios = rows[schema.PARAMETER].to_numpy(dtype=object), numbers(rows[schema.UPDATE_RATIO])[0]
    found = []
    for name in dict.fromkeys(names):
        own = ratios[names == name]
        finite = own[np.isfinite(own)]
        if len(finite):
            low, median, high = (float(each) for each in np.quantile(finite, [0.1, 0.5, 0.9]))
            near = float(((finite >= RULE_OF_THUMB / 10) & (finite <= RULE_OF_THUMB * 10)).mean())
            found.append(ParameterUpdate(str(name), low, median, high, near, len(finite), int(np.isposinf(own).sum())))
    return tuple(sorted(found, key=lambda each: -each.median))


EDGE: Final = 2.0  # gradient descent on a quadratic of this sharpness x lr neither falls nor rises


@dataclass(frozen=True)
class EdgeOfStability(Result):
    """The largest eigenvalue of the Hessian of the loss (the scalar ``sharpness`` of the loop) times the learning rate,
    at every step [S] of the run; missing where either was not logged.

    Source: Cohen et al. (2021), Gradient descent on neural networks typically occurs at the edge of stability.
    """

    source: Source
    steps: Ints
    product: Series
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = "Sharpness \N{MULTIPLICATION SIGN} learning rate"
        known = self.product.values[np.isfinite(self.product.values)]
        if not len(known):
            return Caption(of, {"": "NaN or inf wherever it was logged"})
        above = percent(float((known >= EDGE).mean()))
        found = {"{} at the end": number(float(known[-1])), "at or above 2 at": f"{above} of the steps"}
        return Caption(of, found, "Below 2 gradient descent on a quadratic descends.")

    def to_frame(self) -> pd.DataFrame:
        """A row a step."""
        return indexed({schema.STEP: self.steps}, self.product)


def edge_of_stability(run: Run) -> EdgeOfStability:
    """Sharpness times learning rate, step by step."""
    steps = run.read(schema.TABLE_STEPS, columns=[schema.STEP])[schema.STEP].to_numpy(dtype=np.int64)
    values, unlogged = np.full(len(steps), np.nan), np.ones(len(steps), dtype=bool)
    if optional_scalars(run, SHARPNESS, schema.LR) is not None:
        frame = run.read(schema.TABLE_STEPS, columns=[SHARPNESS, schema.LR])
        (sharpness, none), (lr, no_lr) = numbers(frame[SHARPNESS]), numbers(frame[schema.LR])
        with np.errstate(over="ignore", invalid="ignore"):
            values, unlogged = sharpness * lr, none | no_lr
    line = series("sharpness_lr", "sharpness \N{MULTIPLICATION SIGN} learning rate", "1", values, unlogged)
    missing = None
    if (line.states == CellState.MISSING).all():
        missing = f"The edge of stability was not measured: no scalar {SHARPNESS!r} was logged with a learning rate."
    return EdgeOfStability(source_of(run), steps, line, missing)
