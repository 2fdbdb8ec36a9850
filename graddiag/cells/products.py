"""Products of matrices: through oneDNN where torch's own recurrent layers use it, and through ``torch.mm`` elsewhere.

For float32 on the CPU ``torch.mm`` calls the BLAS that torch was built with, which is half as fast as oneDNN on some
processors. Both add up in float32.
"""

from functools import cache
from typing import Any, Final

import torch
from torch import Tensor

from graddiag.kernels import is_plain

# multiplications from which on the product is worth the longer way into oneDNN
_ENOUGH: Final = 1 << 20


def product(left: Tensor, right: Tensor) -> Tensor:
    """left right: [M, K] and [K, O] to a fresh [M, O]."""
    return _linear(left, right.t(), None) if _is_for_onednn(left, right) else left @ right


def product_with_bias(left: Tensor, right: Tensor, added: Tensor) -> Tensor:
    """left right + added: [M, K], [K, O] and [O] to a fresh [M, O]."""
    return _linear(left, right.t(), added) if _is_for_onednn(left, right) else torch.addmm(added, left, right)


def outer_product(left: Tensor, right: Tensor) -> Tensor:
    """left^T right: [M, A] and [M, B] to a fresh [A, B]."""
    # oneDNN is quicker this way round
    return _linear(right.t(), left.t(), None).t().contiguous() if _is_for_onednn(left.t(), right) else left.t() @ right


class RepeatedProduct:
    """Products of many matrices [rows, K] with one, ``right`` [K, O], which is laid out for them once."""

    def __init__(self, right: Tensor, rows: int) -> None:
        self._right = right
        self._packed = None
        if _is_for_onednn(right.new_empty(0).expand(rows, 0), right, rows * right.numel()):
            self._packed = torch.ops.mkldnn._reorder_linear_weight(right.t(), rows)

    def into(self, out: Tensor, left: Tensor) -> None:
        """Writes left right into ``out`` [rows, O]."""
        if self._packed is None:
            torch.mm(left, self._right, out=out)
        else:
            out.copy_(_linear(left, self._packed, None))

    def add_to(self, out: Tensor, left: Tensor) -> None:
        """Adds left right to ``out`` [rows, O]."""
        if self._packed is None:
            out.addmm_(left, self._right)
        else:
            out.add_(_linear(left, self._packed, None))


def _is_for_onednn(left: Tensor, right: Tensor, multiplications: int | None = None) -> bool:
    if multiplications is None:
        multiplications = left.shape[0] * right.numel()
    return (
        multiplications >= _ENOUGH
        and bool(torch.backends.mkldnn.enabled)
        and all(is_plain(each) for each in (left, right))
        and not torch.compiler.is_compiling()
        and _has_onednn()
    )


def _linear(left: Tensor, weight: Tensor, added: Tensor | None) -> Tensor:
    """left weight^T (+ added), in the form that the compiler of torch calls it."""
    linear: Any = torch.ops.mkldnn._linear_pointwise.default
    return linear(left, weight, added, "none", [], "")


@cache
def _has_onednn() -> bool:
    """Whether this torch has oneDNN, and its product gives what ``torch.mm`` gives."""
    if not torch.backends.mkldnn.is_available():
        return False
    left, right = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(3, 4)
    try:
        with torch.no_grad():
            packed = torch.ops.mkldnn._reorder_linear_weight(right.t(), 2)
            found = (_linear(left, right.t(), torch.zeros(4)), _linear(left, packed, None))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return all(torch.equal(each, left @ right) for each in found)
