"""Nothing stays behind: no graph, no tensor, no hook, whether or not Python's cyclic collector has run."""

import gc
import weakref
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

import graddiag
from graddiag.tracing import ModuleHooks
from tests.tracing.models import CELLS, HOMES, H, N, Stack, batch, hooks_of, single

either_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
every_cell = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """Reference counts alone: what only the collector frees grows for as long as it does not run."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def tensors() -> list[torch.Tensor]:
    return [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]


@either_home
@every_cell
def test_captures_in_a_row_leave_no_tensor(home: ModuleType, cell: str) -> None:
    model, counts = Stack(home, cell), []
    for _ in range(3):
        with graddiag.capture(model) as cap:
            model(batch()).square().sum().backward()
        assert len(cap.traces) == 4
        del cap
        model.zero_grad(set_to_none=True)
        counts.append(len(tensors()))
    assert len(set(counts)) == 1, counts
    assert hooks_of(model) == 0


@either_home
@every_cell
def test_kept_traces_do_not_keep_the_graph(home: ModuleType, cell: str) -> None:
    """The node that the input came from goes with the result, although the traces are alive."""
    rnn, x = single(home, cell), batch().requires_grad_()
    with graddiag.capture(rnn) as cap:
        hidden = x.sin()
        alive = weakref.ref(hidden)
        output, state = rnn(hidden)
        output.square().sum().backward()
        del hidden, output, state
    assert alive() is None
    assert cap.trace().grad_h.grad_fn is None


@either_home
def test_a_graph_that_is_dropped_without_backward_is_freed(home: ModuleType) -> None:
    rnn, x = single(home, num_layers=2), batch().requires_grad_()
    hooks = ModuleHooks(rnn, lambda _, task: task())
    before = len(tensors())
    for _ in range(3):
        hooks.start()
        rnn(x.sin())
        assert hooks.take() == []
    hooks.close()
    assert len(tensors()) == before
    assert hooks_of(rnn) == 0


@either_home
@every_cell
def test_an_evaluation_with_gradients_on_costs_its_final_states_alone(home: ModuleType, cell: str) -> None:
    """They are kept until the step ends, since a later call may carry on from them; all that has T timesteps goes."""
    rnn, x = single(home, cell, num_layers=2), batch(timesteps=50)
    hooks = ModuleHooks(rnn, lambda _, task: task())
    hooks.start()
    rnn(x)
    before = sum(tensor.numel() for tensor in tensors())
    for _ in range(5):
        rnn(x)
    assert sum(tensor.numel() for tensor in tensors()) - before <= 5 * 2 * 2 * N * H
    rnn(x)[0].sum().backward()
    assert [(trace.layer, trace.call) for trace in hooks.take()] == [(0, 0), (1, 0)]
    hooks.close()


@either_home
def test_a_loss_that_lives_on_keeps_nothing_of_ours(home: ModuleType) -> None:
    """A history of losses with their graphs is the user's leak; ours does not come on top."""
    rnn = single(home)
    hooks = ModuleHooks(rnn, lambda _, task: task())
    history = []
    hooks.start()
    loss = rnn(batch())[0].square().sum()
    loss.backward()
    (trace,) = hooks.take()
    alive = weakref.ref(trace.gates["f"])
    del trace
    history.append(loss)
    assert alive() is None
    hooks.close()
