"""A part of a gradient, as what is left of the whole when the other part is taken away."""

from typing import Final

import torch
from torch import Tensor

# a difference this close to 0, in units of epsilon and of the largest that was subtracted, is rounding alone
ROUNDING: Final = 16


def difference(whole: Tensor, part: Tensor, rounding: int = ROUNDING) -> Tensor:
    """``whole - part``, [N, S], with rounding noise set to 0, sample by sample: where nothing is left, exactly 0 is.

    The two are computed by different kernels, so they agree to the rounding of a sample's largest entries.
    """
    rest = whole - part
    largest = torch.maximum(whole.abs(), part.abs()).amax(-1, keepdim=True)
    return torch.where(rest.abs() <= rounding * torch.finfo(whole.dtype).eps * largest, 0.0, rest)
