"""Policies with a fixed threshold: none, norm:C, value:C."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from graddiag.clipping.outcome import EPSILON, ClipOutcome, cosine, count_nonfinite, gradients_of, inner_product, ratio


@dataclass(frozen=True)
class NoClipping:
    """Leaves every gradient as it is, and measures it."""

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        gradients = gradients_of(parameters)
        norm = get_total_norm(gradients)
        return ClipOutcome(norm, norm, torch.ones_like(norm), count_nonfinite(gradients, norm))

    def __str__(self) -> str:
        return "none"


@dataclass(frozen=True)
class NormClipping:
    """Scales all gradients together by min(1, C / (norm + 1e-6)), exactly as torch's ``clip_grad_norm_`` does.

    The direction of the step is kept; a norm below C - 1e-6 leaves every bit as it was. The norm is the ``p``-norm,
    p = inf the largest entry; the outcome holds L2 norms, whatever p is.

    Source: Pascanu, Mikolov & Bengio (2013), algorithm 1; the 1e-6 is torch's.
    """

    threshold: float
    p: float = 2.0

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        parameters = list(parameters)
        gradients = gradients_of(parameters)
        norm = get_total_norm(gradients, self.p)
        nonfinite = count_nonfinite(gradients, norm)
        euclidean = norm if self.p == 2 else get_total_norm(gradients)
        clip_grads_with_norm_(parameters, self.threshold, norm)
        coefficient = torch.clamp(self.threshold / (norm + EPSILON), max=1.0)
        return ClipOutcome(euclidean, euclidean * coefficient, coefficient, nonfinite)

    def __str__(self) -> str:
        return f"norm:{self.threshold!r}" + ("" if self.p == 2 else f":{self.p!r}")


@dataclass(frozen=True)
class ValueClipping:
    """Clamps each entry of each gradient to [-C, C], exactly as torch's ``clip_grad_value_`` does.

    The direction of the step changes. inf becomes C; NaN stays, or becomes 0 with ``zero_nan``. Such entries are
    counted either way.

    Source: faster-rnnlm (C = 1, and NaN becomes 0), char-rnn (C = 5).
    """

    threshold: float
    zero_nan: bool = False

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        parameters = list(parameters)
        gradients = gradients_of(parameters)
        before = get_total_norm(gradients)
        nonfinite = count_nonfinite(gradients, before)
        inner = before.new_zeros(())
        if self.zero_nan:
            for gradient in gradients:
                gradient.nan_to_num_(nan=0.0, posinf=math.inf, neginf=-math.inf)
        if gradients:  # torch fails on none
            clamped = (inner_product(g, g.clamp(-self.threshold, self.threshold)) for g in gradients)
            inner = torch.stack([each.to(before.device) for each in clamped]).sum()
            clip_grad_value_(parameters, self.threshold)
        after = get_total_norm(gradients)
        return ClipOutcome(before, after, ratio(after, before), nonfinite, cosine(inner, before, after))

    def __str__(self) -> str:
        return f"value:{self.threshold!r}" + (":nan=0" if self.zero_nan else "")
