"""How a state depends on earlier ones, and vectors sent back along the path, against ``torch.autograd.grad``."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from graddiag.errors import UnsupportedError
from graddiag.tracing.state_graph import MOST_NODES, StateGraph

N, H = 5, 4
MODULE = "cell"


def states() -> tuple[Tensor, Tensor]:
    """What two calls might have returned: an older state and the last one."""
    torch.manual_seed(0)
    older = torch.randn(N, H, dtype=torch.float64, requires_grad=True).tanh()
    return older, (older @ torch.randn(H, H, dtype=torch.float64)).tanh()


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def changed(h: Tensor) -> Tensor:
    h = h.clone()
    h[torch.tensor([True, False, True, False, False])] = 0.0
    return h


def attended(h: Tensor) -> Tensor:
    memory, project = numbers(N, 3, H), numbers(H, H)
    weights = torch.softmax(torch.einsum("nh,nkh->nk", h @ project, memory), -1)
    return torch.tanh(h + torch.einsum("nk,nkh->nh", weights, memory))


OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mask of samples": lambda h: h * torch.tensor([1.0, 0, 1, 1, 0]).unsqueeze(1),
    "mask of units": lambda h: h * (numbers(N, H) > 0),
    "mixture": lambda h: 0.3 * h + 0.7 * numbers(N, H),
    "where": lambda h: torch.where(numbers(N, 1) > 0, h, numbers(N, H)),
    "masked_fill": lambda h: h.masked_fill(numbers(N, 1) > 0, 0.0),
    "dropout": lambda h: F.dropout(h, 0.4),
    "clone": lambda h: h.clone(),
    "clamp": lambda h: h.clamp(-0.3, 0.3),
    "relu": lambda h: F.relu(h),
    "stack and index": lambda h: torch.stack([numbers(N, H), h])[1],
    "cat and narrow": lambda h: torch.cat([numbers(N, 2), h], 1)[:, 2:],
    "unbind": lambda h: torch.stack([h, 2 * h]).unbind(0)[1],
    "chunk": lambda h: torch.cat([h.chunk(2, 1)[1], numbers(N, 2)], 1),
    "order of samples": lambda h: h.index_select(0, torch.tensor([3, 1, 0, 4, 2])),
    "gather": lambda h: h.gather(1, torch.randint(0, H, (N, H))),
    "reset in place": changed,
    "attention": attended,
    "linear": lambda h: F.linear(
        h,
        numbers(
            H,
            H,
        ).requires_grad_(),
        numbers(H),
    ),
    "layer norm": lambda h: F.layer_norm(h, (H,)),
    "normalised": lambda h: h / h.norm(dim=1, keepdim=True),
    "broadcast": lambda h: h.mean(1, keepdim=True).expand(N, H) + h.sum(0),
    "transposed views": lambda h: h.unsqueeze(0).transpose(1, 2).reshape(H, N).t(),
    "einsum": lambda h: torch.einsum("nh,hk->nk", h, numbers(H, H)),
    "cast": lambda h: h.float().double() * 2,
    "used twice": lambda h: h * h + h.detach() * h,
    "scatter": lambda h: numbers(N, H).scatter(1, torch.randint(0, H, (N, 1)), h[:, :1]),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_vector_goes_back_through_an_operation_as_autograd_sends_it(operation: Callable[[Tensor], Tensor]) -> None:
    older, last = states()
    graph = StateGraph()
    graph.note(MODULE, "older", older)
    graph.note(MODULE, "last", last)
    given = operation(last)
    path = graph.path(MODULE, [given])
    assert path.sources == ["last"]
    assert (path.missing, path.direct) == (None, False)

    vector = numbers(*given.shape)
    (expected,) = torch.autograd.grad(given, last, vector, retain_graph=True)
    sent = path.send_back([vector])
    assert sent.keys() == {"last"}
    torch.testing.assert_close(sent["last"], expected, rtol=1e-12, atol=1e-14)
    # and once more: nothing was used up
    assert torch.equal(path.send_back([vector])["last"], sent["last"])


def test_a_mixture_with_an_earlier_state_reaches_both() -> None:
    older, last = states()
    graph = StateGraph()
    graph.note(MODULE, "older", older)
    graph.note(MODULE, "last", last)
    mask, vector = torch.tensor([1.0, 0, 1, 0, 1]).unsqueeze(1), numbers(N, H)
    sent = graph.path(MODULE, [mask * last + (1 - mask) * older]).send_back([vector])
    assert torch.equal(sent["last"], mask * vector)
    assert torch.equal(sent["older"], (1 - mask) * vector)


def test_the_same_state_and_none_at_all() -> None:
    older, last = states()
    graph = StateGraph()
    graph.note(MODULE, "last", last)
    direct = graph.path(MODULE, [last])
    assert direct.direct
    vector = numbers(N, H)
    assert direct.send_back([vector])["last"] is vector
    for unlinked in (older * 2, last.detach() * 2, numbers(N, H).requires_grad_() * 2):
        assert graph.path(MODULE, [unlinked]).sources == []
    assert graph.path("another", [last * 2]).sources == []
    assert StateGraph().path(MODULE, [last * 2]).sources == []
    graph.note(MODULE, "leaf", numbers(N, H).requires_grad_())


def test_states_of_two_tensors_share_their_way() -> None:
    torch.manual_seed(0)
    h, c = (numbers(N, H).requires_grad_().tanh() for _ in range(2))
    graph = StateGraph()
    graph.note(MODULE, "h", h)
    graph.note(MODULE, "c", c)
    both = torch.cat([h, c], 1) @ numbers(2 * H, 2 * H)
    given = both.chunk(2, 1)
    vectors = [numbers(N, H), numbers(N, H)]
    expected = torch.autograd.grad(given, (h, c), vectors, retain_graph=True)
    sent = graph.path(MODULE, given).send_back(vectors)
    for name, gradient in zip("hc", expected, strict=True):
        torch.testing.assert_close(sent[name], gradient, rtol=1e-12, atol=1e-14)
    (alone,) = torch.autograd.grad(given[1], h, vectors[1], retain_graph=True)
    torch.testing.assert_close(graph.path(MODULE, given).send_back([None, vectors[1]])["h"], alone, rtol=1e-12, atol=0)


def test_the_way_through_another_module_and_kernel() -> None:
    torch.manual_seed(0)
    h = numbers(N, H).requires_grad_().tanh()
    graph = StateGraph()
    graph.note(MODULE, "h", h)
    other = nn.GRU(H, H, num_layers=2, bidirectional=True, dtype=torch.float64)
    given = other(torch.stack([h, 2 * h, h * h]))[0][-1][:, :H]
    vector = numbers(N, H)
    (expected,) = torch.autograd.grad(given, h, vector, retain_graph=True)
    sent = graph.path(MODULE, [given]).send_back([vector])
    torch.testing.assert_close(sent["h"], expected, rtol=1e-12, atol=1e-14)


def test_a_state_that_made_the_other_gets_no_part_of_it() -> None:
    """An LSTM's h is made of its c: as states of one call they are reached side by side."""
    torch.manual_seed(0)
    h, c = nn.LSTMCell(3, H, dtype=torch.float64)(numbers(N, 3))
    graph = StateGraph()
    graph.note(MODULE, "h", h)
    graph.note(MODULE, "c", c)
    vectors = [numbers(N, H), numbers(N, H)]
    sent = graph.path(MODULE, [h * 2, c * 3]).send_back(vectors)
    assert torch.equal(sent["h"], 2 * vectors[0])
    assert torch.equal(sent["c"], 3 * vectors[1])


