"""A range of thresholds for clipping by norm that the recorded norms support, with its reason and source."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag.analysis.captions import Told
from graddiag.analysis.values import Floats, Result, Source
from graddiag.analysis.whatif import EPSILON, WhatIf, what_if
from graddiag.analysis.words import number, plural
from graddiag.run import Run

LOW_FACTOR: Final = 0.5
HIGH_FACTOR: Final = 10.0
SOURCE: Final = (
    "Pascanu, Mikolov & Bengio (2013), section 3.2: half to ten times the average norm over many updates; "
    "Seetharaman, Wichern, Pardo & Le Roux (2020): AutoClip at the 10th percentile"
)

# a norm above so many times the median is a spike: one of 1e6 would set the mean of a thousand
SPIKE_FACTOR: Final = 10.0
AUTOCLIP_PERCENTILE: Final = 10.0
NET_SHARE: Final = 0.1
FEW_STEPS: Final = 100


@dataclass(frozen=True)
class RecommendedThresholds(Result):
    """Thresholds for ``norm:C`` from the finite norms before clipping, L2 over all parameters, units of the loss.

    mean_norm: mean over the steps that are no spikes (norm at most SPIKE_FACTOR times the median): ``spikes`` of them
    are left out, or one of them could move the range by decades. low, high: half and ten times that mean, with the
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
    spikes: int
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
        return self.missing or self.told.caption(self.source)

    @property
    def told(self) -> Told:
        assert self.share_at_low is not None
        assert self.share_at_high is not None
        ends = f"{number(self.low)} (clips {_clips(self.share_at_low)}) to {number(self.high)}"
        found = {
            "start at": number(self.safety_net),
            "this clips {} of the steps": _clips(self.share_at_net or 0.0),
            "reasonable": f"{ends} ({_clips(self.share_at_high)})",
            "AutoClip": number(self.autoclip),
        }
        if self.inside is not None:
            found["own"] = f"{number(self.threshold)}, {'within' if self.inside else 'outside'}"
        if self.spikes:
            found["{} left out"] = plural(self.spikes, "spike")
        if self.few:
            found["rough, from {} alone"] = plural(self.steps, "step")
        reduction = f", for a loss that is the {self.source.loss_reduction}" if self.source.loss_reduction else ""
        return Told("Clip threshold", found, f"Reasonable is half to ten times the mean norm{reduction}.")


def recommended_thresholds(run: Run) -> RecommendedThresholds:
    """Which thresholds the norms of ``run`` support.

    Source: Pascanu, Mikolov & Bengio (2013), section 3.2; Seetharaman et al. (2020), AutoClip.
    """
    return recommended_from(what_if(run))


def recommended_from(found: WhatIf) -> RecommendedThresholds:
    """The recommendation from norms that were read already."""
    count = len(found.norms)
    if found.missing:
        unknown = (None,) * 2
        return RecommendedThresholds(
            found.source, count, *unknown, 0, *unknown, *unknown, *unknown, found.threshold, None, True,
            missing=found.missing,
        )  # fmt: skip
    usual = _usual(found.norms)
    mean = float(usual.mean())
    low, high = LOW_FACTOR * mean, HIGH_FACTOR * mean
    net = float(np.clip(_safety_net(found.norms), low, high))
    shares = found.at([low, high, net]).clipped_share
    autoclip = np.quantile(found.norms, AUTOCLIP_PERCENTILE / 100)
    return RecommendedThresholds(
        found.source,
        count,
        mean,
        float(np.median(found.norms)),
        count - len(usual),
        low,
        high,
        float(shares[0]),
        float(shares[1]),
        net,
        float(autoclip),
        found.threshold,
        None if found.threshold is None else low <= found.threshold <= high,
        count < FEW_STEPS,
        share_at_net=float(shares[2]),
    )


def _clips(share: float) -> str:
    return f"{100 * share:.2g}%" if 0 < share < 1 else "all" if share else "none"


def _safety_net(norms: Floats) -> float:
    """The least threshold, of two digits, that clips at most NET_SHARE of ``norms``, ascending."""
    last_left = norms[max(math.ceil((1 - NET_SHARE) * len(norms)) - 1, 0)] + EPSILON
    if last_left <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(last_left)) - 1)
    return float(f"{math.ceil(last_left / unit) * unit:.6g}")


def _usual(norms: Floats) -> Floats:
    """The norms that are no spikes; all of them where the median is 0."""
    bound = SPIKE_FACTOR * float(np.median(norms))
    return norms[norms <= bound] if bound > 0 else norms
