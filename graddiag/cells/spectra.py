"""Singular values and eigenvalues of a recurrent weight, gate by gate."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BlockSpectrum:
    """Of one gate's block of W_hh, [H, P]: singular values, the largest first, float64; eigenvalues, the largest in
    size first, complex128, or None where the block is not square (a projection)."""

    singular: Tensor
    eigenvalues: Tensor | None


def block_spectra(w_hh: Tensor, hidden_size: int) -> list[BlockSpectrum]:
    """The spectrum of each gate's block of W_hh [G*H, P], in the order of its rows; all entries have to be finite.

    Neither is the transport gain: they know nothing of gates and slopes. The spectral radius is not a bound over a
    finite time either, the largest singular value is.
    """
    blocks = w_hh.detach().double().view(-1, hidden_size, w_hh.shape[-1])
    singular = torch.linalg.svdvals(blocks)
    if blocks.shape[-1] != blocks.shape[-2]:
        return [BlockSpectrum(values, None) for values in singular]
    values = torch.linalg.eigvals(blocks)
    order = values.abs().argsort(dim=-1, descending=True)
    return [BlockSpectrum(*pair) for pair in zip(singular, values.gather(-1, order), strict=True)]
