"""How one scalar moved over a training: where it began, its best and its last level, its noise, and its late trend."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag.analysis.values import Floats, Ints

_BLOCKS: Final = 20
_LEAST_BLOCK: Final = 3  # values; fewer make no level
_NORMAL: Final = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
_MEDIAN: Final = 1.2533  # standard error of a median over that of a mean
_FAR: Final = 4.0  # standard deviations of a value from its level
_LATE: Final = 0.4  # the last share of a training whose trend is the late trend
_SURE: Final = 3.0  # standard errors that a trend differs from 0 by


@dataclass(frozen=True)
class Course:
    """Of values of which less is better, over n steps in up to 20 blocks of equally many.

    start: the first value, before anything was learned; start_noise: the spread of values in the calmer blocks, since a
    training that went wrong is noisier than it began. levels [B]: means of the blocks without their spikes;
    they begin at block_steps; error: the standard error of one, best_error: of the lowest one, by the noise of the
    noisier blocks. noise: the standard deviation of a single value about
    its level. last: the median of the last two levels' values; peak: the highest level. late_change: what the level
    changes by over the last 40% of the steps, by a straight line, and its error.
    """

    steps: Ints
    values: Floats
    block_steps: Ints
    levels: Floats
    noise: float
    start_noise: float
    error: float
    best_error: float
    late_change: float
    late_error: float

    @property
    def start(self) -> float:
        return float(self.values[0])

    @property
    def last(self) -> float:
        return float(self.levels[-1])

    @property
    def before_last(self) -> float:
        """The level before the last one: a jump at the end is not in it."""
        return float(self.levels[-2]) if len(self.levels) > 1 else self.last

    @property
    def late(self) -> tuple[float, float]:
        """The level of the last 40% of the values, and its standard error."""
        part = self.values[-max(1, int(np.ceil(_LATE * len(self.values)))) :]
        return _level(part, self.noise), float(self.few * _MEDIAN * self.noise / np.sqrt(len(part)))

    @property
    def few(self) -> float:
        """What a standard error is multiplied by where success is claimed, since the noise comes from few values:
        spreads of blocks of three or four have a median below the standard deviation (Wilson and Hilferty 1931), and
        with few of them in all three standard errors are more (Student 1908, to first order)."""
        sizes = [len(block) for block in np.array_split(self.values, len(self.levels))]
        free, each = sum(size - 2 for size in sizes[len(sizes) // 2 :]), sizes[-1] - 2
        return 1.0 if each < 1 else (1 + (_SURE**2 + 1) / (4 * free)) / (1 - 2 / (9 * each)) ** 1.5

    @property
    def best_block(self) -> int:
        return int(self.levels.argmin())

    @property
    def best(self) -> float:
        """The lowest level, less what the lowest of many lies low by chance."""
        return float(self.levels.min())

    @property
    def best_spread(self) -> float:
        """The standard error of the lowest level, by the values of its block alone: of a level that a few values made
        it is as large as what they differ by."""
        block = np.array_split(self.values, len(self.levels))[self.best_block]
        return float(_MEDIAN * block.std(ddof=1) / np.sqrt(len(block))) if len(block) > 1 else 0.0

    @property
    def best_step(self) -> int:
        return int(self.block_steps[self.best_block])

    @property
    def last_step(self) -> int:
        return int(self.steps[-1])

    @property
    def improving(self) -> bool:
        return self.late_change < -_SURE * self.late_error

    @property
    def worsening(self) -> bool:
        return self.late_change > _SURE * self.late_error

    def flat_since(self, most: float) -> int | None:
        """The first step from which on no level differs from the last one by more than ``most``; None if only it."""
        away = np.flatnonzero(np.abs(self.levels - self.last) > most)
        first = int(away[-1]) + 1 if len(away) else 0
        return int(self.block_steps[first]) if first < len(self.levels) - 1 else None

    def above_since(self, limit: float) -> int:
        """The first step from which on all levels, and within their block the values, stay above ``limit``."""
        below = np.flatnonzero(self.levels <= limit)
        if not len(below):
            return int(self.steps[0])
        begin = int(self.block_steps[below[-1]])
        low = self.steps[(self.steps >= begin) & (self.values <= limit)]
        after = self.steps[self.steps > (low[-1] if len(low) else begin)]
        return int(after[0]) if len(after) else int(self.steps[-1])


def course(steps: Ints, values: Floats) -> Course:
    """The course of finite ``values`` [n] at ``steps`` [n], n at least 1."""
    blocks = np.array_split(np.arange(len(values)), max(1, min(_BLOCKS, len(values) // _LEAST_BLOCK)))
    noise, start_noise, most = _noise(values, blocks)
    levels = np.array([_level(values[block], noise) for block in blocks])
    error = _MEDIAN * noise / np.sqrt(len(values) / len(blocks))
    change, change_error = _late(levels, error)
    starts = steps[[int(block[0]) for block in blocks]]
    best_error = float(_MEDIAN * max(noise, most) / np.sqrt(len(values) / len(blocks)))
    return Course(steps, values, starts, levels, noise, start_noise, float(error), best_error, change, change_error)


def _level(part: Floats, noise: float) -> float:
    """The mean of ``part``, of which values farther than ``_FAR`` times the noise from the median count as that far.

    A median is no level where values are few and coarse, as the error of a batch of 10 is, nor where they are skewed,
    as squared errors are: what guessing has is a mean. Spikes are no part of a level.
    """
    middle = float(np.median(part))
    return float(np.clip(part, middle - _FAR * noise, middle + _FAR * noise).mean())


def _noise(values: Floats, blocks: list[Ints]) -> tuple[float, float, float]:
    """The standard deviation of a value about its level: the median over the late half of the blocks of the spread
    within a block about its own straight line; and the lower and the upper quartile of it over all blocks."""
    spreads = [_spread(values[block]) for block in blocks if len(block) >= _LEAST_BLOCK]
    if spreads:
        late, (low, high) = np.median(spreads[len(spreads) // 2 :]), np.quantile(spreads, [0.25, 0.75])
        return float(late), float(low), float(high)
    noise = _NORMAL * float(np.median(np.abs(np.diff(values)))) / np.sqrt(2) if len(values) > 2 else 0.0
    return noise, noise, noise


def _spread(part: Floats) -> float:
    x = np.arange(len(part)) - (len(part) - 1) / 2
    rest = part - part.mean() - (x * part).sum() / (x * x).sum() * x
    return float(np.sqrt((rest**2).sum() / max(len(part) - 2, 1)))


def _late(levels: Floats, error: float) -> tuple[float, float]:
    """What a straight line through the late levels changes by, and its standard error: by how the levels scatter about
    it or by the error of a level, whichever is more, since the noise of neighbouring steps may be alike."""
    late = levels[-max(4, int(np.ceil(_LATE * len(levels)))) :]
    if len(late) < 4:
        return (float(late[-1] - late[0]), error * np.sqrt(2)) if len(late) > 1 else (0.0, 0.0)
    x = np.arange(len(late)) - (len(late) - 1) / 2
    slope = float((x * late).sum() / (x * x).sum())
    rest = late - late.mean() - slope * x
    scatter = max(float(np.sqrt((rest**2).sum() / (len(late) - 2))), error)
    span = len(late) - 1
    return slope * span, scatter / float(np.sqrt((x * x).sum())) * span