def test_what_ran_before_the_first_state_is_not_walked_through() -> None:
    torch.manual_seed(0)
    x = numbers(N, H).requires_grad_()
    for _ in range(2 * MOST_NODES):
        x = x * 1.0
    h = numbers(N, H).requires_grad_().tanh()
    graph = StateGraph()
    graph.note(MODULE, "h", h)
    path = graph.path(MODULE, [h * x])
    assert (path.sources, path.missing) == (["h"], None)


def test_a_graph_that_is_too_large_is_missing_with_the_reason() -> None:
    _, h = states()
    graph = StateGraph()
    graph.note(MODULE, "h", h)
    given = h
    for _ in range(MOST_NODES + 10):
        given = given * 1.0
    path = graph.path(MODULE, [given])
    assert path.missing is not None
    assert "2,000 operations" in path.missing
    with pytest.raises(UnsupportedError, match="2,000 operations"):
        path.send_back([numbers(N, H)])


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * grad


def saved_elsewhere(h: Tensor) -> Tensor:
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        return h * h


def changed_slice(h: Tensor) -> Tensor:
    h = h.clone()
    h[1] = 0.0
    return h


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (Doubled.apply, "custom autograd function"),
        (saved_elsewhere, "hook on saved tensors"),
        (lambda h: checkpoint(torch.tanh, h, use_reentrant=False), "hook on saved tensors"),
        (lambda h: checkpoint(torch.tanh, h, use_reentrant=True), "custom autograd function"),
        (changed_slice, "changed in place"),
    ],
)
def test_what_cannot_be_run_again_is_known_and_missing_with_the_reason(operation: Any, reason: str) -> None:
    _, h = states()
    graph = StateGraph()
    graph.note(MODULE, "h", h)
    given = operation(h)
    path = graph.path(MODULE, [given])
    assert path.sources == ["h"]
    with pytest.raises(UnsupportedError, match=reason):
        path.send_back([numbers(N, H)])
    given.sum().backward()


