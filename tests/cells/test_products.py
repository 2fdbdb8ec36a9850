"""Products of matrices, through oneDNN and through torch.mm, against float64."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import graddiag
import graddiag.nn
from graddiag.cells import products
from graddiag.cells.products import RepeatedProduct, outer_product, product, product_with_bias
from tests.reference.oracle import assert_exact, unroll

pytestmark = pytest.mark.usefixtures("either_path")

LARGE, SMALL = (64, 192, 160), (3, 5, 4)
KINDS = {"RNN": "rnn_tanh", "LSTM": "lstm", "GRU": "gru"}


@pytest.fixture(params=[True, False], ids=["onednn", "mm"])
def onednn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    if request.param and not products._has_onednn():
        pytest.skip("this torch has no oneDNN")
    if not request.param:
        monkeypatch.setattr(products, "_has_onednn", lambda: False)
    with torch.no_grad():
        yield request.param


def matrices(M: int, K: int, O: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(M, K, dtype=dtype), torch.randn(K, O, dtype=dtype), torch.randn(O, dtype=dtype)


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert found.is_contiguous()
    assert (found.double() - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize("size", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products(onednn: bool, size: tuple[int, int, int], dtype: torch.dtype) -> None:
    left, right, added = matrices(*size, dtype)
    exact = left.double() @ right.double()

    assert products._is_for_onednn(left, right) == (onednn and size == LARGE and dtype == torch.float32)
    assert_close(product(left, right), exact)
    assert_close(product(left, right.t().contiguous().t()), exact)
    assert_close(product_with_bias(left, right, added), exact + added.double())
    assert_close(outer_product(left.t().contiguous(), right), exact)


@pytest.mark.parametrize("size", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("transposed", [True, False])
def test_a_repeated_product(onednn: bool, size: tuple[int, int, int], transposed: bool) -> None:
    left, right, _ = matrices(*size)
    repeated = RepeatedProduct(right.t().contiguous().t() if transposed else right, len(left))
    exact, out = left.double() @ right.double(), torch.randn(len(left), right.shape[1])
    before = out.double()

    repeated.add_to(out, left)
    assert_close(out, before + exact)
    repeated.into(out, 2 * left)
    assert_close(out, 2 * exact)


def test_nan_and_inf_are_kept(onednn: bool) -> None:
    left, right, _ = matrices(*LARGE)
    left[3, 5], left[4, 6] = torch.nan, torch.inf
    found = product(left, right)

    assert found[3].isnan().all()
    assert found[4].isinf().all()
    assert found.isfinite().sum() == found.numel() - 2 * right.shape[1]


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_onednn_switched_off() -> None:
    left, right, _ = matrices(*LARGE)
    with torch.backends.mkldnn.flags(enabled=False):
        assert not products._is_for_onednn(left, right)


def test_autograd_follows_a_product() -> None:
    left, right, _ = (each.requires_grad_() for each in matrices(*LARGE))
    product(left, right).sum().backward()

    assert_close(left.grad, right.detach().double().sum(1).expand_as(left))


def test_a_torch_without_the_operator_of_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> Tensor:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")

    monkeypatch.setattr(products, "_linear", absent)
    products._has_onednn.cache_clear()
    left, right, _ = matrices(*LARGE)
    try:
        assert not products._has_onednn()
        assert torch.equal(product(left, right), left @ right)
    finally:
        products._has_onednn.cache_clear()


@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("home", [nn, graddiag.nn], ids=["torch.nn", "graddiag.nn"])
def test_layers_large_enough_for_onednn(onednn: bool, home: object, cell: str) -> None:
    """The traces of float32 layers against float64 autograd through the unrolled network."""
    torch.manual_seed(0)
    layer, x = getattr(home, cell)(48, 128), torch.randn(6, 64, 48)
    with torch.enable_grad():
        truth = unroll(
            KINDS[cell], {n: p.detach().double().requires_grad_() for n, p in layer.named_parameters()}, x.double()
        )
        (truth.output**2).sum().backward()
        with graddiag.capture(layer) as cap:
            (layer(x)[0] ** 2).sum().backward()

    trace, tape = cap.trace(), truth.tapes[0, "forward"]
    assert_exact(trace.h, tape.value("h"), 2e-6)
    assert_exact(trace.grad_h, tape.grad("h"), 1e-5)
    assert_exact(trace.grad_a, tape.grad("a"), 1e-5)
    assert_exact(trace.grad_w_hh.unsqueeze(0), tape.grad("w_hh").sum(0, keepdim=True), 1e-5)
