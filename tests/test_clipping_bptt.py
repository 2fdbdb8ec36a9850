"""bptt:C and tbptt:K against cells unrolled under autograd, with a gate on the state between two timesteps."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import clipping
from graddiag.errors import SettingError

T, N, I, H = 7, 3, 2, 4
F64 = torch.float64
Change = Callable[[int, Tensor], Tensor]


class Gate(torch.autograd.Function):
    """Passes the state on; ``change`` is done to the gradient that comes back, of h and c side by side."""

    @staticmethod
    def forward(ctx: object, change: Change, t: int, *state: Tensor) -> tuple[Tensor, ...]:
        ctx.change, ctx.t, ctx.sizes = change, t, [s.shape[-1] for s in state]
        return tuple(s.clone() for s in state)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        changed = ctx.change(ctx.t, torch.cat(gradients, dim=-1))
        return None, None, *changed.split(ctx.sizes, dim=-1)


def unrolled(module: nn.RNNBase, x: Tensor, state: tuple[Tensor, ...], change: Change) -> Tensor:
    """The output of all layers and directions, each state gated on its way into the next timestep."""
    directions = ("", "_reverse") if module.bidirectional else ("",)
    index = 0
    for layer in range(module.num_layers):
        outputs = []
        for suffix in directions:
            end = f"_l{layer}{suffix}"
            weights = {n.removesuffix(end): p for n, p in module.named_parameters() if n.endswith(end)}
            before, found = tuple(s[index] for s in state), []
            for t, x_t in enumerate(x.flip(0) if suffix else x):
                before = step(module, weights, x_t, Gate.apply(change, t, *before))
                found.append(before[0])
            outputs.append(torch.stack(found[::-1] if suffix else found))
            index += 1
        x = torch.cat(outputs, dim=-1)
    return x


def step(module: nn.RNNBase, weights: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    function = {"LSTM": torch.lstm_cell, "GRU": torch.gru_cell, "RNN": torch.rnn_tanh_cell}[type(module).__name__]
    after = function(x, state if len(state) == 2 else state[0], *weights.values())
    return after if isinstance(after, tuple) else (after,)


def clamped(t: int, sent: Tensor) -> Tensor:
    return sent.clamp(-0.05, 0.05)


def scaled(t: int, sent: Tensor) -> Tensor:
    length = sent.norm(dim=-1, keepdim=True)
    return torch.where(length > 0.05, sent * 0.05 / length, sent)


def cut(t: int, sent: Tensor) -> Tensor:
    return sent * 0 if t in (3, 6) else sent


POLICIES = {"bptt:0.05": clamped, "bptt:0.05:norm": scaled, "tbptt:3": cut}


@pytest.mark.parametrize("settings", [{}, {"num_layers": 2, "bidirectional": True}], ids=["plain", "deep"])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("spec", POLICIES)
def test_every_gradient_is_that_of_the_gated_network(spec: str, kind: str, settings: dict[str, int]) -> None:
    torch.manual_seed(0)
    module = getattr(graddiag.nn, kind)(I, H, dtype=F64, **settings)
    clipping.attach(clipping.parse(spec), module)
    layers = module.num_layers * (2 if module.bidirectional else 1)
    x = torch.randn(T, N, I, dtype=F64, requires_grad=True)
    state = tuple(torch.randn(layers, N, H, dtype=F64, requires_grad=True) for _ in range(2 if kind == "LSTM" else 1))
    of = [x, *state, *module.parameters()]

    with graddiag.capture(module) as cap:
        output, _ = module(x, state if kind == "LSTM" else state[0])
        found = torch.autograd.grad(output.pow(2).sum(), of)
    truth = unrolled(module, x, state, POLICIES[spec])
    expected = torch.autograd.grad(truth.pow(2).sum(), of)
    torch.testing.assert_close(output, truth, rtol=0, atol=1e-12)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)

    free = torch.autograd.grad(unrolled(module, x, state, lambda t, sent: sent).pow(2).sum(), of)
    assert any(not torch.allclose(mine, theirs) for mine, theirs in zip(found, free, strict=True))
    for trace in cap.traces:  # the contributions of the timesteps are those of the gradient as it was clipped
        end = f"_l{trace.layer}" + ("_reverse" if trace.direction == "reverse" else "")
        by_hand = dict(module.named_parameters())[f"weight_hh{end}"]
        place = [id(p) for p in of].index(id(by_hand))
        before = torch.cat([trace.h0.unsqueeze(0), trace.h[:-1]]) if trace.direction == "forward" else None
        if before is not None and kind != "GRU":
            total = torch.einsum("tng,tnh->gh", trace.grad_a, before)
            torch.testing.assert_close(total, found[place], rtol=1e-10, atol=1e-12)


def test_a_cut_is_exactly_zero_before_it() -> None:
    """After a cut at k, dh_t is exactly 0 at and before it."""
    torch.manual_seed(0)
    module = graddiag.nn.LSTM(I, H)
    clipping.attach(clipping.parse("tbptt:3"), module)
    with graddiag.capture(module) as cap:
        module(torch.randn(T, N, I))[0][5].sum().backward()
    norms = cap.traces[0].grad_h.flatten(1).norm(dim=1)
    assert norms[:3].eq(0).all()
    assert norms[3:6].gt(0).all()


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_windows_in_one_call_are_windows_one_by_one(kind: str) -> None:
    torch.manual_seed(0)
    whole = getattr(graddiag.nn, kind)(I, H, dtype=F64)
    parts = copy.deepcopy(whole)
    clipping.attach(clipping.parse("tbptt:3"), whole)
    x = torch.randn(9, N, I, dtype=F64)
    whole(x)[0].pow(2).sum().backward()
    state = None
    for window in x.split(3):
        output, state = parts(window, state)
        output.pow(2).sum().backward()
        state = tuple(s.detach() for s in state) if kind == "LSTM" else state.detach()
    for mine, theirs in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-12, atol=1e-14)


def test_far_above_everything_it_changes_no_bit() -> None:
    torch.manual_seed(0)
    module, gradients = graddiag.nn.GRU(I, H, num_layers=2), []
    x = torch.randn(T, N, I)
    for spec in ("none", "bptt:1e9", "bptt:1e9:norm", "tbptt:100", "none"):
        clipping.attach(clipping.parse(spec), module)
        module.zero_grad()
        module(x)[0].sum().backward()
        gradients.append([p.grad.clone() for p in module.parameters()])
    assert all(torch.equal(a, b) for each in gradients for a, b in zip(gradients[0], each, strict=True))


def test_another_policy_takes_it_off_again() -> None:
    module = graddiag.nn.RNN(I, H)
    clipping.attach(clipping.parse("bptt:1"), module)
    assert module.grad_transform is not None
    assert pickle.loads(pickle.dumps(module)).grad_transform is not None
    assert copy.deepcopy(module).grad_transform.__self__ == clipping.parse("bptt:1")
    assert list(module.state_dict()) == list(nn.RNN(I, H).state_dict())
    clipping.attach(clipping.parse("norm:1"), module)
    assert module.grad_transform is None


def test_it_measures_the_parameters_and_leaves_them() -> None:
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([30.0, 40.0])
    outcome = clipping.parse("bptt:15")([p])
    assert (outcome.norm_before, outcome.norm_after, outcome.coefficient) == (50, 50, 1)
    assert p.grad.tolist() == [30.0, 40.0]


def test_layers_of_torch_are_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(I, I), nn.LSTM(I, H))
    with pytest.raises(SettingError, match=r"clip bptt:15\.0: .* module '1' is torch\.nn\.LSTM, .*graddiag\.nn\.RNN"):
        clipping.attach(clipping.parse("bptt:15"), model)
    clipping.attach(clipping.parse("norm:1"), model)
    with pytest.raises(SettingError, match=r"clip tbptt:4: it acts in recurrent layers, and the model has none"):
        clipping.attach(clipping.parse("tbptt:4"), nn.Linear(2, 2))


def test_a_training_of_the_lab_is_truncated(tmp_path: Path) -> None:
    from graddiag.lab import training
    from graddiag.lab.spec import training_spec

    spec = training_spec("temporal-order", "rnn", clip="tbptt:4", steps=2, length=12, batch=3, hidden=5, every=1)
    run = graddiag.load_run(training.train(training.Plan(spec, "cut"), tmp_path).path)
    assert run.manifest.clip == "tbptt:4"
    rows = run.timesteps[run.timesteps.step == 0].set_index("timestep").grad_h
    assert (rows.loc[:7] == 0).all()
    assert (rows.loc[8:] > 0).all()