def test_a_graph_that_was_freed_says_so() -> None:
    _, h = states()
    graph = StateGraph()
    graph.note(MODULE, "h", h)
    given = h * h
    path = graph.path(MODULE, [given])
    given.sum().backward()
    with pytest.raises(UnsupportedError, match="could not be run again"):
        path.send_back([numbers(N, H)])


def test_it_is_run_in_the_middle_of_a_pass_without_any_effect_on_it() -> None:
    """Gradients are the same bits, hooks of the user's are called once, and the path is open at that moment."""

    def pass_through(watched: bool) -> tuple[Tensor, int, list[Tensor]]:
        torch.manual_seed(0)
        leaf, calls, sent = numbers(N, H).requires_grad_(), [], []
        h = leaf.tanh()
        graph = StateGraph()
        graph.note(MODULE, "h", h)
        middle = F.dropout(h * numbers(N, 1), 0.3)
        middle.register_hook(lambda grad: calls.append(1))
        given = (middle @ numbers(H, H)).sigmoid()
        path = graph.path(MODULE, [given])
        if watched:
            path.at_gradient(lambda: sent.append(path.send_back([torch.ones_like(given)])["h"]))
        ((given * numbers(N, H)).sum() + middle.square().sum()).backward()
        path.release()
        return leaf.grad, len(calls), sent

    (grad, calls, sent), (bare, bare_calls, _) = pass_through(True), pass_through(False)
    assert torch.equal(grad, bare)
    assert calls == bare_calls == 1
    assert len(sent) == 1


def test_once_in_each_pass_and_before_anything_behind_the_states() -> None:
    torch.manual_seed(0)
    cell = nn.LSTMCell(3, H, dtype=torch.float64)
    h, c = cell(numbers(N, 3))
    graph = StateGraph()
    graph.note(MODULE, "h", h)
    graph.note(MODULE, "c", c)
    given = (h * numbers(N, 1), (c * numbers(N, 1)).clamp(-1, 1))
    path, seen = graph.path(MODULE, given), []
    path.at_gradient(lambda: seen.append(path.send_back([torch.ones_like(h)] * 2)))
    output, _ = cell(numbers(N, 3), given)
    output.sum().backward(retain_graph=True)
    output.sum().backward()
    assert len(seen) == 2
    assert torch.equal(seen[0]["c"], seen[1]["c"])


def test_marks_keep_no_graph_and_a_released_way_lets_go() -> None:
    class Kept:
        pass

    torch.manual_seed(0)
    graph, kept = StateGraph(), Kept()
    gone = weakref.ref(kept)
    h = numbers(N, H).requires_grad_().tanh()
    h.grad_fn.metadata["kept"] = kept  # type: ignore[union-attr]
    graph.note(MODULE, "h", h)
    path = graph.path(MODULE, [h * 2])
    del h, kept
    gc.collect()
    assert gone() is not None
    path.release()
    gc.collect()
    assert gone() is None
    assert path.sources == ["h"]
    with pytest.raises(UnsupportedError, match="released"):
        path.send_back([])


def test_marks_of_an_earlier_step_mean_nothing() -> None:
    _, h = states()
    first = StateGraph()
    first.note(MODULE, "first", h)
    second = StateGraph()
    second.note(MODULE, "second", h)
    assert second.path(MODULE, [h * 2]).sources == ["second"]
    assert first.path(MODULE, [h * 2]).sources == ["first"]


def test_under_autocast_gradients_have_the_dtype_of_the_state() -> None:
    torch.manual_seed(0)
    h = torch.randn(N, H, requires_grad=True).tanh()
    graph = StateGraph()
    graph.note(MODULE, "h", h)
    with torch.autocast("cpu", torch.bfloat16):
        given = F.linear(h, torch.randn(H, H))
    assert given.dtype == torch.bfloat16
    vector = torch.randn(N, H).bfloat16()
    (expected,) = torch.autograd.grad(given, h, vector, retain_graph=True)
    sent = graph.path(MODULE, [given]).send_back([vector])["h"]
    assert sent.dtype == torch.float32
    assert torch.equal(sent, expected)
