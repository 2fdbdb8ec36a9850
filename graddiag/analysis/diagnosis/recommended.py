"""A range of thresholds for clipping by norm that the recorded norms support, with its reason and source."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag.analysis.captioning import Caption
from graddiag.analysis.clipping.what_if import WhatIf, what_if
from graddiag.analysis.diagnosis.context import diagnostic_context
from graddiag.analysis.diagnosis.decisions import FEW_NORMS, HIGH_FACTOR, LOW_FACTOR, safety_net
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Result, Source
from graddiag.analysis.words import number, plural
from graddiag.run import Run

SOURCE: Final = (
    "Pascanu, Mikolov & Bengio (2013), section 3.2: half to ten times the average norm over many updates; "
    "Seetharaman, Wichern, Pardo & Le Roux (2020): AutoClip at the 10th percentile"
)

AUTOCLIP_PERCENTILE: Final = 10.0
FEW_STEPS: Final = 100


@dataclass(frozen=True)
class RecommendedThresholds(Result):
    """Thresholds for ``norm:C`` from the finite norms before clipping, L2 over all parameters, units of the loss.

    mean_norm: mean over the steps at which the run was learning; ``left_out``: the others, from the first jump of the
    norm or the loss on, or of convergence. low, high: half and ten times that mean, with the
    shares of the recorded steps that they would have clipped. safety_net: the least threshold, of two digits, that
    would have clipped at most 10 % of the steps, or the end of the range nearest to it: a place to start; share_at_net:
    what it would have clipped, which of norms that are all alike is nothing. autoclip: the 10th percentile of
    the norms, what AutoClip comes to; it clips nine steps in ten by design, and is a second opinion. inside: whether
    the run's own threshold lies within, None where it has none. few: fewer than 100 steps, so the mean is rough.
    A threshold holds for one reduction of the loss alone (``source.loss_reduction``).
    """

    source: Source
    steps: int
    mean_norm: float | None
    median_norm: float | None
    left_out: int
    low: float | None
    high: float | None
    share_at_low: float | None
    share_at_high: float | None
    safety_net: float | None
    autoclip: float | None
    threshold: float | None
    inside: bool | None
    few: bool
    literature: str = SOURCE
    missing: str | None = None
    share_at_net: float | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        assert self.share_at_low is not None
        assert self.share_at_high is not None
        ends = f"{number(self.low)} (clips {_clips(self.share_at_low)}) to {number(self.high)}"
        found = {
            "suggested": number(self.safety_net),
            "this clips {} of the steps": _clips(self.share_at_net or 0.0),
            "reasonable": f"{ends} ({_clips(self.share_at_high)})",
            "AutoClip": number(self.autoclip),
        }
        if self.inside is not None:
            found["own"] = f"{number(self.threshold)}, {'within' if self.inside else 'outside'}"
        if self.left_out:
            found["{} left out"] = plural(self.left_out, "step")
        if self.few:
            found["rough, from {} alone"] = plural(self.steps, "step")
        reduction = f", for a loss that is the {self.source.loss_reduction}" if self.source.loss_reduction else ""
        return Caption("Clip threshold", found, f"Reasonable is half to ten times the mean norm{reduction}.")


def recommended_thresholds(run: Run) -> RecommendedThresholds:
    """Which thresholds the norms of ``run`` support, by those of the steps at which it was learning: before the first
    jump of the norm or the loss, and before it converged. The diagnosis advises the same.

    Source: Pascanu, Mikolov & Bengio (2013), section 3.2; Seetharaman et al. (2020), AutoClip.
    """
    measured, found = diagnostic_context(run, Thresholds()), what_if(run)
    norms = measured.learning_norms[1]
    few = f"Fewer than {FEW_NORMS} steps show at which norm this run was learning." if len(norms) < FEW_NORMS else None
    missing = found.missing or few
    if missing:
        unknown = (None,) * 2
        return RecommendedThresholds(
            found.source, len(norms), *unknown, 0, *unknown, *unknown, *unknown, found.threshold, None, True,
            missing=missing,
        )  # fmt: skip
    return _of(found, norms, len(found.norms) - len(norms))


def _of(found: WhatIf, norms: Floats, left_out: int) -> RecommendedThresholds:
    mean, net = float(norms.mean()), safety_net(norms)
    low, high = LOW_FACTOR * mean, HIGH_FACTOR * mean
    shares = found.at([low, high, net]).clipped_share
    return RecommendedThresholds(
        found.source,
        len(norms),
        mean,
        float(np.median(norms)),
        left_out,
        low,
        high,
        float(shares[0]),
        float(shares[1]),
        net,
        float(np.quantile(norms, AUTOCLIP_PERCENTILE / 100)),
        found.threshold,
        None if found.threshold is None else low <= found.threshold <= high,
        len(norms) < FEW_STEPS,
        share_at_net=float(shares[2]),
    )


def _clips(share: float) -> str:
    return f"{100 * share:.2g}%" if 0 < share < 1 else "all" if share else "none"
