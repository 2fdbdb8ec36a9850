"""One run of several processes: rank 0 owns the run's folder, the others record into separate folders inside it."""

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Final

import torch.distributed as dist

from graddiag.errors import InputError

RANKS: Final = "ranks"
_WAIT = timedelta(seconds=60)
_order = itertools.count()


def rank() -> int:
    """This process's rank in the default process group; 0 where there is none."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def next_key() -> str:
    """A key of the next run to be watched, the same in every rank as long as they watch in the same order."""
    return f"graddiag/{next(_order)}"


def announce(key: str, path: Path) -> None:
    """Tells the other ranks, if any, where the run is; does not wait for them."""
    if dist.is_available() and dist.is_initialized():
        dist.distributed_c10d._get_default_store().set(key, str(path.resolve()))


def announced(key: str) -> Path:
    """Where rank 0 records.

    Raises:
        InputError: rank 0 did not watch a run within a minute.
    """
    store = dist.distributed_c10d._get_default_store()
    try:
        store.wait([key], _WAIT)
    except dist.DistStoreError as error:
        raise InputError(
            f"watch() in rank {rank()}: rank 0 watches no run (waited {_WAIT.seconds} s). Call watch() in every rank, "
            "or in rank 0 alone."
        ) from error
    return Path(store.get(key).decode())
