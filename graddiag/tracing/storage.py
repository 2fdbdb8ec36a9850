"""Tensors that are shards of a larger one, and tensors whose memory may be gone: both come with sharded training.

Nothing in here communicates: a norm over shards would be a collective, and one that a single rank calls waits for ever.
"""

import sys
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from graddiag.errors import UnsupportedError


def check_readable(where: str, tensors: Iterable[Tensor | None]) -> None:
    """Raises UnsupportedError for a tensor without its data: reading it would end the process."""
    for tensor in tensors:
        if tensor is not None and tensor.numel() and not is_shard(tensor) and _is_freed(tensor):
            raise UnsupportedError(
                f"module {where or '(model)'!r}: the memory of its weights was freed before they could be read, as "
                f"FSDP frees it between the passes. {_WAY_OUT}"
            )


def check_measurable(parameters: Iterable[tuple[str, Tensor]]) -> None:
    """Raises UnsupportedError for a parameter whose entries are in no rank: partial sums, or memory that is freed."""
    for name, parameter in parameters:
        if is_shard(parameter) and any(each.is_partial() for each in _placements(parameter)):
            raise UnsupportedError(f"parameter {name!r} is a DTensor of partial sums: no rank has its values.")
        check_readable(name, [parameter])


def check_flat(name: str, module: nn.Module) -> None:
    """Raises UnsupportedError for FSDP1, whose parameters are pieces of one flat tensor."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is not None and isinstance(module, fsdp.FullyShardedDataParallel):
        raise UnsupportedError(
            f"module {name or '(model)'!r} is a FullyShardedDataParallel (FSDP1), whose parameters are pieces of a "
            f"flat tensor. {_WAY_OUT}"
        )


def is_shard(tensor: Tensor) -> bool:
    """Whether it is a DTensor. There is none before their module is imported, which takes a second of CPU time."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def own_entries(tensor: Tensor) -> Tensor:
    """The entries that this rank counts: its shard of a DTensor, and of one with replicas the first one alone.

    Taken over all ranks they are the whole tensor, each entry once. Any other tensor is returned as it is.
    """
    if not is_shard(tensor):
        return tensor
    with torch.no_grad():
        local: Tensor = tensor.to_local()  # type: ignore[attr-defined]
    return local if _is_counted(tensor) else local.new_zeros(0)


def whole_weight(parameter: Tensor) -> Tensor | None:
    """The parameter, if all of it is in this rank; None of a shard that is a part."""
    own = own_entries(parameter)
    return own if own.shape == parameter.shape else None


def has_entry(tensor: Tensor) -> bool:
    """Whether an entry in this rank is not 0; a synchronisation."""
    return bool(own_entries(tensor).any())


_WAY_OUT = "Use fully_shard (FSDP2), DistributedDataParallel, or no sharding."


def _placements(tensor: Any) -> tuple[Any, ...]:
    return tuple(tensor.placements)


def _is_counted(tensor: Any) -> bool:
    """Whether this rank is the first one of those that hold the same entries."""
    places = tensor.device_mesh.get_coordinate()
    if places is None:
        return False
    return all(place == 0 for place, each in zip(places, tensor.placements, strict=True) if each.is_replicate())


def _is_freed(tensor: Tensor) -> bool:
    return tensor.untyped_storage().size() == 0 and not tensor.is_meta
