"""Compiled loops for float32 on the CPU, with the extra ``fast`` (numba); without it the plain code runs instead.

What a kernel computes is defined by the plain code beside its call, and every test of exactness runs on both. A module
of kernels takes NumPy arrays that share their memory with tensors. It is imported, and compiled or read from numba's
cache, when it is first asked for or by ``load``.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

Kernels = Literal["gru", "lstm", "rnn", "signals"]
ALL: Final[tuple[Kernels, ...]] = ("gru", "lstm", "rnn", "signals")

_PLAIN: Final = (Tensor, nn.Parameter)
_DTYPES: Final[dict[Kernels, tuple[torch.dtype, ...]]] = dict.fromkeys(ALL, (torch.float32,))


def load(*names: Kernels) -> None:
    """Makes kernels ready, where there are kernels: seconds once after installation, parts of a second later."""
    for name in names:
        _loaded(name)


def compiled(name: Kernels, *tensors: Tensor | None) -> Any:
    """The module of kernels, where it takes all of these tensors; None where the plain code has to run."""
    eligible = all(tensor is None or is_plain(tensor, _DTYPES[name]) for tensor in tensors)
    return _loaded(name) if eligible and not torch.compiler.is_compiling() else None


def arrays(*tensors: Tensor) -> tuple[Any, ...]:
    """The tensors as NumPy arrays, in the same memory; of one that is not contiguous a copy."""
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


def is_plain(tensor: Tensor, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> bool:
    """Whether it is of one of ``dtypes`` on the CPU, no subclass of a tensor, and not followed by autograd."""
    followed = tensor.requires_grad and torch.is_grad_enabled()
    return tensor.dtype in dtypes and tensor.device.type == "cpu" and type(tensor) in _PLAIN and not followed


@cache
def _loaded(name: Kernels) -> Any:
    if find_spec("numba") is None:
        return None
    import numba
    from numba.core.errors import NumbaError

    if numba.config.DISABLE_JIT:
        return None
    try:
        module = import_module(f"graddiag.kernels.{name}")
        module.warm_up()
    except (ImportError, NumbaError, OSError, RuntimeError):  # e.g. a numba that does not know this Python or NumPy
        return None
    return module
