"""``run_layer``, whose backward pass is written by hand, against finite differences."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from graddiag.cells import CellKind, Weights
from graddiag.cells.function import Direction, run_layer
from graddiag.cells.sequences import valid

pytestmark = pytest.mark.usefixtures("either_path")

T, N, I, H = 4, 2, 2, 3
KINDS: list[CellKind] = ["rnn_tanh", "rnn_relu", "rnn_sigmoid", "rnn_identity", "lstm", "gru"]
GATES = {"lstm": 4, "gru": 3}
LENGTHS = [pytest.param(None, id="full"), pytest.param([4, 2], id="4-2"), pytest.param([1, 3], id="1-3")]


def leaves(kind: CellKind, proj: int, bias: bool) -> list[Tensor]:
    """x, h0, (c0,) and the weights in the order of ``Weights``."""
    generator = torch.Generator().manual_seed(0)
    out, G = proj or H, GATES.get(kind, 1)
    shapes = [(T, N, I), (N, out), *([(N, H)] if kind == "lstm" else []), (G * H, I), (G * H, out)]
    shapes += [(G * H,)] * (2 if bias else 0) + ([(out, H)] if proj else [])
    return [torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes]


def layer(
    kind: CellKind, direction: Direction, lengths: list[int] | None, *, bias: bool = True, whole: bool = False
) -> Callable[..., tuple[Tensor, ...]]:
    """The layer as a function of its leaves; gives h at the real entries (or the ``whole`` block), h_n and c_n."""
    sizes = None if lengths is None else torch.tensor(lengths)

    def function(x: Tensor, h0: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        c0, *weights = others if kind == "lstm" else (None, *others)
        w_ih, w_hh, *rest = weights
        biases, projections = (rest[:2], rest[2:]) if bias else ([None, None], rest)
        h, h_n, c_n = run_layer(kind, 0, direction, x, (h0, c0), Weights(w_ih, w_hh, *biases, *projections), sizes)
        h = h if whole or sizes is None else h[valid(sizes, T)]
        return (h, h_n) if c_n is None else (h, h_n, c_n)

    return function


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_every_derivative(kind: CellKind, direction: Direction, lengths: list[int] | None) -> None:
    assert torch.autograd.gradcheck(layer(kind, direction, lengths), leaves(kind, 0, bias=True), fast_mode=True)


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_without_biases(kind: CellKind) -> None:
    function = layer(kind, "forward", None, bias=False)
    assert torch.autograd.gradcheck(function, leaves(kind, 0, bias=False))


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("bias", [True, False])
def test_projection_of_the_lstm(lengths: list[int] | None, bias: bool) -> None:
    function = layer("lstm", "reverse", lengths, bias=bias)
    assert torch.autograd.gradcheck(function, leaves("lstm", 2, bias), fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_padding_is_a_constant(kind: CellKind, direction: Direction) -> None:
    """Entries past the end are 0 in h; no gradient may come back from them."""
    function = layer(kind, direction, [4, 2], whole=True)
    assert not function(*leaves(kind, 0, bias=True))[0][2:, 1].any()
    assert torch.autograd.gradcheck(function, leaves(kind, 0, bias=True), fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_may_hold_anything(kind: CellKind) -> None:
    """What stands past the end of a sequence is never seen, though the recursion runs over it."""
    function, given = layer(kind, "forward", [4, 2]), leaves(kind, 0, bias=True)
    x = given[0].detach().clone()
    x[2:, 1] = 1e300
    one, other = function(*given), function(x, *given[1:])
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    total = sum(result.sum() for result in other)
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(total, given[1:]))
