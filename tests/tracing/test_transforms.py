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
from graddiag.tracing.compiled import records_layers

T, N, I, H = 14, 9, 2, 5  # a bias has then so many summands that their order shows in its last bits


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
    """Modules of torch.nn before and after a layer at which torch.compile stops."""

    def __init__(self, layer: type[nn.RNNBase] = nn.GRU) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(I, I), nn.LayerNorm(I), nn.GELU())
        self.rnn = layer(I, H)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(H, H), nn.Softmax(-1), nn.Linear(H, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.rnn(self.embed(x))[0]))


class LSTM(Layers):
    def __init__(self) -> None:
        super().__init__(nn.LSTM)


class RNN(Layers):
    def __init__(self) -> None:
        super().__init__(nn.RNN)


class Stops(Cells):
    """A loop at which torch.compile stops, so that it compiles no call of the cell."""

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for x_t in x:
            state = self.cell(x_t, state)
            torch._dynamo.graph_break()
        return self.head(state[0])


class Apart(Layers):
    """The call of the layer is left out of what is compiled."""

    @torch.compiler.disable
    def run(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.run(self.embed(x))))


def train(kind: type[nn.Module], root: Path | None, backend: str | None, order: str, **how: Any) -> list[Tensor]:
    """Four steps; ``order``: whether the model is compiled before it is watched, after it, in place, within a function;
    or what ``torch.compile`` gives is watched."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = kind()
    ran: Any = model
    if order in ("before", "given"):
        ran = model if backend is None else torch.compile(model, backend=backend, **how)
        ran(torch.randn(T, N, I))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watched = ran if order == "given" else model
    recorder = None if root is None else graddiag.watch(watched, optimizer, run="r", root=root)
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


def compiling(test: Any) -> Any:
    """Marks a test that runs torch's compiler, which warns of what it does."""
    return pytest.mark.libraries(pytest.mark.filterwarnings("ignore")(test))


ORDERS = ["before", "after", "in place", "function"]


@compiling
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("fullgraph", [True, False])
def test_a_compiled_cell_trains_as_if_unwatched_and_is_named_once(fullgraph: bool, order: str, tmp_path: Path) -> None:
    run, said = both(tmp_path, Cells, "eager", order, fullgraph=fullgraph)
    assert run.timesteps.empty
    assert len(said) == 1
    assert "'cell'" in said[0]
    assert "@torch.compiler.disable" in said[0]
    assert (run.events.kind == "not_followed").sum() == 1


@compiling
@pytest.mark.parametrize("order", [*ORDERS, "given"])
@pytest.mark.parametrize("kind", [Layers, LSTM, RNN, Stops])
def test_where_torch_compile_stops_at_a_layer_it_is_recorded_exactly(
    kind: type[nn.Module], order: str, tmp_path: Path
) -> None:
    if order == "given" and kind is Stops:
        pytest.skip("a compiled model with a cell is refused, as nobody knows before where torch.compile will stop")
    run, said = both(tmp_path, kind, "eager", order)
    assert not said
    train(kind, tmp_path / "plain", None, order if order in ("before", "given") else "")
    plain = graddiag.load_run(tmp_path / "plain" / "r")
    assert run.timesteps.equals(plain.timesteps)
    assert run.parameters.grad_norm.tolist() == plain.parameters.grad_norm.tolist()
    assert run.manifest.model == kind.__name__


@compiling
def test_a_layer_that_is_compiled_itself_is_recorded(tmp_path: Path) -> None:
    torch._dynamo.reset()
    model = nn.Sequential(torch.compile(nn.LSTM(I, H), backend="aot_eager"))
    with graddiag.watch(model, run="r", root=tmp_path) as recorder:
        model(torch.randn(T, N, I))[0].square().mean().backward()
        recorder.step()
    assert graddiag.load_run(recorder.path).timesteps.timestep.nunique() == T


@compiling
@pytest.mark.parametrize("kind", [Layers, Cells])
def test_a_compiled_training_step_is_as_if_unwatched_and_its_update_is_missed_by_name(
    kind: type[nn.Module], tmp_path: Path
) -> None:
    bare, _ = train_by_step(kind, None)
    watched, said = train_by_step(kind, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(bare, watched, strict=True))
    assert len(said) == 1
    assert "call optimizer.step() outside of it" in said[0]
    assert graddiag.load_run(tmp_path / "r").events.kind.tolist() == ["no_update"]


def train_by_step(kind: type[nn.Module], root: Path | None) -> tuple[list[Tensor], list[str]]:
    """Six steps, each of which is compiled whole, as far as torch takes it; the parameters, and the warnings."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = kind()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    @torch.compile(backend="eager")
    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recorder = None if root is None else graddiag.watch(model, optimizer, run="r", root=root)
        for number in range(6):
            step(torch.randn(T, N, I, generator=torch.Generator().manual_seed(number)))
        if recorder is not None:
            recorder.close()
    return [p.detach().clone() for p in model.parameters()], [
        str(w.message) for w in caught if "never" in str(w.message)
    ]


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
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("kind", [Cells, Layers, LSTM, Apart, Stops])
def test_no_backend_gives_other_bits(kind: type[nn.Module], backend: str, tmp_path: Path) -> None:
    if not compiles(backend):
        pytest.skip(f"torch cannot compile with {backend} here")
    with fresh_cache():  # what another process compiled, for other instructions perhaps, is not used
        run, said = both(tmp_path, kind, backend, "after")
    assert bool(said) == (kind is Cells)
    assert run.timesteps.empty == (kind is Cells)


@compiling
@pytest.mark.parametrize("order", ["before", "after", "function"])
def test_a_layer_that_is_left_out_of_what_is_compiled_is_recorded_exactly(order: str, tmp_path: Path) -> None:
    run, said = both(tmp_path, Apart, "aot_eager", order)
    assert not said
    assert run.timesteps.groupby("step").timestep.nunique().tolist() == [T] * 4
    plain, _ = both(tmp_path / "plain", Apart, "eager", order)
    assert run.timesteps.grad_h.to_numpy() == pytest.approx(plain.timesteps.grad_h.to_numpy(), rel=1e-5)


@compiling
def test_a_compiled_cell_is_refused_by_name_before_anything_is_opened(tmp_path: Path) -> None:
    model = torch.compile(Cells(), backend="eager")
    with pytest.raises(UnsupportedError, match=r"recurrent cell '_orig_mod.cell'.*@torch\.compiler\.disable"):
        graddiag.watch(model, torch.optim.SGD(model.parameters(), 0.1), run="r", root=tmp_path)
    assert not list(tmp_path.iterdir())
    assert not any(module._forward_hooks for module in model.modules())


@compiling
def test_a_layer_is_refused_where_torch_compile_was_told_to_take_layers(tmp_path: Path) -> None:
    model = Layers()
    model.compile(backend="eager")
    with (
        torch._dynamo.config.patch(allow_rnn=True),
        pytest.raises(UnsupportedError, match=r"recurrent layer 'rnn'.*@torch\.compiler\.disable"),
    ):
        graddiag.watch(model, run="r", root=tmp_path)


@compiling
def test_where_torch_compile_was_told_to_take_layers_they_are_named(tmp_path: Path) -> None:
    with torch._dynamo.config.patch(allow_rnn=True):
        run, said = both(tmp_path, Layers, "eager", "after")
    assert run.timesteps.empty
    assert len(said) == 1


def test_torch_says_which_functions_it_passes_over() -> None:
    """A private part of torch; without it compiled layers are refused or named, and this test fails."""
    assert records_layers


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
