"""The level of a loss over training, block by block, and the course that follows: falling, flat, or risen."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints

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
