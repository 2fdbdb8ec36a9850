"""adagc, the norm of each parameter tensor against the running mean of its norms so far."""

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from graddiag.clipping.layerwise import scale_each
from graddiag.clipping.outcome import ClipOutcome


class AdaGC:
    """Shortens the gradient g of each parameter tensor to 1.05 gamma, where it is longer; gamma follows its norms.

    In the first 100 steps all gradients together are clipped to a norm of 1, and gamma is the smallest norm of the
    tensor so far; then gamma_t = .98 gamma_{t-1} + .02 ||g_t||, both with the norm after clipping. A norm that is NaN
    or inf is not followed.

    Source: Wang et al. (2025), AdaGC, algorithm 1 and its lambda_rel, lambda_abs, beta and T_start.
    """

    RELATIVE: Final = 1.05
    ABSOLUTE: Final = 1.0
    SMOOTHING: Final = 0.98
    WARM_UP: Final = 100

    def __init__(self) -> None:
        self._steps = 0
        self._gamma: dict[int, Tensor] = {}

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        trained = {place: each.grad for place, each in enumerate(parameters) if each.grad is not None}
        norms = {place: torch.linalg.vector_norm(gradient).double() for place, gradient in trained.items()}
        warm = self._steps >= self.WARM_UP
        whole = get_total_norm(list(trained.values())).double()
        factors = {
            place: self._factor(self.RELATIVE * self._gamma[place], norm)
            if warm and place in self._gamma
            else self._factor(torch.full_like(whole, self.ABSOLUTE), whole)
            for place, norm in norms.items()
        }
        for place, norm in norms.items():
            self._follow(place, norm * factors[place], warm=warm)
        self._steps += 1
        return scale_each(list(trained.values()), list(factors.values()))

    @staticmethod
    def _factor(longest: Tensor, norm: Tensor) -> Tensor:
        return torch.where(norm > longest, longest / norm, torch.ones_like(norm))

    def _follow(self, place: int, norm: Tensor, *, warm: bool) -> None:
        before = self._gamma.get(place, torch.full_like(norm, torch.inf))
        after = self.SMOOTHING * before + (1 - self.SMOOTHING) * norm if warm else torch.minimum(before, norm)
        first = before.isinf()
        self._gamma[place] = torch.where(norm.isfinite(), torch.where(first, norm, after), before)

    def __str__(self) -> str:
        return "adagc"
