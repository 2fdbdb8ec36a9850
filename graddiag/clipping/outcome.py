"""What a clip policy is, what it says it did, and the sums that all of them take."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

EPSILON: Final = 1e-6  # what clip_grad_norm_ adds to the norm it divides by


@dataclass(frozen=True)
class ClipOutcome:
    """What a policy did to the gradients of one step; each value is a 0-dim tensor on the device of the gradients.

    Nothing here waits for the device: take ``float()`` of a value when you want it.

    Attributes:
        norm_before: L2 norm over all gradients together, before clipping.
        norm_after: the same after clipping.
        coefficient: norm_after / norm_before; exactly 1 where no gradient was touched.
        nonfinite: int64, NaN or inf entries of the gradients before clipping.
        cosine: between all gradients before and after clipping, under a policy that can turn them (value, agc); None
            under one that scales them together, where it is 1. NaN where they are not finite, or are 0 after it.
            ``recorder.log(clip_cosine=outcome.cosine)`` keeps it.
    """

    norm_before: Tensor
    norm_after: Tensor
    coefficient: Tensor
    nonfinite: Tensor
    cosine: Tensor | None = None


class ClipPolicy(Protocol):
    """Clips the gradients of parameters in place; ``str(policy)`` is the spec that ``parse`` reads back.

    A policy that adapts remembers the norms it has seen: use a new one for each training.
    """

    def __call__(self, parameters: Iterable[Tensor]) -> ClipOutcome: ...


def gradients_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradients there are; a parameter without one is passed over."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def count_nonfinite(gradients: list[Tensor], norm: Tensor) -> Tensor:
    """NaN and inf entries of all gradients, int64 and 0-dim.

    A finite ``norm`` of theirs proves that there are none; on the CPU, where looking at it costs nothing, they are then
    not counted one by one.
    """
    if norm.device.type == "cpu" and math.isfinite(norm.item()):
        return torch.zeros((), dtype=torch.int64)
    counts = [torch.count_nonzero(~torch.isfinite(gradient)).to(norm.device) for gradient in gradients]
    return torch.stack(counts).sum()


def scale(gradients: list[Tensor], coefficient: Tensor) -> None:
    """Multiplies every gradient by ``coefficient`` in place."""
    for gradient in gradients:
        gradient.mul_(coefficient.to(gradient.device, gradient.dtype))


def cosine(inner: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """inner / (before after), two norms and the inner product, at most 1; exactly 1 where the norms are equal."""
    return torch.where(before == after, torch.ones_like(before), (inner / (before * after)).clamp(max=1.0))


def inner_product(a: Tensor, b: Tensor) -> Tensor:
    """Sum of a b over all entries, float64 and 0-dim."""
    return torch.sum(a * b, dtype=torch.float64)


def ratio(after: Tensor, before: Tensor) -> Tensor:
    """after / before, and 1 where they are equal, be it 0 or inf."""
    return torch.where(before == after, torch.ones_like(before), after / before)
