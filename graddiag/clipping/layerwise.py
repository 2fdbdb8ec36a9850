"""layer:C, the norm of each parameter tensor by itself: the gradient of one cannot shrink that of another."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from graddiag.clipping.outcome import EPSILON, ClipOutcome, cosine, count_nonfinite, gradients_of, inner_product, ratio


@dataclass(frozen=True)
class LayerClipping:
    """Scales the gradient g of each parameter tensor by min(1, C / (||g|| + 1e-6)).

    All together then have a norm of at most C times the root of their number.

    Source: McMahan, Ramage, Talwar & Zhang (2018), Learning differentially private recurrent language models, section
    3, per-layer clipping.
    """

    threshold: float

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        gradients = gradients_of(parameters)
        factors = [(self.threshold / (_norm(each) + EPSILON)).clamp(max=1.0) for each in gradients]
        return scale_each(gradients, factors)

    def __str__(self) -> str:
        return f"layer:{self.threshold!r}"


def scale_each(gradients: list[Tensor], factors: list[Tensor]) -> ClipOutcome:
    """Multiplies each gradient by its own factor, 0-dim, in place."""
    before = get_total_norm(gradients)
    nonfinite = count_nonfinite(gradients, before)
    inner = before.new_zeros((), dtype=torch.float64)
    for gradient, factor in zip(gradients, factors, strict=True):
        inner = inner + (inner_product(gradient, gradient) * factor).to(before.device)
        gradient.mul_(factor.to(gradient.dtype))
    after = get_total_norm(gradients)
    return ClipOutcome(before, after, ratio(after, before), nonfinite, cosine(inner, before, after))


def _norm(gradient: Tensor) -> Tensor:
    return torch.linalg.vector_norm(gradient)
