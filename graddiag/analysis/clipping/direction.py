"""Whether clipping turned the gradient: cosine between the gradient before and after it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captions import Caption
from graddiag.analysis.clipping.statistics import ROUNDING
from graddiag.analysis.frames import indexed
from graddiag.analysis.values import Floats, Ints, Result, Series, Source, series, source_of
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
