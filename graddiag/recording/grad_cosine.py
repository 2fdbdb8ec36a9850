"""The cosine between the gradients of successive updates, from which gradient noise is estimated."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from graddiag.recording.model_parameters import HasParameters
from graddiag.recording.norms import norms_of
from graddiag.tracing.storage import own_entries

# entries that are taken to float64 at once: what fits a CPU's cache, and on an accelerator few launches
_CHUNK: Final = 1 << 16
_CHUNK_ON_DEVICE: Final = 1 << 24


class GradientCosine:
    """Keeps a copy of one update's gradient until the next: as much memory as the parameters, while it is kept."""

    def __init__(self, model: HasParameters) -> None:
        self._model = model
        self._kept: dict[str, Tensor] = {}
        self._length: Tensor | None = None

    def of_step(self, *, recorded: bool, next_recorded: bool) -> Tensor | None:
        """``cosine`` at a recorded step, and None at any other. What is kept is for the next step alone."""
        found = self.cosine() if recorded else None
        if next_recorded:
            self.keep()
        else:
            self.forget()
        return found

    def keep(self) -> None:
        """Keeps the gradient that was just used; ``cosine`` of the same step comes first."""
        self._kept = {name: grad.clone() for name, grad in _gradients(self._model).items()}

    def forget(self) -> None:
        self._kept, self._length = {}, None

    def cosine(self) -> Tensor | None:
        """Cosine between the kept gradient and the present one, over all parameters, 0-dim float64 on their device.

        A parameter that has no gradient counts as zeros. NaN where one of the two is 0 or not finite; None where none
        was kept, one is sparse, or the parameters lie on several devices.
        """
        kept, kept_length = self._kept, self._length
        self._length = None
        if not kept:
            return None
        now = _gradients(self._model)
        grads = [*now.values(), *kept.values()]
        if not now or any(g.is_sparse for g in grads) or len({g.device for g in grads}) > 1:
            return None
        pairs = [(now[name], before) for name, before in kept.items() if name in now]
        if not pairs:
            return None
        self._length = torch.linalg.vector_norm(norms_of(now).vector)
        if kept_length is None:
            kept_length = torch.linalg.vector_norm(norms_of(kept).vector)
        return _along(pairs) / (self._length * kept_length)


def _gradients(model: HasParameters) -> dict[str, Tensor]:
    return {name: own_entries(p.grad.detach()) for name, p in model.named_parameters() if p.grad is not None}


def _along(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum of the products of the entries, 0-dim float64; small tensors on the CPU together."""
    if pairs[0][0].is_cpu and sum(a.numel() for a, _ in pairs) <= _CHUNK:
        a, b = (torch._C._nn.flatten_dense_tensors(list(each)) for each in zip(*pairs, strict=True))
        return torch.dot(a.double(), b.double())
    return torch.stack([_dot(a, b) for a, b in pairs]).sum()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    chunk = _CHUNK if a.is_cpu else _CHUNK_ON_DEVICE
    parts = zip(a.flatten().split(chunk), b.flatten().split(chunk), strict=True)
    return torch.stack([torch.dot(x.double(), y.double()) for x, y in parts]).sum()
