"""What may be done to a gradient on its way from one timestep to the one before it."""

from typing import Protocol

import torch
from torch import Tensor


class GradTransform(Protocol):
    """Changes in place what timestep ``t`` sends back, in the order of processing.

    ``sent_h`` [N, P] goes to h_{t-1} through the recurrence, ``sent_c`` [N, H] to c_{t-1} of an LSTM; timestep 0 sends
    to the initial state. In units of the loss; padding sends zeros.
    """

    def __call__(self, t: int, sent_h: Tensor, sent_c: Tensor | None) -> None: ...


class AppliedTransform:
    """What an adjoint sends back from timestep to timestep, through a ``GradTransform`` that may change it.

    h [T, N, P] and c [T, N, H]: what was sent before the change, filled timestep by timestep; None without one.
    """

    def __init__(self, grad_transform: GradTransform | None, sent_h: Tensor, sent_c: Tensor | None = None) -> None:
        self._transform, self._sent = grad_transform, (sent_h, sent_c)
        self.h, self.c = (None if grad_transform is None or s is None else torch.empty_like(s) for s in self._sent)

    def __call__(self, t: int) -> None:
        """Changes what ``t`` sends in place."""
        if self._transform is None:
            return
        for kept, sent in zip((self.h, self.c), self._sent, strict=True):
            if kept is not None and sent is not None:
                kept[t] = sent[t]
        sent_h, sent_c = self._sent
        self._transform(t, sent_h[t], None if sent_c is None else sent_c[t])
