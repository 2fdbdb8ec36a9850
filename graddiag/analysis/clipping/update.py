"""What clipping changes in an update: the direction of the gradient, and the effective learning rate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.clipping.statistics import ROUNDING
from graddiag.analysis.frames import indexed
from graddiag.analysis.values import CellState, Floats, Ints, Result, Series, Source, series, source_of
from graddiag.analysis.words import number, plural
from graddiag.clipping.registry import kind_of
from graddiag.run import Run, numbers

_QUANTILES: Final = {"min": 0.0, "5%": 0.05, "50%": 0.5}

Direction = Literal["kept", "measured", "bounded", "unknown"]


def _line(values: Floats) -> Series:
    return series(
        schema.CLIP_COSINE, "cosine with the gradient before clipping", "1", values, np.zeros(len(values), bool)
    )


_NO_COSINE: Final = _line(np.zeros(0))


@dataclass(frozen=True)
class DirectionChange(Result):
    """How far clipping turned the gradient, over the steps that it clipped.

    direction: ``kept`` under a policy that scales all gradients together, where the cosine is 1 by construction;
    ``measured`` where the loop logged the cosine (scalar ``clip_cosine``, see ``ClipOutcome.cosine``); else, under
    value and agc, ``bounded``: each entry keeps its sign and none grows, so <g, clipped> >= ||clipped||^2 and the
    cosine is at least the clip coefficient; ``unknown`` where the policy is. cosines: quantiles of the cosine, or of
    that lower bound; angle: of the smallest of them, in degrees (at most so much where bounded). steps, cosine: the
    clipped steps [K] and the cosine, or the bound, at each; empty under ``kept`` and ``unknown``.
    """

    source: Source
    policy: str | None
    direction: Direction
    clipped_steps: int
    cosines: Mapping[str, float] = field(default_factory=dict)
    angle: float | None = None
    missing: str | None = None
    steps: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    cosine: Series = _NO_COSINE

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = "Direction of the gradient under clipping"
        if self.direction == "kept":
            return Caption(of, {"": "kept at every step"})
        if not self.cosines:
            return Caption(of, {"": f"{self.policy} changed no gradient"})
        least, most = ("", "") if self.direction == "measured" else ("at least ", "at most ")
        median, worst = (f"{least}{number(self.cosines[name])}" for name in ("50%", "min"))
        turned = f"turned by {self.policy} at {plural(self.clipped_steps, 'step')}"
        angle = f"{most}{number(self.angle)} degrees"
        return Caption(of, {"": turned, "cosine with the one before, median": median, "worst": f"{worst}, {angle}"})

    def to_frame(self) -> pd.DataFrame:
        """A row a clipped step."""
        return indexed({schema.STEP: self.steps}, self.cosine)


def direction_change(run: Run) -> DirectionChange:
    """Whether, and how far, the clip policy of ``run`` turned its gradients; NaN and inf steps are left out.

    Source: Goodfellow, Bengio & Courville (2016), section 10.11.1, for norms that keep the direction and elements that
    do not; the bound by the coefficient is shown above.
    """
    policy = run.manifest.clip
    kind = kind_of(policy)
    keeps = None if kind is None else kind.keeps_direction
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.CLIP_COEFFICIENT])
    coefficient, absent = numbers(frame[schema.CLIP_COEFFICIENT])
    clipped = coefficient < 1 - ROUNDING
    about = source_of(run), policy
    if keeps:
        return DirectionChange(*about, "kept", int(clipped.sum()), missing=_nothing(int((~absent).sum())))
    if keeps is None:
        words = "No clip policy was recorded" if policy is None else f"graddiag does not know the policy {policy}"
        return DirectionChange(
            *about, "unknown", int(clipped.sum()), missing=f"{words}: whether it turned the gradient is not known."
        )
    cosine = _logged(run, len(coefficient))
    direction: Direction = "bounded" if cosine is None else "measured"
    known = (coefficient if cosine is None else cosine)[clipped]
    known = np.clip(known[np.isfinite(known)], -1.0, 1.0)
    quantiles = {name: float(np.quantile(known, at)) for name, at in _QUANTILES.items()} if len(known) else {}
    angle = math.degrees(math.acos(quantiles["min"])) if quantiles else None
    missing = _nothing(int((~absent).sum()))
    steps = frame[schema.STEP].to_numpy(dtype=np.int64)[clipped]
    line = _line((coefficient if cosine is None else cosine)[clipped])
    return DirectionChange(*about, direction, int(clipped.sum()), quantiles, angle, missing, steps, line)


def _logged(run: Run, count: int) -> Floats | None:
    """The cosine of each step where the loop logged it."""
    frame = run.steps
    if schema.CLIP_COSINE not in frame:
        return None
    values, _ = numbers(frame[schema.CLIP_COSINE])
    return values if len(values) == count and np.isfinite(values).any() else None


def _nothing(known: int) -> str | None:
    return None if known else "No clip coefficient was recorded."


@dataclass(frozen=True)
class EffectiveLr(Result):
    """Over steps [S]: the learning rate as it was set, and times the clip coefficient.

    It is the rate at which plain SGD moved along the unclipped gradient. Under momentum it weighs what a step adds to
    the momentum; an optimizer that divides by a running size of the gradient (Adam, RMSProp) undoes most of a lasting
    coefficient, and there it says how far a step was held back against its neighbours. mean_lr, mean_effective: over
    the steps where both are known; ratio: their quotient.
    """

    source: Source
    steps: Ints
    lr: Series
    effective: Series
    mean_lr: float | None
    mean_effective: float | None
    ratio: float | None
    missing: str | None = None

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        of = "Effective learning rate, mean over steps"
        if self.mean_effective is None:
            return Caption(of, {"": "NaN or inf at every step"})
        if not self.source.clipped:
            return Caption(of, {"": f"{number(self.mean_lr)}, as set"})
        kept = "" if self.ratio is None else f", {self.ratio:.1%} of the {number(self.mean_lr)} that was set"
        return Caption(of, {"": f"{number(self.mean_effective)}{kept}"})

    def to_frame(self) -> pd.DataFrame:
        """A row a step."""
        return indexed({schema.STEP: self.steps}, self.lr, self.effective)


def effective_lr(run: Run) -> EffectiveLr:
    """lr x clip coefficient at every step.

    Source: Zhang, He, Sra & Jadbabaie (2020), equation 5: clipped gradient descent is descent with the step size
    min(lr, lr c / ||g||).
    """
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LR, schema.CLIP_COEFFICIENT])
    (lr, no_lr), (kept, not_kept) = numbers(frame[schema.LR]), numbers(frame[schema.CLIP_COEFFICIENT])
    with np.errstate(invalid="ignore", over="ignore"):
        product = lr * kept
    nominal = series(schema.LR, "learning rate", "as set", lr, no_lr)
    unit = "lr \N{MULTIPLICATION SIGN} clip coefficient"
    effective = series("effective_lr", "effective learning rate", unit, product, no_lr | not_kept)
    both = np.isfinite(product)
    mean, kept_mean = (float(each[both].mean()) if both.any() else None for each in (lr, product))
    ratio = kept_mean / mean if mean and kept_mean is not None else None
    missing = _what_is_missing(nominal, effective)
    return EffectiveLr(
        source_of(run), frame[schema.STEP].to_numpy(np.int64), nominal, effective, mean, kept_mean, ratio, missing
    )


def _what_is_missing(lr: Series, effective: Series) -> str | None:
    if (lr.states == CellState.MISSING).all():
        return "No learning rate was recorded: call recorder.log(lr=...) in a loop without an optimizer object."
    if (effective.states == CellState.MISSING).all():
        return "No clip coefficient was recorded: what clipping left of the learning rate is not known."
    return None
