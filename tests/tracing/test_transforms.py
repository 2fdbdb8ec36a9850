"""torch.compile and torch.func: nothing of graddiag's raises into the training or changes a bit of it."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.exc import BackendCompilerFailed
from torch._inductor.utils import fresh_cache

import graddiag
from graddiag.errors import UnsupportedError

T, N, I, H = 4, 3, 2, 5


class Cells(nn.Module):
    """A loop over a cell, which torch.compile can take whole."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(I, H)
        self.head = nn.Linear(H, 2)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for x_t in x:
            state = self.cell(x_t, state)
        return self.head(state[0])


class Elman(Cells):
    """The cell that vmap can take."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(I, H)

    def forward(self, x: Tensor) -> Tensor:
        h = x[0] @ torch.zeros(I, H)
        for x_t in x:
            h = self.cell(x_t, h)
        return self.head(h)


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(I, I)
        self.rnn = nn.GRU(I, H)
        self.head = nn.Linear(H, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.rnn(self.embed(x))[0][-1]))


class Apart(Layers):
    """The call of the layer is left out of what is compiled."""

    @torch.compiler.disable
    def run(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.run(self.embed(x))[-1]))


def train(kind: type[nn.Module], root: Path | None, backend: str | None, order: str, **how: Any) -> list[Tensor]:
    """Four steps; ``order``: whether the model is compiled before it is watched, after it, or in place."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = kind()
    ran: Any = model
    if order == "before":
        ran = torch.compile(model, backend=backend, **how)
        ran(torch.randn(T, N, I))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    recorder = None if root is None else graddiag.watch(model, optimizer, run="r", root=root)
    if order == "after":
        ran = torch.compile(model, backend=backend, **how)
    if order == "in place":
        model.compile(backend=backend, **how)
    if order == "function":
        ran = torch.compile(lambda x: model(x), backend=backend, **how)
    for step in range(4):
        optimizer.zero_grad()
        x = torch.randn(T, N, I, generator=torch.Generator().manual_seed(step))
        loss = (ran(x) - 1).square().mean()
        loss.backward()
        if recorder is not None:
            recorder.log(loss=loss)
        optimizer.step()
    if recorder is not None:
        recorder.close()
    return [p.detach().clone() for p in model.parameters()]


def both(tmp_path: Path, *args: Any, **how: Any) -> tuple[graddiag.Run, list[str]]:
    """A training without and with graddiag has the same bits; the run, and what was warned of."""
    bare = train(args[0], None, *args[1:], **how)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watched = train(args[0], tmp_path, *args[1:], **how)
    assert all(torch.equal(a, b) for a, b in zip(bare, watched, strict=True))
    run = graddiag.load_run(tmp_path / "r")
    assert len(run.steps) == 4
    assert run.steps.grad_norm.notna().all()
    assert (run.parameters.update_ratio > 0).all()
    assert not (run.events.kind == "recording_stopped").any()
    return run, [str(each.message) for each in caught if "graddiag does not follow" in str(each.message)]


compiling = pytest.mark.filterwarnings("ignore")  # torch's own, of what it does while it compiles


@compiling
@pytest.mark.parametrize("order", ["before", "after", "in place", "function"])
@pytest.mark.parametrize("fullgraph", [True, False])
@pytest.mark.parametrize("kind", [Cells, Layers])
def test_what_is_compiled_trains_as_if_unwatched_and_is_named_once(
    kind: type[nn.Module], fullgraph: bool, order: str, tmp_path: Path
) -> None:
    if fullgraph and kind is Layers:
        pytest.skip("torch does not compile a GRU with fullgraph=True")
    run, said = both(tmp_path, kind, "eager", order, fullgraph=fullgraph)
    name = "cell" if kind is Cells else "rnn"
    heard = set(run.timesteps.module)
    assert heard == {name} or (len(said) == 1 and f"'{name}'" in said[0] and "@torch.compiler.disable" in said[0])
    assert (run.events.kind == "not_followed").sum() == len(said)
    if kind is Cells:
        assert not heard


@cache
def compiles(backend: str) -> bool:
    """Whether torch itself compiles anything with it here: inductor has no code for ATEN_CPU_CAPABILITY=default."""
    try:
        torch.compile(lambda x: (2 * x + 1).sum(0), backend=backend)(torch.ones(8, 3))
    except BackendCompilerFailed:
        return False
    return True


@compiling
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.libraries)])
@pytest.mark.parametrize("kind", [Cells, Layers, Apart])
def test_no_backend_gives_other_bits(kind: type[nn.Module], backend: str, tmp_path: Path) -> None:
    if not compiles(backend):
        pytest.skip(f"torch cannot compile with {backend} here")
    with fresh_cache():  # what another process compiled, for other instructions perhaps, is not used
        run, said = both(tmp_path, kind, backend, "after")
    assert bool(set(run.timesteps.module)) == (not said)


@compiling
@pytest.mark.parametrize("order", ["before", "after", "function"])
def test_a_layer_that_is_left_out_of_what_is_compiled_is_recorded_exactly(order: str, tmp_path: Path) -> None:
    run, said = both(tmp_path, Apart, "aot_eager", order)
    assert not said
    assert run.timesteps.groupby("step").timestep.nunique().tolist() == [T] * 4
    plain, _ = both(tmp_path / "plain", Apart, "eager", order)
    assert run.timesteps.grad_h.to_numpy() == pytest.approx(plain.timesteps.grad_h.to_numpy(), rel=1e-5)


@compiling
def test_a_compiled_model_is_refused_by_name_before_anything_is_opened(tmp_path: Path) -> None:
    model = torch.compile(Layers(), backend="eager")
    with pytest.raises(UnsupportedError, match=r"recurrent layer '_orig_mod\.rnn'.*@torch\.compiler\.disable"):
        graddiag.watch(model, torch.optim.SGD(model.parameters(), 0.1), run="r", root=tmp_path)
    assert not list(tmp_path.iterdir())
    assert not any(module._forward_hooks for module in model.modules())


# torch.func


def per_sample(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Gradients of each sample by vmap(grad(f))."""

    def loss(params: dict[str, Tensor], x_n: Tensor) -> Tensor:
        return torch.func.functional_call(model, params, (x_n.unsqueeze(1),)).square().mean()

    params = {name: p.detach() for name, p in model.named_parameters()}
    return torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1))(params, x)


def test_gradients_by_sample_are_those_of_an_unwatched_model_and_nothing_raises(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = Elman(), torch.randn(T, N, I)
    expected = per_sample(model, x)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
            for _ in range(3):
                found = per_sample(model, x)
                assert all(torch.equal(found[name], expected[name]) for name in expected)
            for step in range(3):  # a plain step beside it is recorded as ever
                optimizer.zero_grad()
                per_sample(model, x)
                model(x).square().mean().backward()
                optimizer.step()
                expected = per_sample(model, x) if step == 2 else expected
    said = [str(each.message) for each in caught if "'cell'" in str(each.message)]
    assert len(said) == 1
    assert "torch.func" in said[0]
    run = graddiag.load_run(recorder.path)
    assert run.timesteps.groupby("step").timestep.nunique().tolist() == [T] * 3
    assert not (run.events.kind == "recording_stopped").any()


def test_tapping_inside_of_a_transformation_gives_the_tensor_back(tmp_path: Path) -> None:
    model = nn.Linear(I, I)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells=()) as recorder:
        found = torch.func.vmap(lambda x: recorder.tap("state", model(x)))(torch.ones(N, I))
        assert torch.equal(found, model(torch.ones(N, I)))
