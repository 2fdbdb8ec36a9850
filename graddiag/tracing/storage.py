"""Tensors whose memory may be gone: those of sharded training are freed between the passes."""

import sys
from collections.abc import Iterable

from torch import Tensor

from graddiag.errors import UnsupportedError


def check_readable(where: str, tensors: Iterable[Tensor | None]) -> None:
    """Raises UnsupportedError for a tensor without its data: reading it would end the process."""
    for tensor in tensors:
        if tensor is not None and tensor.numel() and not is_shard(tensor) and _is_freed(tensor):
            raise UnsupportedError(
                f"module {where or '(model)'!r}: the memory of its weights was freed before they could be read, as "
                f"FSDP frees it between the passes. {SHARDED}"
            )


def check_whole(parameters: Iterable[tuple[str, Tensor]]) -> None:
    """Raises UnsupportedError for a parameter that is a shard, of which graddiag sees a part alone."""
    for name, parameter in parameters:
        if is_shard(parameter):
            raise UnsupportedError(
                f"parameter {name!r} is a DTensor (FSDP or tensor parallel): the norm of a shard is not that of "
                f"the gradient. {SHARDED}"
            )
        check_readable(name, [parameter])


def is_shard(tensor: Tensor) -> bool:
    """Whether it is a DTensor. There is none before their module is imported, which takes a second of CPU time."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


SHARDED = "Watch the model without sharding, or with DistributedDataParallel."


def _is_freed(tensor: Tensor) -> bool:
    return tensor.untyped_storage().size() == 0 and not tensor.is_meta
