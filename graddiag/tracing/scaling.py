"""Gradients of a scaled loss in units of the loss itself."""

from typing import Final

import torch
from torch import Tensor

AMP_SCALE: Final = "amp_scale"
"""The scalar under which a GradScaler's scale is recorded."""


class Scale:
    """What a GradScaler multiplies the loss by, as a tensor on its device; None without a scaler."""

    def __init__(self, scaler: torch.amp.GradScaler | None, optimizer: torch.optim.Optimizer | None) -> None:
        self._scaler = scaler
        self._optimizer = optimizer
        self.seen: Tensor | None = None
        self.skipped = False

    def at_backward(self) -> Tensor | None:
        """The factor in the gradients that ``backward()`` has just left."""
        if self._scaler is None or not self._scaler.is_enabled():
            return None
        scale = self._scaler._scale
        self.fell()
        self.seen = None if scale is None else scale.detach().clone()
        return self.seen

    def fell(self) -> bool:
        """Whether the scale fell since the last backward pass, with no update between: the scaler found inf there and
        skipped it. Asked once, it is noted in ``skipped``."""
        scale = None if self._scaler is None else self._scaler._scale
        if self.seen is None or scale is None or not bool(scale < self.seen):
            return False
        self.seen, self.skipped = None, True
        return True

    def updated(self) -> None:
        """An update has been made."""
        self.seen, self.skipped = None, False

    def at_update(self) -> Tensor | None:
        """The factor still in the gradients when the optimizer is called: a fused one unscales them by itself."""
        return getattr(self._optimizer, "grad_scale", None)
