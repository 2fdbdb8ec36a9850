"""Twenty watched steps are twenty steps: the same parameters, moments and generator, for every setting and loop."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import graddiag
from graddiag.analysis import numerics
from tests.nn.nets import Net, name, one_step, projection_warning, thinned

STEPS = 20
EVERY = (1, 7)
I, H, T, N = 3, 4, 6, 5
pytestmark = projection_warning
Loss = Callable[[nn.Module, Tensor], Tensor]


def trained(model: nn.Module, loss: Loss, root: Path | None, every: int = 1, parts: int = 1) -> list[Tensor]:
    """What twenty steps leave behind: parameters, what the optimizer keeps, the generator's state."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    watched = nullcontext() if root is None else graddiag.watch(model, optimizer, run="r", root=root, every=every)
    dtype = next(model.parameters()).dtype
    with watched:
        for _ in range(STEPS):
            optimizer.zero_grad()
            for _ in range(parts):
                loss(model, torch.randn(T, N, I, dtype=dtype)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    moments = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return [p.detach().clone() for p in model.parameters()] + moments + [torch.get_rng_state()]


def check(build: Callable[[], nn.Module], loss: Loss, root: Path, parts: int = 1) -> graddiag.Run:
    """Trains without and with a recording, at every step and at some; gives the run of every step."""

    def found(place: Path | None, every: int = 1) -> list[Tensor]:
        torch.manual_seed(0)
        return trained(build(), loss, place, every, parts)

    alone = found(None)
    for every in EVERY:
        watched = found(root / str(every), every)
        assert len(alone) == len(watched)
        assert all(torch.equal(one, other) for one, other in zip(alone, watched, strict=True)), every
        run = graddiag.load_run(root / str(every) / "r")
        assert not (run.events.kind == "recording_stopped").any()
        assert sorted(run.timesteps.step.unique()) == list(range(0, STEPS, every))
        assert run.timesteps.grad_h.notna().any()
    return graddiag.load_run(root / str(EVERY[0]) / "r")


@pytest.mark.parametrize("net", thinned(stride=53), ids=name)
def test_every_setting_of_torchs_layers(net: Net, tmp_path: Path) -> None:
    def found(every: int | None) -> dict[str, Tensor]:
        module = net.build(torch.nn)
        optimizer = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9)
        place = tmp_path / str(every)
        watched = (
            nullcontext() if every is None else graddiag.watch(module, optimizer, run="r", root=place, every=every)
        )
        with watched:
            for _ in range(STEPS):
                step = one_step(net, module)
                optimizer.step()
        return step

    alone = found(None)
    for every in EVERY:
        watched = found(every)
        assert [key for key, value in alone.items() if not torch.equal(watched[key], value)] == [], every


class Stacked(nn.Module):
    def __init__(self, kind: str = "LSTM", dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(I, H, num_layers=2, dropout=0.3, dtype=dtype)
        self.head = nn.Linear(H, 1, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0])


def plain(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).float().square().mean()


