"""What is true of a training, by definition, from numbers that autograd gave; nothing here knows of graddiag's rules.

Legend: n_t = norm of the gradient at the state after timestep t (h, or h and c together), of the whole loss where it is
at the last timestep T-1, of a single term L_s where there is one at each timestep.

Each question has a clear yes, a clear no and a band between, in which no label is given:

- non-finite: a loss or a gradient norm is NaN, inf, or beyond what float32 holds.
- exploding, on the way back through time: max_t n_t / n_s, no loss being added on the way. Clear from 25, clearly not
  up to 4: Pascanu et al. (2013) let a healthy norm vary from half to ten times its mean, and the band takes a factor of
  2.5 to either side of that ten. A yes needs half of the steps, a no nine in ten. Steps that clipping cut do not count.
- exploding, from step to step: the norm of the parameters' gradient, as the update used it, over the median of all such
  norms before, at its worst after five steps. The same band.
- vanishing, loss at the last timestep: n_0 / n_{T-1} in the median of the second half of the steps. Below 1e-6 float32
  hardly adds it to what the last timestep gives; from 1e-4 on it is there.
- vanishing, loss at each timestep: what is left of n_s per timestep, on average over ten timesteps back. Every state
  has a loss of its own, so fading as such starves nothing; below 5 % the recurrence is taught next to nothing, above
  20 % it is taught.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
GROWTH_NO, GROWTH_YES = 4.0, 25.0
ARRIVING_YES, ARRIVING_NO = 1e-6, 1e-4
KEPT_YES, KEPT_NO = 0.05, 0.2
HISTORY: Final = 5
LAGS: Final = 10


@dataclass(frozen=True)
class Measured:
    """One step, in float64: the loss, the norm of the parameters' gradient before and after clipping, the largest
    growth back through time, and the share that is kept (of the whole way, or per timestep with a loss at each)."""

    loss: float
    norm: float
    used: float
    growth: float
    kept: float

    @property
    def finite(self) -> bool:
        return all(abs(each) <= FLOAT32_MAX for each in (self.loss, self.norm))


@dataclass(frozen=True)
class Truth:
    """The answers; None where it is neither a clear yes nor a clear no. growth, jump, kept: the numbers behind them."""

    nonfinite: bool
    exploding: bool | None
    vanishing: bool | None
    growth: float
    jump: float
    kept: float

    @property
    def label(self) -> str | None:
        """The worst thing that is clearly so; ``healthy`` if all is clearly not so; None: in the band."""
        answers = {"non-finite": self.nonfinite, "exploding": self.exploding, "vanishing": self.vanishing}
        clear = [name for name, answer in answers.items() if answer]
        if clear:
            return clear[0]
        return "healthy" if all(answer is False for answer in answers.values()) else None


def truth(measured: Sequence[Measured], each: bool) -> Truth:
    """The answers for a training whose every step was measured; ``each``: the loss is at each timestep."""
    finite = [one for one in measured if one.finite]
    nonfinite = len(finite) < len(measured)
    grown = np.array([1.0 if one.used < one.norm else one.growth for one in finite])
    jump = largest_jump([one.used for one in finite])
    growth = float(np.median(grown)) if len(grown) else np.nan
    often = float(np.quantile(grown, 0.9)) if len(grown) else np.nan
    late = [one.kept for one in finite[len(finite) // 2 :] if np.isfinite(one.kept)]
    kept = float(np.median(late)) if late else np.nan
    # after a NaN only what was clearly so before it is judged
    exploding = True if max(growth, jump) >= GROWTH_YES else _no(max(often, jump) <= GROWTH_NO and not nonfinite)
    limits = (KEPT_YES, KEPT_NO) if each else (ARRIVING_YES, ARRIVING_NO)
    vanishing = None if nonfinite else True if kept < limits[0] else _no(kept > limits[1])
    return Truth(nonfinite, exploding, vanishing, growth, jump, kept)


def _no(clear: bool) -> bool | None:
    return False if clear else None


def largest_jump(norms: Sequence[float]) -> float:
    """The largest ratio of a norm to the median of all before it, from the sixth on; 1 where there is none."""
    ratios = [norms[at] / np.median(norms[:at]) for at in range(HISTORY, len(norms)) if np.median(norms[:at]) > 0]
    return float(max(ratios, default=1.0))
