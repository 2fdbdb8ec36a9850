"""Dtypes narrower than float32: bfloat16 models and autocast, and checkpointing, which runs the forward pass twice."""

from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import graddiag
from tests.reference.oracle import unroll
from tests.tracing.models import CELLS, HOMES, batch, captured, single

either_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
every_cell = pytest.mark.parametrize("cell", CELLS)
KINDS = {"RNN": "rnn_tanh", "LSTM": "lstm", "GRU": "gru"}


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def step(rnn: nn.RNNBase, x: Tensor, autocast: bool) -> list[Tensor]:
    rnn.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output, _ = rnn(x)
    output.float().square().sum().backward()
    return [output.detach(), *(p.grad for p in rnn.parameters())]


def truth_of(rnn: nn.RNNBase, x: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """h and total dL/dh in float64 from the same (rounded) weights and input."""
    exact = {name: p.detach().double().requires_grad_() for name, p in rnn.named_parameters()}
    truth = unroll(kind, exact, x.double())
    truth.output.square().sum().backward()
    tape = truth.tapes[0, "forward"]
    return tape.value("h"), tape.grad("h")


@either_home
@every_cell
def test_bfloat16_models(home: ModuleType, cell: str) -> None:
    """Same bits as without capture, and a trace in float32 that is as exact as bfloat16 states allow."""
    rnn, x = single(home, cell, torch.bfloat16), batch(torch.bfloat16)
    expected = step(rnn, x, autocast=False)
    with graddiag.capture(rnn) as cap:
        found = step(rnn, x, autocast=False)

    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    h, grad_h = truth_of(rnn, x, KINDS[cell])
    assert relative(cap.trace().h, h) < 0.02
    assert relative(cap.trace().grad_h, grad_h) < 0.03
    assert torch.equal(cap.trace().h.to(torch.bfloat16), found[0])


@either_home
@every_cell
def test_autocast(home: ModuleType, cell: str) -> None:
    rnn, x = single(home, cell, torch.float32), batch(torch.float32)
    try:
        expected = step(rnn, x, autocast=True)
    except RuntimeError as error:
        pytest.skip(f"torch itself cannot run it here: {error}")
    with graddiag.capture(rnn) as cap:
        found = step(rnn, x, autocast=True)

    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    h, grad_h = truth_of(rnn, x, KINDS[cell])
    assert cap.trace().h.dtype == torch.float32
    assert relative(cap.trace().h, h) < 0.02
    assert relative(cap.trace().grad_h, grad_h) < 0.03


@every_cell
def test_layers_of_graddiag_nn_keep_the_dtype_of_their_weights_under_autocast(cell: str) -> None:
    rnn, x = single(graddiag.nn, cell, torch.float32), batch(torch.float32)
    plain = step(rnn, x, autocast=False)
    assert all(torch.equal(a, b) for a, b in zip(step(rnn, x, autocast=True), plain, strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        assert rnn(x.bfloat16())[0].dtype == torch.float32


@either_home
@every_cell
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing(home: ModuleType, cell: str, reentrant: bool) -> None:
    """The forward pass runs again inside backward; the traces that a gradient reached are those without it."""
    rnn, x = single(home, cell, num_layers=2, dropout=0.3), batch().requires_grad_()
    torch.manual_seed(5)
    plain = captured(rnn, x)
    expected = [p.grad.clone() for p in rnn.parameters()]
    rnn.zero_grad()
    torch.manual_seed(5)
    with graddiag.capture(rnn) as cap:
        output, _ = checkpoint(rnn, x, use_reentrant=reentrant)
        output.square().sum().backward()

    assert all(torch.equal(p.grad, value) for p, value in zip(rnn.parameters(), expected, strict=True))
    reached = [trace for trace in cap.traces if trace.grad_h is not None]
    assert [trace.key for trace in reached] == [trace.key for trace in plain.traces]
    for found, truth in zip(reached, plain.traces, strict=True):
        torch.testing.assert_close(found.grad_h, truth.grad_h, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(found.gates, truth.gates, rtol=1e-12, atol=1e-14)


@either_home
def test_a_second_thread_that_runs_the_model_is_not_disturbed(home: ModuleType) -> None:
    """Serving from another thread while this one captures."""
    from concurrent.futures import ThreadPoolExecutor

    rnn = single(home)
    with torch.no_grad():
        expected = rnn(batch())[0]

    def serve() -> Tensor:
        with torch.no_grad():
            return rnn(batch())[0]

    with ThreadPoolExecutor(max_workers=1) as pool, graddiag.capture(rnn) as cap:
        served = [pool.submit(serve) for _ in range(20)]
        for _ in range(5):
            rnn.zero_grad()
            rnn(batch())[0].square().sum().backward()
        outputs = [future.result() for future in served]
    assert all(torch.equal(output, expected) for output in outputs)
    assert [trace.call for trace in cap.traces] == list(range(5))
