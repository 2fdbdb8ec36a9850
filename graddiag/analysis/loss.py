"""How the loss moves over training: its level, whether it falls, since when it is flat, jumps, and the edge of
stability."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.optional import optional_scalars
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, percent, plural, scalar_title, scalar_unit
from graddiag.run import Run, numbers

Course = Literal["falling", "flat", "flat after falling", "risen", "ended in NaN or inf"]

SHARPNESS: Final = "sharpness"  # what a user logs as the largest eigenvalue of the Hessian of the loss

_BLOCKS: Final = 20
_WINDOW: Final = 51
_NORMAL: Final = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
_HALF: Final = 0.5


@dataclass(frozen=True)
class Stability:
    """The sharpness (largest eigenvalue of the Hessian) times the learning rate: gradient descent is stable below 2.

    share: of the steps with both, at or above 2; last: at the last of them.

    Source: Cohen et al. (2021), gradient descent on neural networks typically occurs at the edge of stability.
    """

    steps: int
    share: float
    last: float


@dataclass(frozen=True)
class LossDynamics(Result):
    """The course of the loss as it was logged.

    loss: over steps [S]. level_steps, levels [B]: the median of the loss in up to 20 blocks of equally many steps.
    start: its first level, the lower of the first block's and the median of the first three steps (a loss that jumps up
    at once and comes back has not fallen); end: the last level; best: the lowest level, at best_step. error: the
    standard error of a level, from the spread within blocks. fall: (start - end) / |start|, None where start is 0.
    flat_from: the first step from which on the level stays within the noise, at least a quarter of the run; None where
    there is no such stretch. jumps: steps at which the loss jumps far above its running median; heights: the loss
    there; recovered: how many of them came back to it. chance: the loss of guessing, where the configuration says it.
    stability: None where no sharpness was logged.
    """

    source: Source
    steps: Ints
    loss: Series
    level_steps: Ints
    levels: Floats
    course: Course | None
    start: float | None
    end: float | None
    best: float | None
    best_step: int | None
    error: float | None
    fall: float | None
    flat_from: int | None
    jumps: Ints
    heights: Floats
    recovered: int
    nonfinite: int
    chance: float | None
    stability: Stability | None
    missing: str | None = None

    @property
    def stuck(self) -> bool:
        """Whether it never fell: it is where it began, or above."""
        return self.course in ("flat", "risen")

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        who = f"The loss of {self.source.label}"
        if self.course == "ended in NaN or inf":
            return f"{who} ended in NaN or inf; {plural(self.nonfinite, 'step')} held such a loss."
        levels = f"from a level of {number(self.start)} to {number(self.end)}"
        jumps = f"; it jumps at {plural(len(self.jumps), 'step')}" if len(self.jumps) else ""
        resting = self.flat_from is not None and self.course != "falling"
        flat = f", flat from step {self.flat_from}" if resting else ""
        words = {"falling": "falls", "flat": "does not fall", "risen": "rises"}.get(
            str(self.course), "fell and is flat"
        )
        return f"{who} {words}, {levels}{flat}{jumps}. {self._edge()}"

    def _edge(self) -> str:
        if self.stability is None:
            return f"The edge of stability was not measured: no scalar {SHARPNESS!r} was logged."
        s = self.stability
        return f"Sharpness times learning rate is at or above 2 at {percent(s.share)} of {plural(s.steps, 'step')}."


def loss_dynamics(run: Run, thresholds: Thresholds | None = None) -> LossDynamics:
    """Whether the loss falls, has come to rest or has risen; with its jumps."""
    thresholds = thresholds or Thresholds()
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LOSS])
    steps = frame[schema.STEP].to_numpy(dtype=np.int64)
    line = series(schema.LOSS, scalar_title(schema.LOSS), scalar_unit(schema.LOSS), *numbers(frame[schema.LOSS]))
    finite = np.isfinite(line.values)
    values, at = line.values[finite], steps[finite]
    logged = ~numbers(frame[schema.LOSS])[1]
    bad = int(logged.sum()) - len(values)
    ended_badly = bool(logged.any()) and not finite[np.flatnonzero(logged)[-1]]
    level_steps, levels, error = _levels(at, values)
    jumps, recovered = _jumps(values, thresholds)
    enough = len(values) >= thresholds.loss_steps
    start = min(float(levels[0]), float(np.median(values[:3]))) if len(levels) else None
    end = float(levels[-1]) if len(levels) else None
    flat = _flat_from(levels, error, thresholds) if enough else None
    course = _course(start, end, levels, error, flat, thresholds) if enough else None
    lowest = int(levels.argmin()) if len(levels) else None
    return LossDynamics(
        source_of(run),
        steps,
        line,
        level_steps,
        levels,
        "ended in NaN or inf" if ended_badly else course,
        start,
        end,
        None if lowest is None else float(levels[lowest]),
        None if lowest is None else int(level_steps[lowest]),
        error,
        (start - end) / abs(start) if start and end is not None else None,
        None if flat is None else int(level_steps[flat]),
        at[jumps],
        values[jumps],
        recovered,
        bad,
        chance_of(run),
        _stability(run),
        _what_is_missing(len(values), bad, thresholds),
    )


def chance_of(run: Run) -> float | None:
    """The loss of guessing that the configuration names as ``chance_loss``: a number, or ``ln`` of one."""
    text = str(run.manifest.config.get("chance_loss", ""))
    log, _, argument = text.partition("ln ")
    try:
        chance = float(np.log(float(argument))) if argument and not log else float(text)
    except ValueError:
        return None
    return chance if np.isfinite(chance) else None


def _levels(steps: Ints, values: Floats) -> tuple[Ints, Floats, float | None]:
    """The first step and the median of each block, and the standard error of such a median (as of a normal sample)."""
    if not len(values):
        return steps, values, None
    blocks = np.array_split(np.arange(len(values)), min(_BLOCKS, len(values)))
    levels = np.array([np.median(values[block]) for block in blocks])
    spread = np.median([np.abs(values[b] - level).mean() for b, level in zip(blocks, levels, strict=True)])
    error = 1.2533 * 1.2533 * float(spread) / np.sqrt(len(values) / len(blocks))
    return steps[[block[0] for block in blocks]], levels, float(error)


def _course(
    start: float | None,
    end: float | None,
    levels: Floats,
    error: float | None,
    flat: int | None,
    thresholds: Thresholds,
) -> Course:
    assert start is not None
    assert end is not None
    assert error is not None
    fallen = start - end > max(thresholds.loss_fall * abs(start), thresholds.loss_noise * error)
    if fallen:
        return "falling" if flat is None or _still_falling(levels) else "flat after falling"
    if end - start > max(thresholds.loss_fall * abs(start), thresholds.loss_noise * error):
        return "risen"
    return "falling" if _still_falling(levels) else "flat"


def _still_falling(levels: Floats) -> bool:
    """Whether the levels of the second half go down: their slope is below 0 by more than two standard errors."""
    half = levels[int(len(levels) * _HALF) :]
    if len(half) < 4:
        return bool(half[-1] < half[0])
    x = np.arange(len(half)) - (len(half) - 1) / 2
    slope = float((x * half).sum() / (x * x).sum())
    rest = half - half.mean() - slope * x
    error = float(np.sqrt((rest**2).sum() / (len(half) - 2) / (x * x).sum()))
    return slope < -2 * error and slope < 0


def _flat_from(levels: Floats, error: float | None, thresholds: Thresholds) -> int | None:
    """The first block from which on all levels stay together, by the noise or a share of the whole range."""
    if error is None or len(levels) < 4:
        return None
    most = max(2 * thresholds.loss_noise * error, thresholds.loss_fall * float(np.ptp(levels)))
    backwards = levels[::-1]
    together = (np.maximum.accumulate(backwards) - np.minimum.accumulate(backwards)) <= most
    first = len(levels) - int(together.sum())
    return first if first <= 0.75 * len(levels) else None


def _jumps(values: Floats, thresholds: Thresholds) -> tuple[Ints, int]:
    """Where the loss jumps above the median of the steps before, and how many jumps it came back from.

    Steps in a row that lie above are one jump, counted at its highest.
    """
    if len(values) < thresholds.history + 1:
        return np.zeros(0, dtype=np.int64), 0
    before = pd.Series(values).shift(1).rolling(_WINDOW, min_periods=thresholds.history)
    usual = before.median().to_numpy()
    spread = pd.Series(np.abs(values - usual)).shift(1).rolling(_WINDOW, min_periods=thresholds.history).median()
    limit = usual + thresholds.loss_spike * _NORMAL * spread.to_numpy()
    above = (values > limit) & (values - usual > thresholds.loss_fall * np.abs(usual))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], above.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    tops = [start + int(values[start:end].argmax()) for start, end in zip(starts, ends, strict=True)]
    back = sum(
        bool((values[end : end + _WINDOW] <= limit[start]).any()) for start, end in zip(starts, ends, strict=True)
    )
    return np.array(tops, dtype=np.int64), back


def _stability(run: Run) -> Stability | None:
    found = optional_scalars(run, SHARPNESS, schema.LR)
    if found is None:
        return None
    product = found[0] * found[1]
    known = product[np.isfinite(product)]
    return Stability(len(known), float((known >= 2).mean()), float(known[-1])) if len(known) else None


def _what_is_missing(count: int, bad: int, thresholds: Thresholds) -> str | None:
    if not count and not bad:
        return "No loss was logged: call recorder.log(loss=...) in the loop."
    if not bad and count < thresholds.loss_steps:
        return f"{plural(count, 'step')} with a loss say nothing about its course; {thresholds.loss_steps} would."
    return None
