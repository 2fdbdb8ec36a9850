"""How curves over training are drawn: smoothed or not, on a linear or a log axis, along steps, time or samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from graddiag import schema
from graddiag.analysis import Curves, Source
from graddiag.analysis.values import Floats, Ints
from graddiag.figures.frame import index_axis, set_xaxes

Along = Literal["step", "time", "samples"]
AxisScale = Literal["usual", "linear", "log"]

FAINT: Final = 0.25  # opacity of the values that a smoothed line is made of
_UNITS: Final = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
_SAMPLES_TITLE: Final = "sequences trained on (batch size, summed over steps)"


@dataclass(frozen=True)
class LineOptions:
    """How curves are drawn.

    smoothing: the weight of what came before in an exponential moving average without the bias of its start, from 0
    (none) to below 1. scale: of the y axis; "usual" is linear for losses and log for norms. along: what the x axis
    counts. times: the seconds since the run began by step, of each run, as ``analysis.loss_curve`` gives them of
    "wall_time"; along samples the batch sizes, as it gives them of "batch_size". Without them the x axis counts steps.
    steps: the first and last step that is drawn along time or samples.

    Samples are the sequences trained on up to the end of a step: the sum of the batch sizes of all steps. A step of
    which none is known counts as the one before it.

    Raises:
        ValueError: of a smoothing that is not in [0, 1).
    """

    smoothing: float = 0.0
    scale: AxisScale = "usual"
    along: Along = "step"
    times: tuple[Curves, ...] = ()
    steps: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be at least 0 and below 1, but it is {self.smoothing!r}")

    def timed(self, times: Sequence[Curves]) -> "LineOptions":
        """The same, with the times or batch sizes of the runs, where they are wanted and known."""
        known = tuple(each for each in times if each.missing is None)
        return replace(self, times=known if self.along != "step" else ())

    def log(self, usual: bool) -> bool:
        """Whether the y axis is a log axis; ``usual``: whether it is one as a rule."""
        return usual if self.scale == "usual" else self.scale == "log"

    def smoothed(self, values: Floats) -> Floats | None:
        """The moving average of ``values`` [n]; None without smoothing. What is not finite leaves a gap and counts for
        nothing."""
        if not self.smoothing:
            return None
        finite = pd.Series(np.where(np.isfinite(values), values, np.nan))
        found = finite.ewm(alpha=1 - self.smoothing, adjust=True, ignore_na=True).mean().to_numpy(dtype=np.float64)
        return np.where(np.isfinite(values), found, np.nan)

    def x(self, source: Source, steps: Ints) -> tuple[Floats | Ints, slice]:
        """Where the steps [n] of a run lie on the x axis, and which of them are drawn."""
        if not self.times:
            return steps, slice(None)
        first, last = self.steps or (int(steps[0]), int(steps[-1])) if len(steps) else (0, 0)
        kept = slice(int(np.searchsorted(steps, first)), int(np.searchsorted(steps, last, side="right")))
        times = next((each for each in self.times if each.source == source), None)
        if times is None:
            return np.full(len(steps), np.nan)[kept], kept
        return np.interp(steps, *self._progress(times))[kept], kept

    def x_axis(self, figure: go.Figure, row: int | None = None) -> None:
        """Gives the x axis of the figure, or of its panels of ``row``, its title."""
        if not self.times:
            index_axis(figure, schema.STEP, row=row, col=None if row is None else 1)
            return
        title = _SAMPLES_TITLE if self.along == "samples" else f"{self._unit[1]} since the run began"
        set_xaxes(figure, title_text=title, row=row, col=None if row is None else 1)

    def _progress(self, found: Curves) -> tuple[Ints, Floats]:
        """How far a run was on the x axis, by step, where that is known."""
        values = found.series[0].values
        known = np.isfinite(values)
        if self.along == "samples":
            sizes = pd.Series(np.where(known, values, np.nan)).ffill().bfill()
            return found.steps, np.asarray(sizes.cumsum(), dtype=np.float64)
        return found.steps[known], values[known] / self._unit[0]

    @property
    def _unit(self) -> tuple[float, str]:
        """Seconds in the unit of the x axis, and its name."""
        ends = [float(np.nanmax(each.series[0].values)) for each in self.times]
        return next((unit for unit in _UNITS if max(ends) >= 2 * unit[0]), _UNITS[-1])


AS_USUAL: Final = LineOptions()
