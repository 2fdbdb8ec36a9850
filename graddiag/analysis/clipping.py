"""What clipping did to a run: how often it engaged, how strongly, and what it could not help."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.norms import NormHistory, finite_norms, norm_history
from graddiag.analysis.values import CellState, Result, Source
from graddiag.analysis.words import number, plural
from graddiag.run import Run

_COEFFICIENTS: Final = {"min": 0.0, "5%": 0.05, "25%": 0.25, "50%": 0.5, "75%": 0.75}
_NORMS: Final = {"1%": 0.01, "10%": 0.1, "50%": 0.5, "90%": 0.9, "99%": 0.99, "max": 1.0}

# torch's factor is C / (norm + 1e-6): a coefficient nearer to 1 than this is rounding, not clipping
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class ClipStatistics(Result):
    """How a clip policy acted over ``steps`` steps.

    clipped_steps: those with a coefficient (norm after / norm before) below 1; clipped_share: of the steps with a known
    coefficient; longest_stretch: most clipped steps in a row, from longest_stretch_start. coefficient_quantiles: of the
    coefficient over the clipped steps; norm_percentiles: of the norm before clipping, L2 over all parameters, over the
    steps where it is finite. nonfinite_steps: those whose gradient held NaN or inf, which no policy of this kind mends.
    """

    source: Source
    policy: str | None
    threshold: float | None
    steps: int
    clipped_steps: int
    clipped_share: float | None
    first_clipped_step: int | None
    longest_stretch: int
    longest_stretch_start: int | None
    nonfinite_steps: int
    first_nonfinite_step: int | None
    norm_max: float | None = None
    norm_max_step: int | None = None
    coefficient_quantiles: Mapping[str, float] = field(default_factory=dict)
    norm_percentiles: Mapping[str, float] = field(default_factory=dict)
    missing: str | None = None

    @property
    def caption(self) -> str:
        if self.missing:
            return self.missing
        bad = (
            f" {plural(self.nonfinite_steps, 'step')} had NaN or inf, which clipping cannot help."
            if self.nonfinite_steps
            else ""
        )
        if not self.source.clipped:
            return f"{self.source.label} was not clipped; its largest gradient norm is {number(self.norm_max)}.{bad}"
        if not self.clipped_steps:
            return (
                f"Clipping ({self.policy}) never engaged in {plural(self.steps, 'step')} of {self.source.label}.{bad}"
            )
        return (
            f"Clipping ({self.policy}) engaged at {plural(self.clipped_steps, 'step')} of {self.steps:,} "
            f"({self.clipped_share:.1%}) of {self.source.label}, first at step {self.first_clipped_step}; in the "
            f"median of those the gradient kept {self.coefficient_quantiles['50%']:.1%} of its length.{bad}"
        )


def clip_statistics(run: Run) -> ClipStatistics:
    """How often and how strongly clipping engaged, and the norms it met."""
    return statistics_of(norm_history(run))


def statistics_of(history: NormHistory) -> ClipStatistics:
    """The statistics of norms that were read already."""
    coefficient, steps = history.coefficient.values, history.steps
    clipped = coefficient < 1 - _ROUNDING
    known = int(np.isfinite(coefficient).sum())
    start, stretch = _longest_stretch(clipped)
    bad = (history.nonfinite > 0) | (history.before.states == CellState.NONFINITE)
    norms, norm_steps = finite_norms(history)
    return ClipStatistics(
        history.source,
        history.source.clip,
        history.threshold,
        len(steps),
        int(clipped.sum()),
        float(clipped.sum() / known) if known else None,
        int(steps[clipped][0]) if clipped.any() else None,
        stretch,
        int(steps[start]) if stretch else None,
        int(bad.sum()),
        int(steps[bad][0]) if bad.any() else None,
        float(norms.max()) if len(norms) else None,
        int(norm_steps[norms.argmax()]) if len(norms) else None,
        _quantiles(coefficient[clipped], _COEFFICIENTS),
        _quantiles(norms, _NORMS),
        history.missing,
    )


def _longest_stretch(clipped: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the longest run of True begins, and its length; (0, 0) if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], clipped.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = int((ends - starts).argmax())
    return int(starts[longest]), int(ends[longest] - starts[longest])


def _quantiles(values: NDArray[np.float64], wanted: Mapping[str, float]) -> dict[str, float]:
    if not len(values):
        return {}
    return {name: float(np.quantile(values, share)) for name, share in wanted.items()}
