"""One run of several processes: rank 0 owns the run's folder, the others record into separate folders inside it.

Rank 0 counts the runs that it watches under one name in the store that the ranks share, and says of each where it is,
and when it is closed. Another rank takes the first run of that name that it has not taken and that is not closed: what
rank 0 has watched alone is closed by then, or has another name.
"""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

from graddiag.errors import InputError

_WAIT = timedelta(seconds=60)


def has_ranks() -> bool:
    """Whether this process is one of a process group, be it the only one."""
    return _is_distributed()


def rank() -> int:
    """This process's rank in the default process group; 0 where there is none."""
    return dist.get_rank() if _is_distributed() else 0


def announce(name: str, path: Path) -> str | None:
    """Tells the other ranks, if any, where the run ``name`` is, without waiting for them; the key of its end."""
    if not _is_distributed():
        return None
    store = _store()
    key = _key(name, store.add(f"graddiag/{name}/count", 1))
    store.set(key, str(path.resolve()))
    return key


def withdraw(key: str | None) -> None:
    """The run that was announced under ``key`` is closed."""
    if key is not None and _is_distributed():
        with suppress(RuntimeError):  # the process that held the store may be gone
            _store().set(f"{key}/closed", "")


def announced(name: str) -> Path:
    """Where rank 0 records the run ``name``.

    Raises:
        InputError: rank 0 did not watch a run of that name within a minute.
    """
    store, own = _store(), f"graddiag/{name}/taken by {rank()}"
    while True:
        key = _key(name, store.add(own, 0) + 1)
        try:
            store.wait([key], _WAIT)
        except dist.DistStoreError as error:
            raise InputError(
                f"watch(run={name!r}) in rank {rank()}: rank 0 watches no run of that name (waited {_WAIT.seconds} s). "
                "Call watch() with the same name in every rank, or in rank 0 alone."
            ) from error
        store.add(own, 1)
        if not store.check([f"{key}/closed"]):
            return Path(store.get(key).decode())


def _key(name: str, number: int) -> str:
    return f"graddiag/{name}/{number}"


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def _store() -> Any:
    return dist.distributed_c10d._get_default_store()
