"""What is measured of a cell without its equations is what autograd says of the unrolled cell."""

import pytest
import torch
from torch import Tensor, nn

from graddiag import schema
from graddiag.tracing.calls import Calls
from graddiag.tracing.custom import CellHooks, CellTrace, cell_signals, followed_cells
from tests.tracing.custom.cells import CASES, Case, State, T, inputs, loss_of, real, truth, unroll

PRECISION = {torch.float64: 1e-10, torch.float32: 2e-5}
each_case = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
each_fixed = pytest.mark.parametrize(
    "case", [pytest.param(case, id=name) for name, case in CASES.items() if not case.random]
)
each_dtype = pytest.mark.parametrize("dtype", PRECISION, ids=["float64", "float32"])


def made(case: Case, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return case.make().to(dtype)


def follow(case: Case, cell: nn.Module, x: Tensor, *, credit: bool = False) -> list[CellTrace]:
    """The traces of one pass through the cell, and of a loss at every timestep."""
    hooks = CellHooks(cell, followed_cells(cell, {cell: case.settings}), lambda name, task: task(), Calls())
    hooks.start(credit=credit)
    loss_of(unroll(case, cell, x)).backward()
    traces = hooks.take()
    hooks.close()
    return traces


def norms(states: list[State], parts: slice) -> Tensor:
    return torch.stack([torch.cat([real(part).flatten() for part in s[parts]]).norm() for s in states]).double()


@each_fixed
@each_dtype
def test_gradients_and_gain(case: Case, dtype: torch.dtype) -> None:
    (trace,) = follow(case, made(case, dtype), inputs(dtype))
    exact = truth(case, made(case, dtype).double(), inputs(dtype).double())
    found = cell_signals(trace).timesteps
    close = {"rtol": PRECISION[dtype], "atol": 0.0}
    torch.testing.assert_close(found[schema.GRAD_H], norms(exact.total, slice(1)), **close)
    torch.testing.assert_close(found[schema.TRANSPORT_GAIN], exact.gain.double(), **close)
    # a difference of two gradients is known to the precision of the larger one
    left = (found[schema.GRAD_H_DIRECT] - norms(exact.immediate, slice(1))).abs()
    assert bool((left <= PRECISION[dtype] * found[schema.GRAD_H]).all())
    if len(case.begin) > 1:
        torch.testing.assert_close(found[schema.GRAD_C], norms(exact.total, slice(1, None)), **close)
    assert not cell_signals(trace).missing[schema.TRANSPORT_GAIN].any()


@each_fixed
def test_the_credit_matrix(case: Case) -> None:
    (trace,) = follow(case, made(case, torch.float64), inputs(torch.float64), credit=True)
    exact = truth(case, made(case, torch.float64), inputs(torch.float64))
    assert trace.at == tuple(range(T))
    torch.testing.assert_close(trace.credit, exact.rows.double(), rtol=1e-9, atol=1e-14, equal_nan=True)
