"""How the kernels are compiled: with LLVM by numba, cached on disk, NaN and inf kept."""

import os
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# sums may be taken in any order, which is what vector instructions need; nothing is said of NaN and inf
_FAST_MATH: Final = {"contract", "nsz", "reassoc"}


def jit(function: Function) -> Function:
    """The function compiled for the types that it is called with first."""
    settings = {"error_model": "numpy", "fastmath": _FAST_MATH, "nogil": True}
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_folder(before))
    try:
        return numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # no folder that could hold the cache can be written to
        return numba.njit(**settings)(function)
    finally:
        numba.config.CACHE_DIR = before


@cache
def _folder(given: str) -> Path:
    """Where the cache is, by what all kernels are now: numba itself looks at the file of the one function alone."""
    own = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(own.glob("*.py")))
    if given:
        base = Path(given)
    elif os.access(own, os.W_OK):
        base = own / "__pycache__"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "graddiag")
    return base / f"kernels-{sha256(sources).hexdigest()[:16]}"