def autocast(model: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(x).float().square().mean()


def needs_autocast(kind: str) -> None:
    """Skips where torch itself cannot run a layer in bfloat16: oneDNN has no LSTM of it on CPUs without AVX-512."""
    try:
        autocast(Stacked(kind), torch.randn(T, N, I))
    except RuntimeError as error:
        pytest.skip(f"torch runs no {kind} under autocast to bfloat16 on this CPU: {error}")


def checkpointed(model: Stacked, x: Tensor) -> Tensor:
    output, _ = checkpoint(model.rnn, x, use_reentrant=False)
    return model.head(output).square().mean()


def checkpointed_reentrant(model: Stacked, x: Tensor) -> Tensor:
    output, _ = checkpoint(model.rnn, x.requires_grad_(), use_reentrant=True)
    return model.head(output).square().mean()


def in_windows(model: Stacked, x: Tensor) -> Tensor:
    """Truncated: the state is carried and detached."""
    first, state = model.rnn(x[:3])
    second, _ = model.rnn(x[3:], tuple(s.detach() for s in state))
    return model.head(torch.cat([first, second])).square().mean()


def one_by_one(model: Stacked, x: Tensor) -> Tensor:
    """As a decoder calls it."""
    state, outputs = None, []
    for x_t in x:
        output, state = model.rnn(x_t[None], state)
        outputs.append(model.head(output))
    return torch.stack(outputs).square().mean()


def with_an_evaluation(model: Stacked, x: Tensor) -> Tensor:
    model.eval()
    with torch.no_grad():
        model(x)
    return plain(model.train(), x)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("loss", [plain, autocast, checkpointed, checkpointed_reentrant, with_an_evaluation])
def test_every_way_to_run_it(kind: str, loss: Loss, tmp_path: Path) -> None:
    if loss is autocast:
        needs_autocast(kind)
    check(lambda: Stacked(kind), loss, tmp_path)


@pytest.mark.parametrize("loss", [in_windows, one_by_one])
def test_windows_and_decoders(loss: Loss, tmp_path: Path) -> None:
    check(Stacked, loss, tmp_path)


def test_accumulated_gradients_and_low_precision(tmp_path: Path) -> None:
    check(Stacked, plain, tmp_path / "parts", parts=3)
    check(lambda: Stacked(dtype=torch.bfloat16), plain, tmp_path / "bfloat16")


class Cells(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell, self.head = getattr(nn, kind)(I, H), nn.Linear(H, 1)

    def forward(self, x: Tensor) -> Tensor:
        state, outputs = None, []
        for x_t in x:
            state = self.cell(x_t, state)
            outputs.append(self.head(state[0] if isinstance(state, tuple) else state))
        return torch.stack(outputs)


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells_in_a_loop(kind: str, tmp_path: Path) -> None:
    assert sorted(check(lambda: Cells(kind), plain, tmp_path).timesteps.timestep.unique()) == list(range(T))


def weight_norm() -> nn.Module:
    model = Stacked()
    parametrizations.weight_norm(model.rnn, "weight_hh_l0")
    return model


def orthogonal() -> nn.Module:
    model = Stacked("RNN")
    parametrizations.orthogonal(model.rnn, "weight_hh_l1")
    return model


def shared() -> nn.Module:
    model = nn.Sequential(Stacked(), nn.Linear(1, I), Stacked())
    model[2].rnn.weight_hh_l0 = model[0].rnn.weight_hh_l0
    return model


def frozen() -> nn.Module:
    model = Stacked()
    model.rnn.weight_hh_l0.requires_grad_(False)
    return model


class WeightDrop(Stacked):
    """DropConnect on the recurrent weight (Merity et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        weight = self.rnn.weight_hh_l0
        del self.rnn.weight_hh_l0
        self.raw = nn.Parameter(weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        self.rnn.weight_hh_l0 = nn.functional.dropout(self.raw, 0.2, self.training)
        return super().forward(x)


@pytest.mark.parametrize("build", [weight_norm, orthogonal, shared, frozen])
def test_weights_reparametrised_shared_or_frozen(build: Callable[[], nn.Module], tmp_path: Path) -> None:
    check(build, plain, tmp_path)


@pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk")
def test_weights_dropped_anew_at_every_step(tmp_path: Path) -> None:
    check(WeightDrop, plain, tmp_path)


@pytest.mark.parametrize(("loss", "activations"), [(plain, "float32"), (autocast, "bfloat16")])
def test_the_dtype_that_layers_run_in_is_recorded(
    loss: Callable[..., Tensor], activations: str, tmp_path: Path
) -> None:
    """Under autocast the parameters do not tell it; the manifest says it while the run is still being written."""
    if loss is autocast:
        needs_autocast("LSTM")
    model = Stacked("LSTM")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="run", root=tmp_path) as recorder:
        loss(model, torch.randn(T, N, I)).backward()
        optimizer.step()
        environment = graddiag.load_run(recorder.path).manifest.environment
        assert (environment["dtype"], environment["activations"]) == ("float32", activations)
    found = numerics(graddiag.load_run(recorder.path))
    assert (found.dtype, found.activations) == ("float32", activations)
    assert f"underflowed in {activations}." in found.caption
