"""How the loss moves over training: its level, whether it falls, since when it is flat, and where it jumps."""

import math
import re
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.selection import optional_scalars
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, percent, plural, scalar_title, scalar_unit
from graddiag.run import Run, numbers

Course = Literal["falling", "flat", "flat after falling", "risen", "risen after falling", "ended in NaN or inf"]

# how finely a training is divided, which moves no limit: the error of a level takes its block's size into account
_BLOCKS: Final = 20

# a level is a median, whose standard error is so many times that of a mean; a mean deviation falls short of the
# standard deviation by the same factor (of a normal sample)
_MEDIAN: Final = 1.2533


@dataclass(frozen=True)
class Levels:
    """steps, values [B]: the first step and the median of each of up to 20 blocks of equally many steps.

    first: the median of the first three losses, None where there is none. error, first_error: the standard error of a
    level and of ``first``, from the spread within blocks.
    """

    steps: Ints
    values: Floats
    first: float | None
    error: float
    first_error: float

    @property
    def start(self) -> float | None:
        """The lower of the first level and ``first``."""
        return None if self.first is None else min(float(self.values[0]), self.first)

    @property
    def end(self) -> float | None:
        return float(self.values[-1]) if len(self.values) else None

    @property
    def lowest(self) -> int | None:
        """The index of the lowest level."""
        return int(self.values.argmin()) if len(self.values) else None

    @property
    def fall(self) -> float | None:
        """(start - end) / |start|; None where start is 0."""
        return (self.start - self.values[-1]) / abs(self.start) if self.start else None

    @property
    def lasting(self) -> float:
        """Where it ends, by the lower of the last two levels: what one of them alone says may pass."""
        return float(self.values[-2:].min())


def levels_of(steps: Ints, values: Floats) -> Levels:
    """The levels of the finite losses ``values`` [S] at ``steps`` [S]."""
    if not len(values):
        return Levels(steps, values, None, 0.0, 0.0)
    blocks = _blocks(len(values))
    levels = np.array([np.median(values[block]) for block in blocks])
    spread = np.median([np.abs(values[b] - level).mean() for b, level in zip(blocks, levels, strict=True)])
    error, first_error = (_MEDIAN**2 * float(spread) / np.sqrt(count) for count in (len(values) / len(blocks), 3))
    first = float(np.median(values[:3]))
    return Levels(steps[[block[0] for block in blocks]], levels, first, float(error), float(first_error))


def course_of(found: Levels, thresholds: Thresholds) -> Course:
    """Where the levels lead, by the whole of them and by the second half."""
    assert found.start is not None
    assert found.end is not None
    if _given_back(found, thresholds):
        return "risen after falling"
    # a last level that lies far above the one before is a jump that may pass
    jumped = found.end - found.lasting > _change(found, thresholds)
    if found.start - (found.lasting if jumped else found.end) > _change(found, thresholds):
        flat = flat_from(found, thresholds) is not None
        return "flat after falling" if flat and not _still_falling(found.values, thresholds) else "falling"
    if _risen(found, thresholds):
        return "risen"
    return "falling" if _still_falling(found.values, thresholds) else "flat"


def flat_from(found: Levels, thresholds: Thresholds) -> int | None:
    """The first step from which on all levels stay together, by the noise or a share of the whole range."""
    levels = found.values
    if len(levels) < 4:
        return None
    most = max(2 * thresholds.loss_noise * found.error, thresholds.loss_fall * float(np.ptp(levels)))
    backwards = levels[::-1]
    together = (np.maximum.accumulate(backwards) - np.minimum.accumulate(backwards)) <= most
    first = len(levels) - int(together.sum())
    return int(found.steps[first]) if first <= (1 - thresholds.loss_flat) * len(levels) else None


def risen_from(found: Levels, steps: Ints, values: Floats, thresholds: Thresholds) -> int:
    """The first step from which on the levels, and within their block the losses, stay above the lowest level."""
    low = float(found.values.min())
    limit = low + min(_change(found, thresholds), (found.lasting - low) / 2)
    last = int(np.flatnonzero(found.values <= limit)[-1])
    blocks = _blocks(len(values))[last : last + 2]
    at = [int(i) for block in blocks for i in block if values[i] <= limit]
    return int(steps[min(max(at, default=int(blocks[0][0])) + 1, len(steps) - 1)])


