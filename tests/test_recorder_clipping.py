"""Clipping in the wrong place is said, and nothing else is taken for it; gradients of a scaled loss are unscaled."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from graddiag.errors import SettingError, UnsupportedError
from tests.test_recorder import Model
from tests.tracing.models import hooks_of


def data() -> Tensor:
    return torch.randn(7, 4, 3)


def clip(model: nn.Module) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)


def clip_what_is_there(model: nn.Module) -> None:
    if any(p.grad is not None for p in model.parameters()):
        clip(model)


def leave_model(model: nn.Module) -> None: ...


def zero(model: nn.Module) -> None:
    model.zero_grad(set_to_none=False)


def forget(model: nn.Module) -> None:
    model.zero_grad(set_to_none=True)


def read(model: nn.Module) -> None:
    assert math.hypot(*(p.grad.norm() for p in model.parameters() if p.grad is not None)) >= 0


def events(
    root: Path,
    *,
    before: Callable[[nn.Module], None],
    between: Callable[[nn.Module], None],
    after: Callable[[nn.Module], None],
    every: int = 1,
) -> list[str]:
    """Kinds of event of a training that does these things before backward, between it and the update, and after."""
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with graddiag.watch(model, optimizer, run="r", root=root, every=every):
        for _ in range(4):
            before(model)
            model(data()).square().mean().backward()
            between(model)
            optimizer.step()
            after(model)
    return graddiag.load_run(root / "r").events[schema.KIND].tolist()


@pytest.mark.parametrize("before", [zero, forget, leave_model, read])
@pytest.mark.parametrize("after", [leave_model, zero, forget, read])
def test_ordinary_loops_are_not_accused(
    before: Callable[[nn.Module], None], after: Callable[[nn.Module], None], tmp_path: Path
) -> None:
    """Whoever zeroes, or lets gradients pile up, or looks at them, changes nothing in vain."""
    zeroed = {zero, forget} & {before, after}
    expected = [] if zeroed else [schema.EVENT_GRADIENTS_NOT_ZEROED]
    assert events(tmp_path, before=before, between=leave_model, after=after, every=3) == expected


def test_clipping_in_its_place(tmp_path: Path) -> None:
    assert events(tmp_path, before=zero, between=clip, after=leave_model) == [schema.EVENT_FIRST_CLIP]


@pytest.mark.parametrize(("before", "after"), [(forget, clip), (clip_what_is_there, leave_model)])
def test_clipping_in_the_wrong_place_is_said_once(
    before: Callable[[nn.Module], None], after: Callable[[nn.Module], None], tmp_path: Path
) -> None:
    assert events(tmp_path, before=before, between=leave_model, after=after) == [schema.EVENT_CLIP_MISPLACED]


def test_a_scaled_loss_is_recorded_unscaled(tmp_path: Path) -> None:
    """With a GradScaler the parameters, the timesteps and the clipping are in units of the loss itself."""
    frames = []
    for name, scaled in (("plain", False), ("scaled", True)):
        torch.manual_seed(0)
        model = Model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=scaled)
        with graddiag.watch(model, optimizer, run=name, root=tmp_path, scaler=scaler) as recorder:
            for _ in range(3):
                optimizer.zero_grad()
                scaler.scale(model(data()).square().mean()).backward()
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), 0.05)
                scaler.step(optimizer)
                scaler.update()
        frames.append(graddiag.load_run(recorder.path))
    plain, unscaled = frames
    for column in (schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED, schema.CLIP_COEFFICIENT):
        assert unscaled.steps[column].tolist() == pytest.approx(plain.steps[column].tolist(), rel=1e-5)
    for column in (schema.GRAD_H, schema.GRAD_A, schema.GRAD_W_HH, schema.TRANSPORT_GAIN):
        assert unscaled.timesteps[column].tolist() == pytest.approx(
            plain.timesteps[column].tolist(), rel=1e-4, nan_ok=True
        )
    assert unscaled.steps["amp_scale"].tolist() == [1024.0] * 3
    assert "amp_scale" not in plain.steps
    assert unscaled.events[schema.KIND].tolist() == plain.events[schema.KIND].tolist() == [schema.EVENT_FIRST_CLIP]


def test_an_update_that_the_scaler_skips_is_told_and_is_no_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, scaler=scaler):
        for attempt in range(4):
            optimizer.zero_grad()
            loss = model(data()).square().mean() * (math.inf if attempt == 1 else 1.0)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    run = graddiag.load_run(tmp_path / "r")
    assert run.steps[schema.STEP].tolist() == [0, 1, 2]
    assert run.steps["amp_scale"].tolist() == [1024.0, 512.0, 512.0]
    assert run.steps[schema.GRAD_NORM].map(math.isfinite).all()
    assert run.events[schema.WHERE].tolist() == ["the GradScaler"]
    assert run.timesteps.groupby(schema.STEP).size().tolist() == [2 * 7] * 3


class MinGRU(nn.Module):
    """h_t = (1 - z_t) h_{t-1} + z_t n_t: a loop of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(3, 8)

    def forward(self, x: Tensor, tap: Callable[[str, Tensor], Tensor]) -> list[Tensor]:
        h, states = x.new_zeros(len(x[0]), 4), []
        for x_t in x:
            z, n = self.gates(x_t).chunk(2, -1)
            h = tap("cell", torch.lerp(h, n, z.sigmoid()))
            states.append(h)
        return states


@pytest.mark.parametrize("loss", [lambda states: states[-1].sum(), lambda states: torch.stack(states).square().sum()])
def test_a_tap_gives_the_total_gradient_of_the_users_own_state(loss: Callable[..., Tensor], tmp_path: Path) -> None:
    model, x = MinGRU(), data()
    states = model(x, lambda _, h: h)
    for state in states:
        state.retain_grad()
    loss(states).backward()
    expected = [state.grad.norm().item() for state in states]
    weights = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with graddiag.watch(model, run="r", root=tmp_path) as recorder:
        loss(model(x, recorder.tap)).backward()
        recorder.step()
        with torch.no_grad():
            model(x, recorder.tap)

    assert all(torch.equal(p.grad, value) for p, value in zip(model.parameters(), weights, strict=True))
    frame = graddiag.load_run(tmp_path / "r").timesteps
    assert frame[schema.MODULE].unique().tolist() == ["cell"]
    assert frame[schema.GRAD_H].tolist() == pytest.approx(expected, rel=1e-6)
    rms = [state.square().mean().sqrt().item() for state in states]
    assert frame[schema.H_RMS].tolist() == pytest.approx(rms, rel=1e-6)
    assert frame[schema.TRANSPORT_GAIN].isna().tolist() == [True] + [False] * (len(frame) - 1)


def test_refusals_by_name_leave_nothing_behind(tmp_path: Path) -> None:
    rnn = nn.LSTM(3, 4)
    compiled = nn.Sequential(torch.compile(nn.LSTMCell(3, 4), backend="eager"))
    with pytest.raises(UnsupportedError, match=r"module '0' \(OptimizedModule\) cannot be watched: torch.compile"):
        graddiag.watch(compiled, run="r", root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert hooks_of(compiled) == 0
    with (
        graddiag.watch(nn.Sequential(rnn), run="r", root=tmp_path) as recorder,
        pytest.raises(SettingError, match=r"tap\('0'\): the model has a recurrent module of that name"),
    ):
        recorder.tap("0", torch.zeros(1))
