"""What a clip threshold c would have done to the norms that a run recorded, for every c at once.

Legend: n_i the norm before clipping of step i, lr_i its learning rate, k_i(c) = min(1, c / (n_i + 1e-6)), torch's
factor.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from graddiag import schema
from graddiag.analysis.captions import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.optimization.norms import norm_threshold
from graddiag.analysis.values import Floats, Result, Source, source_of
from graddiag.analysis.words import number, percent, plural
from graddiag.run import Run, numbers

# what clip_grad_norm_ adds to the norm it divides by
EPSILON: Final = 1e-6

_DRAWN: Final = 240
_MARGIN: Final = 2.0
_TOLD: Final = (0.01, 0.1, 0.5)


@dataclass(frozen=True)
class WhatIfCurves:
    """By threshold [K]: share of the steps that it clips, mean and median of k over all steps, mean of lr k (NaN where
    no learning rate was recorded)."""

    thresholds: Floats
    clipped_share: Floats
    mean_coefficient: Floats
    median_coefficient: Floats
    mean_lr: Floats


@dataclass(frozen=True)
class WhatIf(Result):
    """The finite norms of a run, ascending [N], and the learning rates of their steps [N] (NaN where not recorded).

    ``at(c)`` is exact for these norms. It is no forecast: had a step been clipped, the weights after it, and so every
    later norm, would have been others; and the norms of a run that was clipped are those that its own policy led to.
    drawn: the curves on thresholds spaced evenly in the logarithm, from half the smallest norm above 0 to twice the
    largest. nonfinite_steps: steps whose norm is NaN or inf, which no threshold helps; they are left out.
    """

    source: Source
    norms: Floats
    lrs: Floats
    threshold: float | None
    nonfinite_steps: int
    drawn: WhatIfCurves
    missing: str | None = None

    def at(self, thresholds: ArrayLike) -> WhatIfCurves:
        """What each of ``thresholds`` [K], above 0, would have done; in O((N + K) log N), not N K."""
        return _curves(self.norms, self.lrs, np.atleast_1d(np.asarray(thresholds, dtype=np.float64)))

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        told = np.array([_as_written(float(np.quantile(self.norms, 1 - p))) for p in _TOLD])
        told = np.array(list(dict.fromkeys(told[told > 0])))
        clips = [f"{number(c)} clips {percent(s)}" for c, s in zip(told, self.at(told).clipped_share, strict=True)]
        found = {"": ", ".join(clips), "of": plural(len(self.norms), "step")}
        if self.nonfinite_steps:
            found["{} with NaN or inf left out"] = plural(self.nonfinite_steps, "step")
        note = "A run under another threshold would have gone another way."
        return Caption("Thresholds on the norms as recorded", found, note)

    def to_frame(self) -> pd.DataFrame:
        """A row a threshold."""
        found = self.drawn
        return indexed(
            {"threshold": found.thresholds},
            clipped_share=found.clipped_share,
            mean_coefficient=found.mean_coefficient,
            median_coefficient=found.median_coefficient,
            mean_lr=found.mean_lr,
        )


def _as_written(value: float) -> float:
    """The number that ``number`` shows."""
    return float(number(value).replace(",", ""))


def what_if(run: Run) -> WhatIf:
    """The what-if of ``run``: its norms before clipping, sorted once.

    Source: the factor is that of torch's ``clip_grad_norm_``; Pascanu, Mikolov & Bengio (2013), algorithm 1.
    """
    frame = run.read(schema.TABLE_STEPS, columns=[schema.GRAD_NORM, schema.LR])
    (norms, missing), (lrs, _) = numbers(frame[schema.GRAD_NORM]), numbers(frame[schema.LR])
    finite = np.isfinite(norms)
    order = np.argsort(norms[finite], kind="stable")
    kept, rates = norms[finite][order], lrs[finite][order]
    bad = int((~finite & ~missing).sum())
    drawn = _curves(kept, rates, _spaced(kept))
    why = _what_is_missing(kept, bad, len(norms))
    return WhatIf(source_of(run), kept, rates, norm_threshold(run.manifest.clip), bad, drawn, why)


def _curves(norms: Floats, lrs: Floats, thresholds: Floats) -> WhatIfCurves:
    if not len(norms):
        unknown = np.full(len(thresholds), np.nan)
        return WhatIfCurves(thresholds, unknown, unknown, unknown, unknown)
    sizes, known = norms + EPSILON, np.isfinite(lrs)
    rates = np.where(known, lrs, 0.0)
    whole = np.searchsorted(sizes, thresholds, side="right")
    mean = (whole + thresholds * _sums_from(1 / sizes)[whole]) / len(norms)
    lr = (_sums_to(rates)[whole] + thresholds * _sums_from(rates / sizes)[whole]) / max(int(known.sum()), 1)
    median = np.mean(
        [np.minimum(1.0, thresholds / sizes[at]) for at in ((len(norms) - 1) // 2, len(norms) // 2)], axis=0
    )
    share = 1 - whole / len(norms)
    return WhatIfCurves(thresholds, share, mean, median, lr if known.any() else np.full(len(thresholds), np.nan))


def _sums_from(values: Floats) -> Floats:
    """The sum of ``values`` from each place on, [N + 1]; small ones last, so that none is lost in a large one."""
    return np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])


def _sums_to(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])


def _spaced(norms: Floats) -> Floats:
    positive = norms[norms > 0]
    if not len(positive):
        return np.zeros(0)
    return np.geomspace(positive[0] / _MARGIN, positive[-1] * _MARGIN, _DRAWN)


def _what_is_missing(norms: Floats, nonfinite: int, steps: int) -> str | None:
    if not steps:
        return "No step was recorded: there is no norm to set a threshold against."
    if not len(norms):
        return "Every recorded gradient norm is NaN or inf." if nonfinite else "No gradient norm was recorded."
    return "Every recorded gradient norm is exactly 0: no threshold would clip." if norms[-1] == 0 else None
