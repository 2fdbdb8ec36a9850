"""Tensors whose memory may be gone: those of sharded training are freed between the passes."""

from collections.abc import Iterable

from torch import Tensor
from torch.distributed.tensor import DTensor

from graddiag.errors import UnsupportedError


def check_readable(where: str, tensors: Iterable[Tensor | None]) -> None:
    """Raises UnsupportedError for a tensor without its data: reading it would end the process."""
    for tensor in tensors:
        if tensor is not None and tensor.numel() and not isinstance(tensor, DTensor) and _is_freed(tensor):
            raise UnsupportedError(
                f"module {where or '(model)'!r}: the memory of its weights was freed before they could be read, as "
                f"FSDP frees it between the passes. {SHARDED}"
            )


def check_whole(parameters: Iterable[tuple[str, Tensor]]) -> None:
    """Raises UnsupportedError for a parameter that is a shard, of which graddiag sees a part alone."""
    for name, parameter in parameters:
        if isinstance(parameter, DTensor):
            raise UnsupportedError(
                f"parameter {name!r} is a DTensor (FSDP or tensor parallel): the norm of a shard is not that of "
                f"the gradient. {SHARDED}"
            )
        check_readable(name, [parameter])


SHARDED = "Watch the model without sharding, or with DistributedDataParallel."


def _is_freed(tensor: Tensor) -> bool:
    return tensor.untyped_storage().size() == 0 and not tensor.is_meta
