"""From the device to the host in one transfer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Tree = Any
"""Nested dicts, lists and tuples of tensors and other values."""


def to_host(tree: Tree) -> Tree:
    """The same tree with every tensor as float64 on the host; one synchronisation, however many there are."""
    found: list[Tensor] = []
    map_tensors(tree, found.append)
    if not found:
        return tree
    device = found[0].device
    together = torch.cat([tensor.detach().reshape(-1).to(device, torch.float64) for tensor in found]).cpu()
    host = iter(together.split([tensor.numel() for tensor in found]))
    return map_tensors(tree, lambda tensor: next(host).view(tensor.shape))


def map_tensors(tree: Tree, change: Callable[[Tensor], Any]) -> Tree:
    """The tree with every tensor replaced by ``change(tensor)``, visited in a fixed order."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, dict):
        return {key: map_tensors(value, change) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [map_tensors(value, change) for value in tree]
    return tree
