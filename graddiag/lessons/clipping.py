"""What each clip policy does to one gradient of two entries; the policies are those of ``graddiag.clipping``."""

import math
from typing import Final

import numpy as np
import torch

from graddiag import clipping
from graddiag.analysis.values import Floats
from graddiag.clipping.registry import check
from graddiag.lessons.values import Clipped, Region

WEIGHTS: Final = (4.0, 1.0)  # what agc measures the two rows against
HISTORY: Final = tuple(1.0 + 0.1 * (step % 3) for step in range(30))  # norms that auto and zclip have seen before
SMALLEST_WEIGHT: Final = 1e-3


def clip_each(gradient: tuple[float, float], threshold: float, factor: float) -> tuple[Clipped, ...]:
    """What none, norm, value, agc, auto and zclip make of ``gradient``, which may hold NaN and inf.

    The two entries are gradients of weights in separate rows, of size 4 and 1. ``auto`` and ``zclip`` follow the norms
    of the training so far: here 30 steps with norms 1, 1.1, 1.2 in turn.

    Args:
        threshold: of norm and value, above 0; factor: of agc, above 0.
    """
    limits = [factor * max(weight, SMALLEST_WEIGHT) for weight in WEIGHTS]
    policies = (
        ("none", None),
        (f"norm:{threshold!r}", Region("disc", threshold, threshold)),
        (f"value:{threshold!r}", Region("box", threshold, threshold)),
        (f"agc:{factor!r}", Region("box", *limits)),
        ("auto:90", None),
        ("zclip", None),
    )
    return tuple(_clip(spec, gradient, allowed) for spec, allowed in policies)


def _clip(spec: str, gradient: tuple[float, float], allowed: Region | None) -> Clipped:
    policy, kind = clipping.parse(spec), check(spec).kind
    weights = torch.nn.Parameter(torch.tensor(WEIGHTS, dtype=torch.float64).unsqueeze(1))
    if kind.adapts:
        for norm in HISTORY:
            weights.grad = torch.tensor([[0.6 * norm], [0.8 * norm]], dtype=torch.float64)
            policy([weights])
    before = np.array(gradient, dtype=np.float64)
    weights.grad = torch.tensor(gradient, dtype=torch.float64).unsqueeze(1)
    outcome = policy([weights])
    after = weights.grad.squeeze(1).numpy().copy()
    return Clipped(
        spec=spec,
        title=kind.title,
        scales_together=kind.keeps_direction is True,
        before=before,
        after=after,
        norm_before=float(outcome.norm_before),
        norm_after=float(outcome.norm_after),
        coefficient=float(outcome.coefficient),
        cosine=_cosine(before, after),
        nonfinite=int(outcome.nonfinite),
        allowed=allowed,
    )


def _cosine(one: Floats, other: Floats) -> float:
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other / size) if 0 < size < math.inf else math.nan
