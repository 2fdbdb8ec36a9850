"""Sequences of unequal length in one padded block: which entries are real, and how to turn a sequence round."""

import torch
from torch import Tensor


def valid(lengths: Tensor, T: int) -> Tensor:
    """True where a timestep belongs to the sequence: lengths [N] to [T, N]."""
    return torch.arange(T, device=lengths.device).unsqueeze(1) < lengths


def within(block: Tensor, lengths: Tensor) -> Tensor:
    """``block`` [T, N, S] with 0 past the end of each sequence, whatever is there."""
    return block.masked_fill(~valid(lengths, len(block)).unsqueeze(-1), 0)


def flip(block: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sequence in reverse, padding left where it is: [T, N, S] to [T, N, S]. Its own inverse."""
    if lengths is None:
        return block.flip(0)
    T = len(block)
    t = torch.arange(T, device=block.device).unsqueeze(1)
    source = torch.where(t < lengths, lengths - 1 - t, t)
    return block.gather(0, source.unsqueeze(-1).expand_as(block))


def followed(block: Tensor, lengths: Tensor | None) -> Tensor:
    """The entries before the last one, as the timesteps behind them start from them: [T, N, S] to [T-1, N, S], 0 where
    the next timestep is past the end, so that a NaN in the last state does not meet the zeros of the padding."""
    if lengths is None:
        return block[:-1]
    return block[:-1].masked_fill(~valid(lengths, len(block))[1:].unsqueeze(-1), 0)


def last(block: Tensor, lengths: Tensor | None) -> Tensor:
    """The entry of each sequence's last timestep: [T, N, S] to a fresh [N, S]."""
    if lengths is None:
        return block[-1].clone()
    return block.gather(0, (lengths - 1).view(1, -1, 1).expand(1, *block.shape[1:])).squeeze(0)


def add_at_last(block: Tensor, value: Tensor, lengths: Tensor | None) -> Tensor:
    """``block`` with ``value`` [N, S] added where each sequence ends; a fresh [T, N, S]."""
    block = block.clone()
    if lengths is None:
        block[-1] += value
        return block
    index = (lengths - 1).view(1, -1, 1).expand(1, *block.shape[1:])
    return block.scatter_add_(0, index, value.unsqueeze(0).to(block.dtype))
