"""Norms that neither underflow nor overflow: the squares of a 1e-24 are 0 in float32, its norm is not."""

import torch
from torch import Tensor

from graddiag.kernels import arrays, compiled

FLOAT32_TINY = 2.0**-149
FLOAT32_MAX = float(torch.finfo(torch.float32).max)


def norm(block: Tensor) -> Tensor:
    """L2 norm over the last dimension, in float64: [..., S] to [...]. NaN and inf are kept.

    float32 and narrower are squared in float64, where nothing they hold can underflow; float64 is scaled first.
    """
    kernels = compiled("signals", block) if block.numel() else None
    if kernels is not None:
        norms = block.new_empty(block.shape[:-1], dtype=torch.float64)
        kernels.sample_norms(*arrays(block.reshape(-1, block.shape[-1]), norms.view(-1)))
        return norms
    if block.dtype != torch.float64:
        return torch.linalg.vector_norm(block, dim=-1, dtype=torch.float64)
    if block.shape[-1] == 0:
        return block.new_zeros(block.shape[:-1])
    largest = torch.linalg.vector_norm(block, torch.inf, dim=-1)
    scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    return torch.linalg.vector_norm(block / scale.unsqueeze(-1), dim=-1) * scale


def rows_of(tensor: Tensor) -> Tensor:
    """[N, ...] as real numbers [N, S]; a vector is one sample, a complex number two entries."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.reshape(1, -1) if tensor.dim() < 2 else real.flatten(1)


def within_float32(values: Tensor) -> Tensor:
    """float64 values that float32 can hold: what is neither 0 nor infinite does not become so by rounding."""
    size = values.abs()
    held = size.clamp(FLOAT32_TINY, FLOAT32_MAX).copysign(values)
    return torch.where((size > 0) & values.isfinite(), held, values)
