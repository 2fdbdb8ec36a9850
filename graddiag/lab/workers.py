"""The processes that trainings of this machine run in: forked from one that has imported what a training needs.

That one takes seconds to start; ``start`` begins with it while this process still imports and plans. Where there is no
fork, each worker is a new interpreter. torch is not imported here.
"""

from multiprocessing import forkserver, get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from typing import Final

_FORKED: Final = "forkserver"
# torch imports torch._dynamo when an optimizer is made; kernels are made ready when a model is watched
IMPORTED: Final = (
    *("torch", "torch._dynamo", "pandas", "pyarrow.parquet", "pydantic"),
    *("graddiag.lab.training", "graddiag.kernels.warm"),
)


def context() -> BaseContext:
    """How workers are started. What is not installed is not imported."""
    if _FORKED not in get_all_start_methods():
        return get_context("spawn")
    found = get_context(_FORKED)
    found.set_forkserver_preload(list(IMPORTED))
    return found


def start() -> None:
    """Starts the process that workers are forked from, if it does not run yet, and waits for nothing."""
    if context().get_start_method() == _FORKED:
        forkserver.ensure_running()
