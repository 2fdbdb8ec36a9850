"""What ``capture`` hears of a model: which modules, layers and calls, and how it says what it did not."""

from types import ModuleType

import pytest
import torch
from torch import nn

import graddiag
from graddiag.errors import SettingError, UnsupportedError
from tests.tracing.models import CELLS, HOMES, H, N, Stack, T, batch, captured, hooks_of, single

either_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
every_cell = pytest.mark.parametrize("cell", CELLS)


@either_home
@every_cell
def test_several_modules_by_qualified_name_in_the_order_in_which_they_ran(home: ModuleType, cell: str) -> None:
    cap = captured(Stack(home, cell), batch())
    assert [tuple(trace.key) for trace in cap.traces] == [
        ("encoder.rnn", 0, "forward", 0),
        ("encoder.rnn", 1, "forward", 0),
        ("decoder", 0, "forward", 0),
        ("decoder", 0, "reverse", 0),
    ]
    assert cap.trace(module="decoder", direction="reverse").direction == "reverse"
    assert all(trace.h.shape == (T, N, H) for trace in cap.traces)


@either_home
def test_calls_of_one_module_are_counted(home: ModuleType) -> None:
    rnn = single(home, "GRU")
    with graddiag.capture(rnn) as cap:
        outputs = [rnn(factor * batch())[0] for factor in (1, 2, 3)]
        (outputs[0] + outputs[2]).square().sum().backward()
    assert [trace.call for trace in cap.traces] == [0, 1, 2]
    assert [trace.grad_h is not None for trace in cap.traces] == [True, False, True]
    torch.testing.assert_close(cap.trace(call=2).h, outputs[2], rtol=0, atol=1e-15)


@either_home
def test_what_the_loss_does_not_reach_has_states_and_no_gradients(home: ModuleType) -> None:
    model = Stack(home)
    with graddiag.capture(model) as cap:
        model.decoder(torch.randn(T, N, H, dtype=torch.float64))
        model.encoder["rnn"](batch())[0].sum().backward()

    for direction in ("forward", "reverse"):
        trace = cap.trace(module="decoder", direction=direction)
        assert trace.grad_h is trace.grad_a is trace.grad_c is trace.sent_h is None
        assert trace.h.any()
        assert set(trace.gates) == set("ifgo")
        assert "no gradient reached it" in repr(trace)
    assert cap.trace(module="encoder.rnn").grad_h.any()


@either_home
def test_passes_without_gradients_are_not_heard(home: ModuleType) -> None:
    rnn = single(home)
    with graddiag.capture(rnn) as cap:
        with torch.no_grad():
            rnn(batch())
        with torch.inference_mode():
            rnn(batch())
        rnn(batch())[0].sum().backward()
    assert [trace.call for trace in cap.traces] == [0]


@either_home
def test_an_update_inside_the_with(home: ModuleType) -> None:
    """A whole training step inside, and a call whose output goes nowhere: the states are those before the update."""
    rnn = single(home)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
    expected = captured(rnn, batch()).trace()
    rnn.zero_grad()
    with graddiag.capture(rnn) as cap:
        rnn(batch())[0].square().sum().backward()
        rnn(2 * batch())
        optimizer.step()
    torch.testing.assert_close(cap.trace().gates, expected.gates, rtol=1e-13, atol=0)
    torch.testing.assert_close(cap.trace().grad_a, expected.grad_a, rtol=1e-13, atol=0)


@either_home
@every_cell
def test_two_captures_at_once_hear_the_same(home: ModuleType, cell: str) -> None:
    model = Stack(home, cell)
    alone = captured(model, batch())
    with graddiag.capture(model) as outer:
        inner = captured(model, batch())
    for cap in (inner, outer):
        assert [trace.key for trace in cap.traces] == [trace.key for trace in alone.traces]
        for trace, expected in zip(cap.traces, alone.traces, strict=True):
            torch.testing.assert_close(trace.grad_h, expected.grad_h, rtol=1e-12, atol=0)


@either_home
def test_a_part_of_the_model_alone(home: ModuleType) -> None:
    model = Stack(home)
    with graddiag.capture(model.decoder) as cap:
        model(batch()).square().sum().backward()
    assert [trace.module for trace in cap.traces] == ["", ""]
    assert cap.trace(direction="reverse").grad_h.any()


@either_home
@pytest.mark.parametrize("where", ["in the forward pass", "after it"])
def test_an_error_of_the_user_passes_unchanged_and_leaves_no_hook(home: ModuleType, where: str) -> None:
    model = Stack(home)
    error = ValueError("the user's own")

    def fail(*_: object) -> None:
        raise error

    if where == "in the forward pass":
        handle = model.decoder.register_forward_pre_hook(fail)
    with pytest.raises(ValueError, match="the user's own") as caught, graddiag.capture(model):
        model(batch())
        fail()
    assert caught.value is error
    if where == "in the forward pass":
        handle.remove()
    assert hooks_of(model) == 0
    expected = captured(Stack(home), batch())
    assert [t.key for t in captured(model, batch()).traces] == [t.key for t in expected.traces]


@either_home
def test_a_wrong_shape_is_refused_as_without_capture(home: ModuleType) -> None:
    rnn = single(home)
    with pytest.raises(RuntimeError, match=r"input.size\(-1\) must be equal to input_size. Expected 3, got 7"):
        captured(rnn, torch.zeros(5, 2, 7, dtype=torch.float64))
    assert hooks_of(rnn) == 0
    assert captured(rnn, batch()).trace().grad_h.any()


def test_no_hook_before_or_after() -> None:
    model = Stack()
    cap = graddiag.capture(model)
    assert hooks_of(model) == 0
    with cap:
        assert hooks_of(model) > 0
    assert hooks_of(model) == 0
    assert cap.traces == ()


def test_a_model_without_a_recurrent_layer_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"capture\(Sequential\): found no torch.nn.RNN, LSTM or GRU"):
        graddiag.capture(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))


def test_a_trace_that_does_not_exist() -> None:
    cap = captured(Stack(), batch())
    with pytest.raises(SettingError, match=r"name one of \['decoder', 'encoder.rnn'\]"):
        cap.trace()
    with pytest.raises(SettingError, match=r"module='decoder', layer=3.*not captured. Captured: 'encoder.rnn' layer 0"):
        cap.trace(module="decoder", layer=3)
    with graddiag.capture(single()) as nothing:
        pass
    with pytest.raises(SettingError, match="nothing; did the forward pass run inside the with"):
        nothing.trace()


def test_no_gradient_entry_of_a_trace_needs_one() -> None:
    trace = captured(single(), batch()).trace()
    assert repr(trace) == "Trace((model), layer 0, forward: lstm, T=6, N=4, H=5, with gradients)"
    assert trace.h.device == trace.grad_h.device
