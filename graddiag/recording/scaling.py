"""Gradients of a scaled loss in units of the loss itself."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.optim import Optimizer

from graddiag.recording.interception import Interception

AMP_SCALE: Final = "amp_scale"
"""The scalar under which a GradScaler's scale is recorded."""

BEFORE_UNSCALE: Final = "grad_norm_before_unscale"
"""Norm of the scaled gradient when it was unscaled, where it was changed before; on its way to the events alone."""

_FRAMES: Final = 12  # between GradScaler.step and a hook of the optimizer there are fewer


class Scale:
    """What a GradScaler multiplies the loss by, as a tensor on its device; None without a scaler."""

    def __init__(
        self, scaler: torch.amp.GradScaler | None, optimizers: Callable[[], Sequence[Optimizer]] = tuple
    ) -> None:
        self._scaler = scaler
        self._optimizers = optimizers
        self.seen: Tensor | None = None
        self.skipped = 0

    def follow(self, scaler: torch.amp.GradScaler) -> Tensor | None:
        """Follows a scaler from the middle of a step on; the factor that ``backward()`` has left in the gradients."""
        self._scaler = scaler
        return self.at_backward()

    def at_backward(self) -> Tensor | None:
        """The factor in the gradients that ``backward()`` has just left."""
        if self._scaler is None or not self._scaler.is_enabled():
            return None
        scale = self._scaler._scale
        self.detect_skip()
        self.seen = None if scale is None else scale.detach().clone()
        return self.seen

    def detect_skip(self) -> bool:
        """Whether the scale fell since the last backward pass, with no update between: the scaler found inf there and
        skipped it. Asked once, it is counted in ``skipped``."""
        if self.seen is None or self._scaler is None:
            return False
        scale = self._scaler._scale
        if scale is None or not bool(scale < self.seen):
            return False
        self.seen, self.skipped = None, self.skipped + 1
        return True

    def updated(self) -> None:
        """An update has been made."""
        self.seen, self.skipped = None, 0

    def at_update(self) -> Tensor | None:
        """The factor still in the gradients when the optimizer is called: a fused one unscales them by itself."""
        scales = (getattr(optimizer, "grad_scale", None) for optimizer in self._optimizers())
        return next((scale for scale in scales if scale is not None), None)


class ScalerHooks:
    """Hears a GradScaler unscale gradients; one that nobody named is followed from the first update through it on.

    unscaling: called with the optimizer before its gradients are unscaled.
    """

    def __init__(self, scaler: torch.amp.GradScaler | None, unscaling: Callable[[Any], None]) -> None:
        self._unscaling = unscaling
        self._handles: list[Interception] = []
        if scaler is not None:
            self._follow(scaler)

    def recognized(self) -> torch.amp.GradScaler | None:
        """A scaler that is making an update just now, and was not followed before."""
        scaler = None if self._handles else calling_scaler()
        if scaler is None or not scaler.is_enabled():
            return None
        self._follow(scaler)
        return scaler

    def remove(self) -> None:
        """Takes every hook off."""
        for handle in self._handles:
            handle.remove()

    def _follow(self, scaler: torch.amp.GradScaler) -> None:
        self._handles.append(Interception(scaler, "unscale_", self._unscaling))


def calling_scaler() -> torch.amp.GradScaler | None:
    """The GradScaler whose ``step`` is calling the optimizer just now, if one does."""
    frame = sys._getframe(1)
    for _ in range(_FRAMES):
        owner = frame.f_locals.get("self")
        if isinstance(owner, torch.amp.GradScaler):
            return owner
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None
