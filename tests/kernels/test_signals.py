"""The sums behind the signals against brute force in float64."""

import pytest
import torch
from torch import Tensor

from graddiag.kernels import arrays

pytest.importorskip("numba")

from graddiag.kernels import signals


def block(*shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * scale


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0, equal_nan=True)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
@pytest.mark.parametrize("width", [1, 7, 300])
def test_sample_norms_and_dots(width: int, scale: float) -> None:
    rows, found = block(6, width, scale=scale), torch.empty(6, dtype=torch.float64)
    signals.sample_norms(*arrays(rows, found))
    close(found, rows.double().norm(dim=1))

    others = block(6, width)
    signals.dots(*arrays(rows, others, found))
    close(found, (rows.double() * others.double()).sum(1)) if width == 1 else torch.testing.assert_close(
        found, (rows.double() * others.double()).sum(1), rtol=1e-9, atol=1e-15 * scale
    )


@pytest.mark.parametrize("N", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("widths", [(1, 1), (12, 5), (300, 129)])
@pytest.mark.parametrize("scale", [1.0, 1e-30])
def test_outer_norms(N: int, widths: tuple[int, int], scale: float) -> None:
    delta, before = block(4, N, widths[0], scale=scale), block(4, N, widths[1])
    found = torch.empty(4, dtype=torch.float64)
    signals.outer_norms(*arrays(delta, before, found))
    torch.testing.assert_close(found, (delta.double().mT @ before.double()).flatten(1).norm(dim=1), rtol=1e-11, atol=0)


def test_outer_norms_of_samples_that_cancel() -> None:
    delta, before = block(3, 1, 40).repeat(1, 2, 1), block(3, 1, 30).repeat(1, 2, 1)
    delta[:, 1] *= -1 + 1e-4
    found = torch.empty(3, dtype=torch.float64)
    signals.outer_norms(*arrays(delta, before, found))
    torch.testing.assert_close(found, (delta.double().mT @ before.double()).flatten(1).norm(dim=1), rtol=1e-6, atol=0)


def test_nan_and_inf_stay_at_their_timestep() -> None:
    delta, before = block(3, 4, 20), block(3, 4, 10)
    delta[1, 2, 3] = torch.nan
    found, norms = torch.empty(3, dtype=torch.float64), torch.empty(12, dtype=torch.float64)
    signals.outer_norms(*arrays(delta, before, found))
    assert found.isnan().tolist() == [False, True, False]
    delta[1, 2, 3] = torch.inf
    signals.sample_norms(*arrays(delta.flatten(0, 1), norms))
    assert norms.isinf().nonzero().flatten().tolist() == [6]


@pytest.mark.parametrize("padded", [False, True])
def test_gate_statistics(padded: bool) -> None:
    T, N, H = 4, 5, 9
    gates, real = torch.rand(T, N, 2 * H), torch.ones(T, N, dtype=torch.bool)
    if padded:
        real[2:, 3] = real[1:, 4] = False
    low, high, found = torch.tensor([0.1, 0.4]), torch.tensor([0.9, 0.6]), torch.empty(T, 2, 4, dtype=torch.float64)
    signals.gate_statistics(*arrays(gates, real, low, high, found))

    for t in range(T):
        for gate in range(2):
            values = gates[t, real[t], gate * H : (gate + 1) * H]
            exact = values.double()
            expected = [exact.mean(), exact.std(correction=0), (values < low[gate]).double().mean()]
            close(found[t, gate], torch.stack([*expected, (values > high[gate]).double().mean()]))
