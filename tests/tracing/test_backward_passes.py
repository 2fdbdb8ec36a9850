"""Backward passes of every kind: twice, in parts, through hooks and in-place changes of the user, failing half-way."""

from types import ModuleType

import pytest
import torch
from torch import Tensor

import graddiag
from graddiag.errors import UnsupportedError
from tests.tracing.models import CELLS, HOMES, batch, captured, single

either_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
every_cell = pytest.mark.parametrize("cell", CELLS)
GRADIENTS = ("grad_h", "grad_h_direct", "grad_a", "grad_a_hh", "sent_h", "grad_c", "sent_c")


def assert_gradients(found: graddiag.Trace, expected: graddiag.Trace, factor: float = 1.0) -> None:
    for name in GRADIENTS:
        value = getattr(expected, name)
        if value is not None:
            torch.testing.assert_close(getattr(found, name), factor * value, rtol=1e-11, atol=1e-13)


@either_home
@every_cell
def test_a_second_pass_through_the_same_graph_adds_up(home: ModuleType, cell: str) -> None:
    rnn = single(home, cell)
    once = captured(rnn, batch()).trace()
    with graddiag.capture(rnn) as cap:
        loss = rnn(batch())[0].square().sum()
        loss.backward(retain_graph=True)
        (2 * loss).backward()
    assert_gradients(cap.trace(), once, factor=3.0)


@either_home
@every_cell
def test_two_losses_in_two_passes_are_their_sum_in_one(home: ModuleType, cell: str) -> None:
    rnn = single(home, cell, bidirectional=True, num_layers=2)

    def losses() -> tuple[Tensor, Tensor]:
        output, state = rnn(batch())
        return output[2].square().sum(), torch.stack(state if cell == "LSTM" else (state,)).sin().sum()

    with graddiag.capture(rnn) as together:
        sum(losses()).backward()
    with graddiag.capture(rnn) as apart:
        first, second = losses()
        first.backward(retain_graph=True)
        second.backward()
    for found, expected in zip(apart.traces, together.traces, strict=True):
        assert_gradients(found, expected)


@either_home
@every_cell
@pytest.mark.parametrize("used", ["h_n", "c_n", "output[0]"])
def test_a_loss_on_one_result_alone(home: ModuleType, cell: str, used: str) -> None:
    if used == "c_n" and cell != "LSTM":
        used = "h_n"
    rnn = single(home, cell, num_layers=2)
    with graddiag.capture(rnn) as cap:
        output, state = rnn(batch())
        h_n, c_n = state if cell == "LSTM" else (state, state)
        {"h_n": h_n, "c_n": c_n, "output[0]": output[0]}[used].sum().backward()

    for layer in (0, 1):
        trace = cap.trace(layer=layer)
        direct = trace.grad_h_direct
        if used == "output[0]":
            assert not trace.grad_h[1:].any()
            assert (direct[0] == 1).all() if layer else direct[0].any()
        elif used == "h_n":
            assert (direct[-1] == 1).all() if layer else direct.any()
        else:
            assert (trace.grad_c_direct[-1] == 1).all()
            assert not trace.grad_c_direct[:-1].any()
            assert not direct.any() if layer else direct.any()


@either_home
@every_cell
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("change", [torch.relu_, lambda output: output.mul_(2), lambda output: output[1:3].zero_()])
def test_output_changed_in_place_after_the_layer(
    home: ModuleType, cell: str, batch_first: bool, change: object
) -> None:
    """torch.nn on the CPU allows it; what is traced is what the layer gave and the gradient of that."""
    rnn = single(home, cell, batch_first=batch_first, bidirectional=True)
    with graddiag.capture(rnn) as cap:
        output, _ = rnn(batch())
        change(output)
        output.square().sum().backward()
    with graddiag.capture(rnn) as expected:
        output = rnn(batch())[0].clone()
        change(output)
        output.square().sum().backward()
    for found, truth in zip(cap.traces, expected.traces, strict=True):
        torch.testing.assert_close(found.h, truth.h, rtol=1e-12, atol=1e-14)
        assert_gradients(found, truth)


@either_home
def test_output_changed_in_place_after_backward(home: ModuleType) -> None:
    rnn = single(home, bidirectional=True)
    expected = captured(rnn, batch())
    with graddiag.capture(rnn) as cap:
        output, (h_n, _) = rnn(batch())
        output.square().sum().backward()
        for tensor in (output, h_n):
            tensor.detach().zero_()
    for found, truth in zip(cap.traces, expected.traces, strict=True):
        torch.testing.assert_close(found.h, truth.h, rtol=0, atol=0)


@either_home
def test_initial_state_carried_in_one_buffer(home: ModuleType) -> None:
    """Truncated back-propagation that copies the final state into the buffer of the initial one."""
    rnn, buffer = single(home, "GRU"), torch.ones(1, 4, 5, dtype=torch.float64)
    with graddiag.capture(rnn) as cap:
        output, h_n = rnn(batch(), buffer)
        output.square().sum().backward()
        buffer.copy_(h_n.detach())
    assert (cap.trace().h0 == 1).all()


@pytest.mark.parametrize("what", ["weights", "h0"])
def test_inputs_of_a_frozen_layer_changed_before_backward_are_noticed(what: str) -> None:
    """Where autograd itself keeps nothing and so cannot tell; a wrong trace would be worse than none."""
    rnn, h0 = single(cell="RNN").requires_grad_(False), torch.zeros(1, 4, 5, dtype=torch.float64)
    with (
        pytest.raises(UnsupportedError, match=rf"module '\(model\)', layer 0: its {what} changed in place"),
        graddiag.capture(rnn),
    ):
        output, _ = rnn(batch().requires_grad_(), h0)
        with torch.no_grad():
            (rnn.weight_hh_l0 if what == "weights" else h0).add_(1)
        output.square().sum().backward(inputs=[output])


@either_home
@every_cell
def test_a_hook_of_the_user_that_changes_the_gradient_is_seen(home: ModuleType, cell: str) -> None:
    """Clipping the error vector inside back-propagation is done like this."""
    rnn = single(home, cell)
    with graddiag.capture(rnn) as cap:
        output, _ = rnn(batch())
        output.register_hook(lambda gradient: gradient.clamp(-0.1, 0.1))
        output.square().sum().backward()
    with graddiag.capture(rnn) as expected:
        output, _ = rnn(batch())
        output.backward((2 * output.detach()).clamp(-0.1, 0.1))
    assert_gradients(cap.trace(), expected.trace())


@either_home
def test_a_backward_that_fails_leaves_the_next_one_whole(home: ModuleType) -> None:
    rnn, x, failing = single(home), batch().requires_grad_(), True

    def fail_once(gradient: Tensor) -> None:
        if failing:
            raise ValueError("half-way")

    expected = captured(rnn, batch()).trace()
    x.register_hook(fail_once)
    with graddiag.capture(rnn) as cap:
        with pytest.raises(ValueError, match="half-way"):
            rnn(x)[0].square().sum().backward()
        failing = False
        rnn(x)[0].square().sum().backward()
    assert_gradients(cap.trace(call=1), expected)


@either_home
def test_create_graph_does_not_disturb(home: ModuleType) -> None:
    rnn = single(home)
    expected = captured(rnn, batch()).trace()
    with graddiag.capture(rnn) as cap:
        torch.autograd.grad(rnn(batch())[0].square().sum(), list(rnn.parameters()), create_graph=True)
    assert_gradients(cap.trace(), expected)
    assert not cap.trace().grad_h_direct.requires_grad