def _blocks(count: int) -> list[Ints]:
    return np.array_split(np.arange(count), min(_BLOCKS, count))


def _change(found: Levels, thresholds: Thresholds) -> float:
    """What a level must change by, from the first, to count as another one."""
    assert found.start is not None
    return max(thresholds.loss_fall * abs(found.start), thresholds.loss_noise * found.error)


def _risen(found: Levels, thresholds: Thresholds) -> bool:
    """Whether it ends for good above where it began; the first three losses lie low by chance more than a level."""
    assert found.first is not None
    least, rise = thresholds.loss_fall * abs(found.first), found.lasting - found.first
    above_first = rise > max(least, thresholds.loss_noise * found.first_error)
    return above_first or found.lasting - found.values[0] > _change(found, thresholds)


def _given_back(found: Levels, thresholds: Thresholds) -> bool:
    """Whether it had fallen, and then for good gave back a good part of that: the lowest of many levels lies low by
    chance too, so twice the usual noise is asked for."""
    assert found.start is not None
    low = float(found.values.min())
    fall, rise = found.start - low, found.lasting - low
    needed = max(thresholds.loss_rise * fall, 2 * thresholds.loss_noise * found.error)
    return fall > _change(found, thresholds) and rise > needed


def _still_falling(levels: Floats, thresholds: Thresholds) -> bool:
    """Whether the last levels go down, by a slope below 0 that is more than noise."""
    late = levels[int(len(levels) * (1 - thresholds.loss_late)) :]
    if len(late) < 4:
        return bool(late[-1] < late[0])
    x = np.arange(len(late)) - (len(late) - 1) / 2
    slope = float((x * late).sum() / (x * x).sum())
    rest = late - late.mean() - slope * x
    error = float(np.sqrt((rest**2).sum() / (len(late) - 2) / (x * x).sum()))
    return slope < -thresholds.loss_slope * error and slope < 0


SHARPNESS: Final = "sharpness"  # what a user logs as the largest eigenvalue of the Hessian of the loss

_NUMBER: Final = r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
_CHANCE: Final = re.compile(rf"(?P<factor>{_NUMBER})?\s*(?:ln (?P<log>{_NUMBER}))?(?:\s*/\s*(?P<divisor>{_NUMBER}))?")

_NORMAL: Final = 1.4826  # standard deviation of a normal distribution over its median absolute deviation

_WORDS: Final = {
    "flat": "does not fall",
    "flat after falling": "fell and is flat",
    "risen": "rises",
    "risen after falling": "fell and rises again",
}


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
    flat_from: the first step from which on the level stays within the noise, at least ``Thresholds.loss_flat`` of the
    run; None where there is no such stretch. jumps: steps at which the loss jumps far above its running median;
    heights: the loss there; recovered: how many of them came back to it; jumped_from: the first step of each. chance:
    the loss of guessing, where the configuration says it. stability: None where no sharpness was logged. risen_from:
    where the course is one that rises, the step from which on the loss stays above its lowest level. broken_from: the
    step from which on every loss is NaN or inf, where it ends so.
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
    risen_from: int | None = None
    broken_from: int | None = None
    jumped_from: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def stuck(self) -> bool:
        """Whether it never fell: it is where it began, or above."""
        return self.course in ("flat", "risen")

    @property
    def rising(self) -> bool:
        """Whether it ends well above what it had reached."""
        return self.course in ("risen", "risen after falling")

    @property
    def harmed(self) -> bool:
        """Whether it never fell, or lost again what it had gained."""
        return self.stuck or self.rising

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        if self.course == "ended in NaN or inf":
            return Caption("Loss", {"": f"ended in NaN or inf, which {plural(self.nonfinite, 'step')} held"})
        way = f" by way of {number(self.best)}" if self.course == "risen after falling" else ""
        found = {"": _WORDS.get(str(self.course), "falls"), "level": f"{number(self.start)}{way} to {number(self.end)}"}
        if self.risen_from is not None:
            found["rising from step"] = str(self.risen_from)
        if self.flat_from is not None and self.course != "falling":
            found["flat from step"] = str(self.flat_from)
        if len(self.jumps):
            found["jumps at"] = plural(len(self.jumps), "step")
        if self.stability is None:
            return Caption(
                "Loss", found, f"The edge of stability was not measured: no scalar {SHARPNESS!r} was logged."
            )
        s = self.stability
        found["sharpness times learning rate at or above 2 at"] = f"{percent(s.share)} of {plural(s.steps, 'step')}"
        return Caption("Loss", found)

    def to_frame(self) -> pd.DataFrame:
        """A row a step."""
        return indexed({schema.STEP: self.steps}, self.loss)


