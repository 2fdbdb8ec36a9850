"""Policies with a fixed threshold: none, norm:C, value:C."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from graddiag.clipping.outcome import EPSILON, ClipOutcome, count_nonfinite, gradients_of, ratio


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

    The direction of the step is kept; a norm below C - 1e-6 leaves every bit as it was.

    Source: Pascanu, Mikolov & Bengio (2013), algorithm 1; the 1e-6 is torch's.
    """

    threshold: float

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        parameters = list(parameters)
        gradients = gradients_of(parameters)
        norm = get_total_norm(gradients)
        nonfinite = count_nonfinite(gradients, norm)
        clip_grads_with_norm_(parameters, self.threshold, norm)
        coefficient = torch.clamp(self.threshold / (norm + EPSILON), max=1.0)
        return ClipOutcome(norm, norm * coefficient, coefficient, nonfinite)

    def __str__(self) -> str:
        return f"norm:{self.threshold!r}"


@dataclass(frozen=True)
class ValueClipping:
    """Clamps each entry of each gradient to [-C, C], exactly as torch's ``clip_grad_value_`` does.

    The direction of the step changes. inf becomes C, NaN stays.

    Source: faster-rnnlm (C = 1), char-rnn (C = 5).
    """

    threshold: float

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        parameters = list(parameters)
        gradients = gradients_of(parameters)
        before = get_total_norm(gradients)
        nonfinite = count_nonfinite(gradients, before)
        if gradients:  # torch fails on none
            clip_grad_value_(parameters, self.threshold)
        after = get_total_norm(gradients)
        return ClipOutcome(before, after, ratio(after, before), nonfinite)

    def __str__(self) -> str:
        return f"value:{self.threshold!r}"
