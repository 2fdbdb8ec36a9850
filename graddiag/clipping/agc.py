"""agc:C, adaptive gradient clipping: each unit's gradient against the norm of that unit's weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from graddiag.clipping.outcome import ClipOutcome, cosine, count_nonfinite, gradients_of, inner_product, ratio

SMALLEST_WEIGHT: Final = 1e-3  # so that units that start at 0 can move


@dataclass(frozen=True)
class UnitwiseClipping:
    """Shortens each row g of a gradient to C max(||w||, 1e-3), w the same row of the parameter, where it is longer.

    A vector, e.g. a bias, is one row. The source leaves the last linear layer out: hand over the other ones.

    Source: Brock, De, Smith & Simonyan (2021), equation 3.
    """

    factor: float

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        trained = [parameter for parameter in parameters if parameter.grad is not None]
        gradients = gradients_of(trained)
        before = get_total_norm(gradients)
        nonfinite = count_nonfinite(gradients, before)
        inner = before.new_zeros((), dtype=torch.float64)
        for parameter, gradient in zip(trained, gradients, strict=True):
            longest = self.factor * row_norms(parameter).clamp(min=SMALLEST_WEIGHT)
            norms = row_norms(gradient)
            factor = torch.where(norms > longest, longest / norms, torch.ones_like(norms))
            inner = inner + inner_product(gradient, gradient * factor).to(before.device)
            gradient.mul_(factor)
        after = get_total_norm(gradients)
        return ClipOutcome(before, after, ratio(after, before), nonfinite, cosine(inner, before, after))

    def __str__(self) -> str:
        return f"agc:{self.factor!r}"


def row_norms(values: Tensor) -> Tensor:
    """L2 norm of each row, [rows, 1, ...]; of the whole where there is but one dimension, or none."""
    if values.dim() <= 1:
        return torch.linalg.vector_norm(values)
    return torch.linalg.vector_norm(values, dim=tuple(range(1, values.dim())), keepdim=True)