def loss_dynamics(run: Run, thresholds: Thresholds | None = None) -> LossDynamics:
    """Whether the loss falls, has come to rest or has risen; with its jumps.

    Source: the definitions of ``LossDynamics``, which are this project's own.
    """
    thresholds = thresholds or Thresholds()
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LOSS])
    steps = frame[schema.STEP].to_numpy(dtype=np.int64)
    line = series(schema.LOSS, scalar_title(schema.LOSS), scalar_unit(schema.LOSS), *numbers(frame[schema.LOSS]))
    finite = np.isfinite(line.values)
    values, at = line.values[finite], steps[finite]
    logged = ~numbers(frame[schema.LOSS])[1]
    bad = int(logged.sum()) - len(values)
    broken = _broken_from(steps[logged], finite[logged])
    found = levels_of(at, values)
    begun, jumps, recovered = _jumps(values, thresholds)
    enough = len(values) >= thresholds.loss_steps
    course = course_of(found, thresholds) if enough else None
    return LossDynamics(
        source_of(run),
        steps,
        line,
        found.steps,
        found.values,
        course if broken is None else "ended in NaN or inf",
        found.start,
        found.end,
        None if found.lowest is None else float(found.values[found.lowest]),
        None if found.lowest is None else int(found.steps[found.lowest]),
        found.error if len(found.values) else None,
        found.fall,
        flat_from(found, thresholds) if enough else None,
        at[jumps],
        values[jumps],
        recovered,
        bad,
        chance_of(run),
        _stability(run),
        _what_is_missing(len(values), bad, thresholds),
        risen_from(found, at, values, thresholds) if course in ("risen", "risen after falling") else None,
        broken,
        at[begun],
    )


def _broken_from(steps: Ints, finite: NDArray[np.bool_]) -> int | None:
    """The first of ``steps`` from which on none is finite; None where the last one is, or there is none."""
    if not len(steps) or finite[-1]:
        return None
    whole = np.flatnonzero(finite)
    return int(steps[whole[-1] + 1 if len(whole) else 0])


def chance_of(run: Run) -> float | None:
    """The loss of guessing that the configuration names: ``chance_loss`` is 0.25, 1/24, ln 4 or 10 ln 5 / 30."""
    return number_of(run.manifest.config.get("chance_loss"))


def number_of(text: object) -> float | None:
    """A number as people write chance levels: 0.25, 1/24, ln 4, 10 ln 5 / 30; None for anything else."""
    if text is None:
        return None
    found = _CHANCE.fullmatch(str(text).strip())
    if found is None or not (found["factor"] or found["log"]):
        return None
    factor, log, divisor = (float(found[name] or 1) for name in ("factor", "log", "divisor"))
    if divisor == 0 or (found["log"] and log <= 0):
        return None
    value = factor * (math.log(log) if found["log"] else 1.0) / divisor
    return value if math.isfinite(value) else None


def _jumps(values: Floats, thresholds: Thresholds) -> tuple[Ints, Ints, int]:
    """Where the loss jumps above the median of the steps before: the beginnings, the tops, and how many jumps it came
    back from.

    Steps in a row that lie above are one jump, counted at its highest.
    """
    if len(values) < thresholds.history + 1:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 0
    window, history = max(thresholds.recent, thresholds.history), thresholds.history
    before = pd.Series(values).shift(1).rolling(window, min_periods=history)
    usual = before.median().to_numpy()
    spread = pd.Series(np.abs(values - usual)).shift(1).rolling(window, min_periods=history).median()
    limit = usual + thresholds.loss_spike * _NORMAL * spread.to_numpy()
    above = (values > limit) & (values - usual > thresholds.loss_fall * np.abs(usual))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], above.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    tops = [start + int(values[start:end].argmax()) for start, end in zip(starts, ends, strict=True)]
    back = sum(
        bool((values[end : end + window] <= limit[start]).any()) for start, end in zip(starts, ends, strict=True)
    )
    return starts.astype(np.int64), np.array(tops, dtype=np.int64), back


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
