"""What a policy inside of back-propagation (bptt:C, tbptt:K, h-detach) does to the gradient's way back through time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag.analysis.flow import transport
from graddiag.analysis.flow.gains import Gains, Mask, window_of
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats
from graddiag.analysis.words import number, percent, plural
from graddiag.clipping.registry import kind_of
from graddiag.run import Run

_ROUNDING: Final = 1e-6


@dataclass(frozen=True)
class InsideClipping:
    """How a policy inside of back-propagation limits the gradient of one layer.

    policy: as the run names it. window: K of tbptt:K. separate: whether the run recorded the network's gain apart from
    what the policy left of it; a run of schema 2 or older did not, and of it only the cuts of tbptt:K are known.
    acted_share: share of the gains at which the policy changed what was sent. passed: geometric mean of what it left of
    one, cuts left out. cuts: gains that it set to 0. exponent: mean of ln of the network's own gain, over timesteps and
    then steps; horizon: -1/exponent. arriving: smallest share of the loss's gradient that would reach a
    timestep by the network's own gains, the median over steps; behind a cut, where no gain can be measured, by their
    mean. makes_vanishing: whether the gradient vanishes with the policy and does not by the network's own gains, by the
    thresholds of the verdict, and the policy makes more than half of the loss (in logarithms); None where that is not
    known.
    """

    policy: str
    window: int | None
    separate: bool
    acted_share: float | None
    passed: float | None
    cuts: int
    exponent: float | None
    horizon: float | None
    arriving: float | None
    makes_vanishing: bool | None

    @property
    def sentence(self) -> str:
        """What the policy does, and whether it is what makes the gradient vanish."""
        if not self.separate and self.window is None:
            return f"The gains include what {self.policy} does: how much of them it makes was not recorded."
        named = " The policy makes the gradient vanish, not the network." if self.makes_vanishing else ""
        return f"{self._limit}{self._own}{named}"

    @property
    def _limit(self) -> str:
        if self.window is not None:
            far = plural(self.window - 1, "timestep")
            return f"{self.policy} cuts back-propagation: no gradient goes further back than {far}."
        if self.exponent is None or self.passed is None or not self.acted_share:
            return f"{self.policy} acts inside of back-propagation and left the gradient of this layer as it was."
        return (
            f"{self.policy} acts at {percent(self.acted_share)} of the timesteps. Per timestep it leaves "
            f"{percent(self.passed)} of the gradient (geometric mean)."
        )

    @property
    def _own(self) -> str:
        """What the network does by itself."""
        if self.exponent is None or (self.window is None and not self.acted_share):
            return ""
        own = f" The network's own gain is {number(math.exp(self.exponent))} per timestep"
        return (
            f"{own}: by it {_share(self.arriving)} would reach the farthest timestep." if self.arriving else f"{own}."
        )


@dataclass(frozen=True)
class PolicyShares:
    """What a chunk of steps says: counts, the sum of ln passed, and by step [S] the exponent and the share that
    reaches its timestep by the network's own gains."""

    known: int
    acted: int
    cuts: int
    ln_passed: float
    exponents: Floats
    arriving: Floats


def policy_shares(found: Gains, total: Floats, touched: Mask, logs: Floats) -> PolicyShares:
    """Of one stretch; ``logs`` [S, T]: ln of the network's own gains."""
    known = np.isfinite(logs) & np.isfinite(found.passed)
    kept = found.passed[known & (found.passed > 0)]
    exponents = _row_means(np.where(logs > transport.LN_ZERO, logs, np.nan))
    ways = transport.ways_behind_cut(found.cut, touched)
    within = transport.arrival(logs, np.where(ways > 0, np.nan, total), touched)
    farthest = ways.max(axis=1, initial=0)
    beyond = np.where(farthest > 0, exponents * farthest, np.inf)
    return PolicyShares(
        int((known | found.cut).sum()),
        int(((known | found.cut) & (found.passed < 1 - _ROUNDING)).sum()),
        int(found.cut.sum()),
        float(np.log(kept).sum()),
        exponents,
        np.exp(np.minimum(within, beyond)),
    )


def inside_clipping(
    run: Run,
    parts: Sequence[PolicyShares],
    arriving: Floats,
    exponent: float | None,
    *,
    dense: bool,
    thresholds: Thresholds,
) -> InsideClipping | None:
    """The InsideClipping of ``parts``; None where no policy acts inside. ``arriving`` [S] and ``exponent``: with it."""
    clip, kind = run.manifest.clip or "", kind_of(run.manifest.clip)
    named = kind is not None and kind.acts_inside
    acted, cuts = sum(p.acted for p in parts), sum(p.cuts for p in parts)
    if not named and not acted:
        return None
    separate = run.manifest.schema_version >= 3
    known, own = sum(part.known for part in parts), _mean(_joined([part.exponents for part in parts]))
    without = _median(_joined([part.arriving for part in parts]))
    left = [part.ln_passed for part in parts]
    window = window_of(clip)
    clear = separate or window is not None
    return InsideClipping(
        clip if named else "h-detach",
        window,
        separate,
        acted / known if known and clear else None,
        math.exp(sum(left) / (known - cuts)) if known > cuts and separate else None,
        cuts,
        own if clear else None,
        None if own is None or not clear else -1 / own if own < 0 else math.inf,
        without if clear else None,
        _made(_median(arriving), exponent, without, own, dense, thresholds) if clear else None,
    )


def _row_means(values: Floats) -> Floats:
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(axis=1)
    return np.where(finite.any(axis=1), total / np.maximum(finite.sum(axis=1), 1), np.nan)


def _made(
    arriving: float | None,
    exponent: float | None,
    own_arriving: float | None,
    own_exponent: float | None,
    dense: bool,
    thresholds: Thresholds,
) -> bool:
    """Whether the policy makes the gradient vanish: by the thresholds of the verdict with it and not without, and it
    takes off more than the network does."""
    if arriving is not None and own_arriving is not None and arriving < thresholds.arriving:
        return own_arriving >= thresholds.arriving and own_arriving >= math.sqrt(arriving)
    if not dense or exponent is None or own_exponent is None or math.exp(exponent) >= thresholds.fresh_gain:
        return False
    return math.exp(own_exponent) >= thresholds.fresh_gain and own_exponent >= exponent / 2


def _share(arriving: float) -> str:
    return percent(arriving) if arriving >= 1e-4 else f"a share of {number(arriving)}"


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros(0)


def _mean(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _median(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None
