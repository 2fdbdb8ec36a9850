"""spam, each entry of the gradient against the running mean of its squares so far."""

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from graddiag.clipping.outcome import ClipOutcome, cosine, count_nonfinite, gradients_of, inner_product, ratio


class SpikeAware:
    """Shortens an entry g to sign(g) sqrt(5000 v) where g^2 > 5000 v; v is the running mean of g^2, factor .999.

    v follows the entries after clipping. It is reset to 0 at every 500th step, as SPAM resets the moments of Adam, and
    nothing is clipped in the 20 steps after that, nor in the first 19. The moments themselves, and the warm-up of the
    learning rate after a reset, belong to the optimizer and are left to it. As in the source, an entry that was 0 in
    all of those steps stays 0 until the next reset. An entry that is NaN or inf is not followed.

    Source: Huang et al. (2025), SPAM, section 3.1 and the authors' galore_torch/SPAM.py: thresholds and intervals.
    """

    THRESHOLD: Final = 5000.0
    SMOOTHING: Final = 0.999
    RESET: Final = 500
    WAIT: Final = 20

    def __init__(self) -> None:
        self._steps = 0
        self._squares: dict[int, Tensor] = {}

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome:
        self._steps += 1
        if self._steps % self.RESET == 0:
            self._squares.clear()
        given = list(parameters)
        gradients = gradients_of(given)
        before = get_total_norm(gradients)
        nonfinite = count_nonfinite(gradients, before)
        inner = before.new_zeros((), dtype=torch.float64)
        for place, parameter in enumerate(given):
            if parameter.grad is not None:
                clipped = self._clipped(place, parameter.grad)
                inner = inner + inner_product(parameter.grad, clipped).to(before.device)
                parameter.grad.copy_(clipped)
        after = get_total_norm(gradients)
        return ClipOutcome(before, after, ratio(after, before), nonfinite, cosine(inner, before, after))

    def _clipped(self, place: int, gradient: Tensor) -> Tensor:
        """The gradient after clipping, whose squares are then followed."""
        squares = self._squares.setdefault(place, torch.zeros_like(gradient))
        if self._steps >= self.WAIT and self._steps % self.RESET >= self.WAIT:
            most = (self.THRESHOLD * squares).sqrt()
            gradient = torch.where(gradient.square() > self.THRESHOLD * squares, gradient.sign() * most, gradient)
        followed = self.SMOOTHING * squares + (1 - self.SMOOTHING) * gradient.square()
        squares.copy_(torch.where(followed.isfinite(), followed, squares))
        return gradient

    def __str__(self) -> str:
        return "spam"
