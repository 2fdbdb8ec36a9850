"""The distance over which a gradient has to travel, and whether the horizon of a layer covers it."""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

from graddiag.analysis.captioning import Caption
from graddiag.analysis.intervals import Interval
from graddiag.analysis.words import number, plural
from graddiag.run import RunManifest

Over = Literal["sequence", "task"]

# under this key of its configuration a run says how many timesteps back its task has to look, at the farthest
DISTANCE_KEY: Final = "distance"

_OF: Final[dict[Over, str]] = {"sequence": "back to the first timestep", "task": "of the task's distance"}


@dataclass(frozen=True)
class Coverage:
    """Whether a memory horizon covers a distance of ``timesteps``.

    covers: True where the whole 95% interval of the horizon is at or above the distance, False where all of it is
    below, None where the distance lies inside it and nothing can be said. Without an interval ``spread`` decides in the
    same way: the 10 and 90% quantiles over steps of the horizon of each; of one recorded step the horizon alone.
    no_interval: why there is none. window: K of tbptt:K; a distance of K or more is not covered. kept: exp(exponent x
    timesteps), what the mean gain leaves of a gradient over the distance; 1/e where the horizon is just the distance.
    least: the loss joins in at most timesteps, and the horizon is that of a fresh gradient, a lower bound of how far
    some of it goes.
    """

    over: Over
    timesteps: int
    horizon: float
    horizon_interval: Interval | None
    kept: float
    covers: bool | None
    least: bool
    spread: Interval | None = None
    no_interval: str = "one step: no interval"
    window: int | None = None

    @property
    def verb(self) -> str:
        return {True: "covers", False: "does not cover", None: "may or may not cover"}[self.covers]

    @property
    def sentence(self) -> str:
        """Plainly: whether the horizon covers the distance."""
        horizon = "without end" if math.isinf(self.horizon) else f"of {number(self.horizon)} timesteps"
        least = "; later losses join it on the way, so part of it may go farther" if self._falls_short else ""
        least = f"; tbptt:{self.window} cuts it before" if self._cut else least
        return f"The horizon {horizon} ({self._interval}) {self.verb} {self._distance}{least}."

    @property
    def caption_parts(self) -> Caption:
        """The same in the parts of a caption."""
        horizon = "without end" if math.isinf(self.horizon) else f"{number(self.horizon)} timesteps"
        least = "Later losses join the gradient on the way, so part of it may go farther." if self._falls_short else ""
        least = f"tbptt:{self.window} cuts the gradient before." if self._cut else least
        of = f"Memory horizon (to 1/e) against {self._distance}"
        return Caption(of, {"": f"{horizon} ({self._interval}), which {self.verb} them"}, least)

    @property
    def _cut(self) -> bool:
        """Whether a window of truncated back-propagation is shorter than the distance."""
        return self.window is not None and self.timesteps >= self.window

    @property
    def _falls_short(self) -> bool:
        """Whether the horizon is a lower bound that may not be enough."""
        return self.least and not self.covers

    @property
    def _interval(self) -> str:
        interval = self.horizon_interval
        return f"95% {number(interval[0])} to {number(interval[1])}" if interval else self.no_interval

    @property
    def _distance(self) -> str:
        return f"the {plural(self.timesteps, 'timestep')} {_OF[self.over]}"


def coverage(
    over: Over,
    timesteps: int | None,
    exponent: float | None,
    horizons: tuple[float, Interval | None],
    *,
    least: bool,
    without: tuple[Interval | None, str] = (None, "one step: no interval"),
    window: int | None = None,
) -> Coverage | None:
    """The Coverage of ``timesteps`` by a horizon and its interval; None where either is not known. ``without``: where
    it has no interval, its spread over steps and the reason. ``window``: K of tbptt:K, behind which nothing goes."""
    if timesteps is None or timesteps < 1 or exponent is None:
        return None
    horizon, interval = horizons
    spread, why = without
    low, high = interval or spread or (horizon, horizon)
    covers = True if low >= timesteps else False if high < timesteps else None
    if window is not None and timesteps >= window:
        covers = False
    kept = _exp(exponent * timesteps)
    return Coverage(over, timesteps, horizon, interval, kept, covers, least, spread, why, window)


def task_distance(manifest: RunManifest) -> int | None:
    """How far back the run's task has to look, in timesteps: ``config["distance"]``, None where the run gives none.

    A number below 1, or anything that is not a finite number, says nothing.
    """
    return _timesteps(manifest.config.get(DISTANCE_KEY))


def _timesteps(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 1:
        return None
    return math.ceil(value)


def _exp(power: float) -> float:
    return math.exp(power) if power < 700 else math.inf
