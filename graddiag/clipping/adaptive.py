"""Policies whose threshold follows the norms of the training so far: auto:P and zclip.

What they remember stays on the device of the gradients, and nothing waits for it. A norm that is NaN or inf is not
remembered: one of them would move the threshold for good.
"""

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from graddiag.clipping.outcome import EPSILON, ClipOutcome, count_nonfinite, gradients_of, scale

_FIRST_CAPACITY: Final = 1024


class AutoClip:
    """Clips the norm to the P-th percentile of all norms so far, the present one included.

    P = 100 never clips; P = 0 clips to the smallest norm seen.

    Source: Seetharaman, Wichern, Pardo & Le Roux (2020), AutoClip.
    """

    def __init__(self, percentile: float) -> None:
        self.percentile = percentile
        self._norms = torch.empty(0, dtype=torch.float64)
        self._seen = 0

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        gradients = gradients_of(parameters)
        norm = get_total_norm(gradients)
        self._remember(norm)
        threshold = torch.nanquantile(self._norms[: self._seen], self.percentile / 100)
        return _clip_to(gradients, norm, threshold)

    def _remember(self, norm: Tensor) -> None:
        if self._seen == len(self._norms):
            larger = torch.empty(max(_FIRST_CAPACITY, 2 * self._seen), dtype=torch.float64, device=norm.device)
            larger[: self._seen] = self._norms
            self._norms = larger
        self._norms[self._seen] = torch.where(norm.isfinite(), norm, torch.nan)
        self._seen += 1

    def __str__(self) -> str:
        return f"auto:{self.percentile!r}"


class ZClip:
    """Clips a norm more than 2.5 deviations above the running mean: mu + 2.5 sigma / (z / 2.5).

    z is the norm's own distance from the mean in deviations. Mean and variance are exponential averages with factor
    .97, started from the first 25 steps, which are not clipped, and fed with the threshold where it clips.

    Source: Kumar, Owen, Chowdhury & Güra (2025), ZClip.
    """

    SMOOTHING: Final = 0.97
    Z: Final = 2.5
    WARM_UP: Final = 25

    def __init__(self) -> None:
        self._first: list[Tensor] = []
        self._mean = self._variance = torch.tensor(torch.nan, dtype=torch.float64)

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        gradients = gradients_of(parameters)
        norm = get_total_norm(gradients)
        if len(self._first) < self.WARM_UP:
            self._warm_up(norm)
            return ClipOutcome(norm, norm, torch.ones_like(norm), count_nonfinite(gradients, norm))
        threshold = self._threshold(norm)
        outcome = _clip_to(gradients, norm, threshold)
        self._follow(torch.where(norm.isfinite(), torch.minimum(norm, threshold), norm))
        return outcome

    def _warm_up(self, norm: Tensor) -> None:
        self._first.append(norm.double())
        if len(self._first) == self.WARM_UP:
            norms = torch.stack(self._first)
            finite = norms.where(norms.isfinite(), torch.nan)
            self._mean = finite.nanmean()
            self._variance = (finite - self._mean).square().nanmean()

    def _threshold(self, norm: Tensor) -> Tensor:
        deviation = self._variance.sqrt()
        z = (norm - self._mean) / (deviation + EPSILON)
        return torch.where(z > self.Z, self._mean + self.Z * deviation / (z / self.Z), torch.inf)

    def _follow(self, norm: Tensor) -> None:
        mean = self.SMOOTHING * self._mean + (1 - self.SMOOTHING) * norm
        variance = self.SMOOTHING * self._variance + (1 - self.SMOOTHING) * (norm - mean).square()
        self._mean = torch.where(norm.isfinite(), mean, self._mean)
        self._variance = torch.where(norm.isfinite(), variance, self._variance)

    def __str__(self) -> str:
        return "zclip"


def _clip_to(gradients: list[Tensor], norm: Tensor, threshold: Tensor) -> ClipOutcome:
    """Scales gradients so that ``norm``, theirs, becomes ``threshold`` where it is above; else leaves them."""
    nonfinite = count_nonfinite(gradients, norm)
    coefficient = torch.where(norm <= threshold, 1.0, threshold / (norm + EPSILON)).to(norm.dtype)
    scale(gradients, coefficient)
    return ClipOutcome(norm, norm * coefficient, coefficient, nonfinite)
